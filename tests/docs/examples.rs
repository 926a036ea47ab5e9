//! The examples of the docs: code is what compiles and runs, pipeline files pass `check`, commands are understood, and those that look at a worker run against one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_broadside");

/// A block of a document: what stands behind its fence, its text, the heading above.
struct Block {
    language: String,
    text: String,
    heading: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn blocks(document: &str) -> Vec<Block> {
    let (mut found, mut open, mut heading) = (Vec::new(), None::<Block>, String::new());
    for line in text(document).lines() {
        match (open.as_mut(), line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.to_owned(), text: String::new(), heading: heading.clone() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) if line.starts_with('#') => heading = line.trim_start_matches(['#', ' ']).to_owned(),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block has no end");
    found
}

const DOCUMENTS: &[&str] = &[
    "README.md",
    "docs/operating.md",
    "docs/tuning.md",
    "docs/capacity.md",
    "docs/components.md",
    "deploy/runbook.md",
];

fn all(language: &str) -> Vec<(&'static str, Block)> {
    let of = |document: &&'static str| blocks(document).into_iter().map(|block| (*document, block)).collect::<Vec<_>>();
    DOCUMENTS.iter().flat_map(of).filter(|(_, block)| block.language.split(' ').next() == Some(language)).collect()
}

#[test]
fn code_in_the_docs_is_code_that_compiles_and_runs() {
    let without_indent = |text: &str| text.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    let mut count = 0;
    for (document, block) in all("rust") {
        let file = block.language.split_once(' ').map_or("tests/docs/components.rs", |(_, file)| file);
        let stands = without_indent(&text(file)).contains(without_indent(&block.text).trim());
        assert!(stands, "{document}: this is not in {file}:\n{}", block.text);
        count += 1;
    }
    assert!(count >= 7, "{count}");
}

#[test]
fn pipeline_files_in_the_docs_pass_check_and_parts_of_them_name_settings_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    let schema = String::from_utf8(run(&["schema"], folder.path()).stdout).unwrap();
    for (document, block) in all("toml") {
        if !block.text.contains("[source") {
            let keys = block.text.lines().filter_map(|line| line.split(" =").next()).map(str::trim);
            for key in keys.filter(|key| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
                assert!(schema.contains(&format!("\"{key}\"")), "{document}: there is no setting {key}");
            }
            continue;
        }
        fs::write(folder.path().join("example.toml"), &block.text).unwrap();
        let output = run(&["check", "example.toml"], folder.path());
        assert!(output.status.success(), "{document}: {}", said(&output));
    }
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).env_remove("DATABASE_URL").output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// The commands of the program in a shell's line, without redirections, comments, and what stands before and after.
fn commands(line: &str) -> Vec<Vec<String>> {
    let line = line.split(" #").next().unwrap_or_default();
    let parts = line.split(" && ").flat_map(|part| part.split(" | ")).flat_map(|part| part.split("; "));
    parts
        .filter_map(|part| {
            let words = words(part.split(" >").next().unwrap_or_default());
            let at = words.iter().rposition(|word| word == "broadside")?;
            let is_settings = words[..at]
                .iter()
                .all(|word| word.contains('=') || ["sudo", "-u", "broadside"].contains(&word.as_str()));
            is_settings.then(|| words[at + 1..].to_vec())
        })
        .collect()
}

/// Words of a line, quoted ones whole.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, ' ') => found.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (_, c) => word.push(c),
        }
    }
    found.extend(Some(word).filter(|word| !word.is_empty()));
    found
}

#[test]
fn every_command_in_the_docs_is_understood_by_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (document, block) in all("sh") {
        for command in block.text.lines().flat_map(commands) {
            if !seen.insert(command.clone()) {
                continue;
            }
            // Arguments are read up to here, and refused before help is given.
            let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
            arguments.push("--help");
            let output = run(&arguments, folder.path());
            if !output.status.success() {
                wrong.push(format!("{document}: broadside {}: {}", command.join(" "), said(&output)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() >= 20, "{seen:?}");
}

#[test]
fn every_command_in_prose_is_one_of_the_programs() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for document in DOCUMENTS {
        for quoted in
            text(document).split('`').skip(1).step_by(2).filter_map(|quoted| quoted.strip_prefix("broadside "))
        {
            // Up to the first word in capitals, of options, or of a list.
            let is_word =
                |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-');
            let command: Vec<&str> = quoted.split_whitespace().take_while(is_word).take(2).collect();
            if command.is_empty() || !seen.insert(command.clone().join(" ")) {
                continue;
            }
            let help = |arguments: &[&str]| run(&[arguments, &["--help"]].concat(), folder.path()).status.success();
            if !help(&command) && !help(&command[..1]) {
                wrong.insert(format!("{document}: broadside {}", command.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn the_commands_that_look_at_a_worker_run_against_one() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}", folder.path().join("demo.db").display());
    let mut demo = Command::new(PROGRAM)
        .args(["demo", "--listen", "127.0.0.1:0", "--database", &database])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let page = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("page: ")).unwrap();
    let address =
        page.split_whitespace().nth(1).unwrap().trim_start_matches("http://").trim_end_matches('/').to_owned();
    let looking =
        blocks("docs/operating.md").into_iter().find(|block| block.heading == "Looking" && block.language == "sh");
    let mut wrong = Vec::new();
    for command in looking.unwrap().text.lines().flat_map(commands) {
        let output = Command::new(PROGRAM)
            .args(&command)
            .current_dir(folder.path())
            .env("BROADSIDE_LISTEN", &address)
            .env("DATABASE_URL", &database)
            .output()
            .unwrap();
        if !output.status.success() {
            wrong.push(format!("broadside {}: {}", command.join(" "), said(&output)));
        }
    }
    let _ = Command::new("kill").args(["-INT", &demo.id().to_string()]).status();
    lines.for_each(drop);
    assert!(demo.wait().unwrap().success());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_shells_line_is_read_as_a_shell_reads_it() {
    let found = commands("A=b sudo -u broadside broadside dlq list --reason \"two words\" > file  # why");
    assert_eq!(found, [["dlq", "list", "--reason", "two words"].map(str::to_owned).to_vec()]);
    assert_eq!(commands("broadside check && broadside reload").len(), 2);
    assert_eq!(commands("curl http://broadside"), Vec::<Vec<String>>::new());
}
