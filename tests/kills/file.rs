//! The file source: layouts, damage, checkpoints.

use std::io::Write;
use std::path::{Path, PathBuf};

use broadside::killmail::Kill;
use broadside::resources::Resources;
use broadside::sources::file::Config;
use broadside::store;
use broadside_engine::{Demand, Factory, Failure, Flow, Message, Source, testing::contract};
use bzip2::write::BzEncoder;
use flate2::Compression;
use flate2::write::GzEncoder;

pub(crate) async fn resources() -> Resources {
    let store = store::connect("sqlite::memory:", &store::Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    Resources {
        store,
        hub: std::sync::Arc::default(),
        recent: std::sync::Arc::default(),
        clients: std::sync::Arc::default(),
        feeds: std::sync::Arc::default(),
        esi: std::sync::Arc::default(),
        stored: std::sync::Arc::default(),
        contact: None,
        events: false,
    }
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// As the daily archives are: a file a kill, in a folder.
fn tar(numbers: std::ops::RangeInclusive<u32>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for n in numbers {
        let text = format!("{{\"n\":{n}}}");
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, format!("killmails/{n}.json"), text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn lines(numbers: std::ops::RangeInclusive<u32>) -> String {
    numbers.map(|n| format!("{{\"n\":{n}}}\n")).collect()
}

fn number(kill: &Kill) -> u32 {
    serde_json::from_slice::<serde_json::Value>(&kill.raw).unwrap()["n"].as_u64().unwrap() as u32
}

struct World {
    folder: tempfile::TempDir,
    resources: Resources,
}

impl World {
    async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), resources: resources().await }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, paths: &[&Path]) -> broadside::sources::file::Files {
        let paths = paths.iter().map(|path| path.to_path_buf()).collect();
        Config { paths, checkpoint: true }.open("kills", &self.resources).unwrap()
    }

    /// Reads until the end or an error; the messages of each pull are given to `settle`.
    async fn read(
        &self,
        factory: &dyn Factory<Kill>,
        settle: impl Fn(&mut Message<Kill>) -> bool,
    ) -> (Vec<u32>, Result<(), Failure>) {
        let mut source = factory.build(0).await.unwrap();
        let mut numbers = Vec::new();
        loop {
            let (messages, flow) = pull(source.as_mut(), 3).await;
            numbers.extend(messages.iter().filter(|m| m.is_active()).map(|message| number(&message.payload)));
            acknowledge(factory, messages, &settle).await;
            match flow {
                Ok(Flow::More) => {}
                Ok(Flow::Finished) => {
                    source.close().await;
                    return (numbers, Ok(()));
                }
                Err(failure) => return (numbers, Err(failure)),
            }
        }
    }
}

async fn pull(source: &mut dyn Source<Kill>, room: usize) -> (Vec<Message<Kill>>, Result<Flow, Failure>) {
    let mut demand = Demand::of(room);
    let flow = source.pull(&mut demand).await;
    (demand.into_messages(), flow)
}

/// Settles those of which `settle` says so, as the engine would.
async fn acknowledge(
    factory: &dyn Factory<Kill>,
    messages: Vec<Message<Kill>>,
    settle: impl Fn(&mut Message<Kill>) -> bool,
) {
    let acknowledger = factory.acknowledger();
    for mut message in messages {
        if settle(&mut message) {
            acknowledger.acknowledge(message.reference(), std::slice::from_mut(&mut message)).await;
        }
    }
}

fn all(_: &mut Message<Kill>) -> bool {
    true
}

#[tokio::test]
async fn every_layout_gives_its_kills_once_and_in_order() {
    let world = World::new().await;
    let multi = [gzip(lines(1..=4)), gzip(lines(5..=9))].concat();
    let paths = [
        world.write("plain.ndjson", lines(1..=9)),
        world.write("windows.ndjson", format!("\u{feff}{}", lines(1..=9).replace('\n', "\r\n\r\n"))),
        world.write("no-last-newline.ndjson", lines(1..=9).trim_end()),
        world.write("compressed, whatever its name", gzip(lines(1..=9))),
        world.write("members.gz", multi),
        world.write("lines.bz2", [bzip2(lines(1..=4).as_bytes()), bzip2(lines(5..=9).as_bytes())].concat()),
        world.write("killmails.tar", tar(1..=9)),
        world.write("killmails.tar.bz2", bzip2(&tar(1..=9))),
        world.write("killmails.tar.gz", gzip(tar(1..=9))),
        world.write("array.json", format!("[\n{}]", lines(1..=9).replace('\n', ",\n").trim_end_matches(",\n"))),
        world.write(
            "by-id.json",
            format!("{{{}}}", (1..=9).map(|n| format!("\"{n}\": {{\"n\": {n}}}")).collect::<Vec<_>>().join(",")),
        ),
    ];
    for path in &paths {
        let numbers = contract::source(&world.open(&[path]), number).await;
        assert_eq!(numbers, (1..=9).collect::<Vec<_>>(), "{}", path.display());
    }
    let empty = world.write("empty", "");
    assert_eq!(contract::source(&world.open(&[&world.write("no kills", "{}\n")]), number).await, Vec::<u32>::new());
    assert_eq!(contract::source(&world.open(&[&empty]), number).await, Vec::<u32>::new());
}

#[tokio::test]
async fn files_follow_one_another_and_progress_is_told() {
    let world = World::new().await;
    let (one, two) = (world.write("1", lines(1..=5)), world.write("2", gzip(lines(6..=9))));
    let files = world.open(&[&one, &two]);
    let (numbers, ended) = world.read(&files, all).await;
    assert_eq!((numbers, ended.is_ok()), ((1..=9).collect(), true));
    let progress = files.progress();
    let read = progress.bytes_read.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!((progress.bytes_total, progress.records.load(std::sync::atomic::Ordering::Relaxed)), (read, 9));
}

#[tokio::test]
async fn a_line_that_is_too_large_fails_alone() {
    let world = World::new().await;
    let path = world.write("large", format!("{}{}\n{}", lines(1..=2), "x".repeat(8_000_001), lines(3..=4)));
    let files = world.open(&[&path]);
    let mut source = files.build(0).await.unwrap();
    let (messages, _) = pull(source.as_mut(), 10).await;
    let (rest, _) = pull(source.as_mut(), 10).await;
    let messages: Vec<_> = messages.into_iter().chain(rest).collect();
    assert_eq!(messages.iter().map(Message::is_active).collect::<Vec<_>>(), [true, true, false, true, true]);
    assert_eq!(messages[2].payload.raw.len(), 64 * 1024);
    let error = &messages[2].failure().unwrap().error;
    assert_eq!(error, "record of 8000001 bytes, at most 8000000: only its start is kept");
}

#[tokio::test]
async fn a_gzip_that_is_cut_short_gives_its_whole_lines_then_the_other_files_then_an_error_that_names_it() {
    let world = World::new().await;
    // Random enough not to be compressed away.
    let long: String = (1..=2000_u32)
        .map(|n| format!("{{\"n\":{n},\"x\":{}}}\n", u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    let whole = gzip(&long);
    let cut = world.write("cut.gz", &whole[..whole.len() / 2]);
    let other = world.write("other", lines(5001..=5003));
    let files = world.open(&[&cut, &other]);
    let (numbers, ended) = world.read(&files, all).await;
    let before = numbers.len() - 3;
    assert!(before > 500, "{before}");
    assert_eq!(numbers[..before], (1..=before as u32).collect::<Vec<_>>());
    assert_eq!(numbers[before..], [5001, 5002, 5003]);
    let error = ended.unwrap_err().error;
    assert!(error.contains("cut.gz") && error.contains(&format!("beyond record {before}")), "{error}");
}

#[tokio::test]
async fn a_file_that_vanished_or_is_a_folder_is_named_at_once() {
    let world = World::new().await;
    let folder = world.folder.path().to_owned();
    for (path, reason) in [(folder.join("nowhere"), "No such file"), (folder.clone(), "it is a folder")] {
        let error = Config { paths: vec![path.clone()], checkpoint: true }.open("kills", &world.resources).unwrap_err();
        assert!(error.contains(&path.display().to_string()) && error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn an_interrupted_file_goes_on_behind_what_is_safe() {
    let world = World::new().await;
    let path = world.write("history", lines(1..=20));
    let files = world.open(&[&path]);
    let mut source = files.build(0).await.unwrap();
    let (messages, _) = pull(source.as_mut(), 12).await;
    // The sixth is still on its way when the process ends.
    acknowledge(&files, messages, |message| message.position() != 6).await;
    source.close().await;
    let (numbers, ended) = world.read(&world.open(&[&path]), all).await;
    assert_eq!((numbers, ended.is_ok()), ((6..=20).collect(), true));
    let (numbers, _) = world.read(&world.open(&[&path]), all).await;
    assert_eq!(numbers.len(), 20, "a file that was read to its end begins anew");
}

#[tokio::test]
async fn a_file_that_is_done_is_passed_over_until_all_are() {
    let world = World::new().await;
    let (one, two) = (world.write("1", lines(1..=5)), world.write("2", lines(6..=20)));
    let files = world.open(&[&one, &two]);
    let mut source = files.build(0).await.unwrap();
    let mut read = 0;
    while read < 9 {
        let (messages, _) = pull(source.as_mut(), 2).await;
        read += messages.len();
        acknowledge(&files, messages, all).await;
    }
    source.close().await;
    let (numbers, _) = world.read(&world.open(&[&one, &two]), all).await;
    assert_eq!(numbers, (10..=20).collect::<Vec<_>>());
    let (numbers, _) = world.read(&world.open(&[&one, &two]), all).await;
    assert_eq!(numbers.len(), 20);
}

#[tokio::test]
async fn what_failed_for_good_is_read_again_and_a_dead_letter_is_not() {
    let world = World::new().await;
    let path = world.write("history", lines(1..=20));
    let fail = |message: &mut Message<Kill>| {
        if message.position() >= 8 {
            message.fail(Failure::invalid("bad"));
            if message.position() == 8 {
                message.dead_letter();
            }
        }
        true
    };
    let (numbers, _) = world.read(&world.open(&[&path]), fail).await;
    assert_eq!(numbers.len(), 20);
    let (numbers, _) = world.read(&world.open(&[&path]), all).await;
    assert_eq!(numbers, (9..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_changed_file_begins_anew() {
    let world = World::new().await;
    let path = world.write("history", lines(1..=10));
    let files = world.open(&[&path]);
    let mut source = files.build(0).await.unwrap();
    let (messages, _) = pull(source.as_mut(), 5).await;
    acknowledge(&files, messages, all).await;
    source.close().await;
    world.write("history", lines(1..=11));
    let (numbers, _) = world.read(&world.open(&[&path]), all).await;
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_new_incarnation_hands_nothing_out_twice() {
    let world = World::new().await;
    let path = world.write("history", lines(1..=20));
    let files = world.open(&[&path]);
    let mut numbers = Vec::new();
    for _ in 0..4 {
        let mut source = files.build(0).await.unwrap();
        let (messages, _) = pull(source.as_mut(), 4).await;
        numbers.extend(messages.iter().map(|message| number(&message.payload)));
    }
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
}
