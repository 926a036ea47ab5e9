//! Tars as others pack them, well or to do harm.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use broadside::archive::{Archive, Kind, Progress, Record};

/// Files with their names, in this order.
pub(crate) fn tar(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn kills(numbers: impl IntoIterator<Item = u32>) -> Vec<(String, Vec<u8>)> {
    numbers.into_iter().map(|n| (format!("killmails/{n}.json"), format!("{{\"n\":{n}}}").into_bytes())).collect()
}

/// An entry that says of itself what it likes.
fn entry(name: &str, kind: tar::EntryType, size: u64, body: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn write(bytes: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read(path: &Path) -> (Vec<(u64, String)>, Result<(), String>) {
    let mut archive = Archive::open(path, Arc::new(Progress::default()), 0);
    let mut found = Vec::new();
    loop {
        let taken = archive.take(3);
        found.extend(taken.records.into_iter().map(|(position, record)| match record {
            Record::Whole(bytes) => (position, String::from_utf8_lossy(&bytes).into_owned()),
            Record::TooLarge { head, bytes } => (position, format!("{bytes} bytes, {} kept", head.len())),
        }));
        if let Some(end) = taken.end {
            return (found, end);
        }
    }
}

fn records(bytes: impl AsRef<[u8]>) -> Vec<String> {
    let (_folder, path) = write(bytes);
    let (found, end) = read(&path);
    assert_eq!(end, Ok(()));
    found.into_iter().map(|(_, text)| text).collect()
}

#[test]
fn only_json_files_are_kills_whatever_their_names_lead_to() {
    let mut bytes = Vec::new();
    let file = tar::EntryType::Regular;
    for (name, kind, body) in [
        ("killmails/", tar::EntryType::Directory, ""),
        ("README.md", file, "not a kill"),
        ("killmails/._1.json", file, "\0\x05\x16\x07"),
        ("../../../../etc/1.json", file, "{\"n\":1}"),
        ("/etc/2.JSON", file, " {\"n\":\n2}\n"),
        ("3.json", tar::EntryType::Symlink, ""),
        ("4.json", tar::EntryType::Link, ""),
        ("5.json", tar::EntryType::Fifo, ""),
        ("x", tar::EntryType::XHeader, "30 path=../../etc/passwd.json\n"),
        ("x", tar::EntryType::GNULongName, "very/long.json\0"),
        ("empty.json", file, ""),
        ("6.json", file, "{\"n\":6}"),
    ] {
        bytes.extend(entry(name, kind, body.len() as u64, body.as_bytes()));
    }
    bytes.extend(end());
    assert_eq!(records(&bytes), ["{\"n\":1}", "{\"n\":\n2}", "{\"n\":6}"]);
    assert_eq!(records(bzip2(&bytes)).len(), 3);
}

#[test]
fn positions_go_on_where_they_stopped() {
    let (_folder, path) = write(bzip2(&tar(kills(1..=9))));
    let mut archive = Archive::open(&path, Arc::new(Progress::default()), 7);
    let taken = archive.take(100);
    assert_eq!(archive.kind(), Some(Kind::Entries));
    assert_eq!(taken.records.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [8, 9]);
}

#[test]
fn a_file_beyond_the_limit_keeps_its_start_and_the_next_one_is_whole() {
    let mut files = kills(1..=2);
    files.insert(1, ("large.json".into(), vec![b'x'; 9_000_000]));
    let found = records(tar(files));
    assert_eq!(found, ["{\"n\":1}", "9000000 bytes, 65536 kept", "{\"n\":2}"]);
}

#[test]
fn a_tar_that_is_cut_short_gives_its_whole_files_and_then_says_so_wherever_it_is_cut() {
    let whole = tar(kills(1..=4));
    assert_eq!(whole.len(), 4 * 1024 + 1024);
    for at in (513..=4 * 1024).step_by(37).chain([1024, 1536, 4096]) {
        let (_folder, path) = write(&whole[..at]);
        let (found, end) = read(&path);
        assert!(end.unwrap_err().ends_with("the tar is cut short"), "{at}");
        assert!(found.len() <= at / 1024 && found.len() + 1 >= at / 1024, "{at}: {found:?}");
    }
    let packed = bzip2(&whole);
    let (_folder, path) = write(&packed[..packed.len() - 7]);
    assert!(read(&path).1.is_err());
}

#[test]
fn a_tar_that_lies_about_itself_ends_there() {
    let first = entry("1.json", tar::EntryType::Regular, 7, b"{\"n\":1}");
    let mut flipped = entry("2.json", tar::EntryType::Regular, 7, b"{\"n\":2}");
    flipped[3] ^= 1;
    let endless = entry("2.json", tar::EntryType::Regular, u64::MAX >> 1, b"{\"n\":2}");
    let skipped = entry("2.txt", tar::EntryType::Regular, u64::MAX, b"{\"n\":2}");
    let sparse = entry("2.json", tar::EntryType::GNUSparse, 7, b"{\"n\":2}");
    for (second, problem) in [
        (flipped, "the tar is damaged"),
        (endless, "the tar is cut short"),
        (skipped, "the tar is cut short"),
        (sparse, "the tar holds a sparse file"),
    ] {
        let (_folder, path) = write([first.clone(), second, end()].concat());
        let (found, end) = read(&path);
        assert_eq!(found, [(1, "{\"n\":1}".to_owned())]);
        assert!(end.unwrap_err().ends_with(problem), "{problem}");
    }
}

#[test]
fn what_unpacks_without_end_and_without_a_record_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zeros");
    let mut bytes = entry("1.json", tar::EntryType::Regular, 7, b"{\"n\":1}");
    bytes.extend(entry("large.txt", tar::EntryType::Regular, 3 << 30, b""));
    std::fs::write(&path, bytes).unwrap();
    // A file with a hole: gigabytes that lie nowhere.
    std::fs::File::options().append(true).open(&path).unwrap().set_len(4 << 30).unwrap();
    let (found, end) = read(&path);
    assert_eq!(found.len(), 1);
    assert!(end.unwrap_err().ends_with("256 MB without a record in them"));
}
