//! Files that are no pipelines, folders, names.

use std::fs;
use std::path::Path;

use broadside::definition::{Selection, load, parse, select};
use proptest::prelude::*;

use super::unset;

const SOUND: &str = "[source.generator]\n[[processor]]\nname = \"parse\"\nstages = [\"decode\"]\n";

fn said(path: &Path) -> String {
    load(path, &unset).expect_err("it is no pipeline").to_string()
}

#[test]
fn a_missing_file_a_folder_and_a_device_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("kills.toml");
    assert_eq!(said(&missing), format!("{}: there is no such file", missing.display()));
    assert!(said(folder.path()).contains("this is a folder, not a file"));
    #[cfg(unix)]
    assert!(said(Path::new("/dev/zero")).contains("this is not a regular file"));
}

#[test]
fn a_huge_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kills.toml");
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("written");
    assert!(said(&path).contains("larger than 1 MB"));
}

#[test]
fn bytes_that_are_no_text_are_shown_where_they_begin() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kills.toml");
    fs::write(&path, b"enabled = true\nx = \"\xff\xfe\"\n").expect("written");
    let said = said(&path);
    assert!(said.contains("kills.toml:2:6: this is not UTF-8 text"), "{said}");
}

#[test]
fn a_file_name_that_cannot_be_a_label_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("My Kills.toml");
    fs::write(&path, SOUND).expect("written");
    assert!(said(&path).contains("the file's name"), "{}", said(&path));
}

fn selected(wanted: &[&str], folder: &Path) -> Result<Vec<String>, String> {
    let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
    let selection = select(&wanted, Some(folder), &unset).and_then(Selection::enabled);
    let selection = selection.map_err(|problems| problems.to_string())?;
    Ok(selection.definitions.into_iter().map(|definition| definition.name).collect())
}

#[test]
fn all_enabled_pipelines_of_a_folder_are_taken_and_a_disabled_one_only_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("b.toml"), SOUND).expect("written");
    fs::write(folder.path().join("a.toml"), SOUND).expect("written");
    fs::write(folder.path().join("off.toml"), format!("enabled = false\n{SOUND}")).expect("written");
    fs::write(folder.path().join("notes.txt"), "not a pipeline").expect("written");
    assert_eq!(selected(&[], folder.path()), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(selected(&["off"], folder.path()), Ok(vec!["off".into()]));
    let near = selected(&["of"], folder.path()).expect_err("no such pipeline");
    assert!(near.contains("there is no pipeline `of`") && near.contains("did you mean `off`?"), "{near}");
    let twice = selected(&["a", "a"], folder.path()).expect_err("twice");
    assert!(twice.contains("another pipeline is called `a` too"), "{twice}");
}

#[test]
fn an_empty_or_missing_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(selected(&[], folder.path()).expect_err("empty").contains("there is no pipeline in it"));
    assert!(selected(&[], &folder.path().join("none")).expect_err("missing").contains("there is no such folder"));
    fs::write(folder.path().join("off.toml"), format!("enabled = false\n{SOUND}")).expect("written");
    assert!(selected(&[], folder.path()).expect_err("all off").contains("no pipeline in it is enabled"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,400}") {
        if let Err(problems) = parse("kills", "kills.toml", &text, &unset) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_damage_to_a_sound_file_is_read_or_refused(at in 0..SOUND.len(), cut in 0..20_usize, put in "\\PC{0,8}") {
        let end = (at + cut).min(SOUND.len());
        let text = format!("{}{put}{}", &SOUND[..at], &SOUND[end..]);
        if let Err(problems) = parse("kills", "kills.toml", &text, &unset) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }

    #[test]
    fn any_value_anywhere_is_read_or_refused(
        key in "(limits|dead_letters|processor|batcher|source)(\\.(name|stages|sink|concurrency|wanderer|per))?",
        value in "(-?[0-9]{1,25}|nan|\"[a-z$\\{\\}:-]{0,12}\"|\\[\\]|\\{\\}|\\[\\{\\}\\]|true|1979-05-27)",
    ) {
        if let Err(problems) = parse("kills", "kills.toml", &format!("{key} = {value}\n{SOUND}"), &unset) {
            prop_assert!(!problems.to_string().is_empty());
        }
    }
}
