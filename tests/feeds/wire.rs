//! Bytes on the wire, however they come, give the kills that they hold.

use proptest::prelude::*;

use crate::server::{Server, cut, stream};
use crate::{bodies, config, source};

/// The kills of one connection that gets these chunks.
async fn kills<B: AsRef<[u8]>>(chunks: impl IntoIterator<Item = B>, count: usize) -> Vec<String> {
    let server = Server::start(vec![stream(chunks)]).await;
    let mut source = source(&config(&server.url())).await;
    bodies(&mut *source, count).await
}

#[tokio::test]
async fn a_split_at_any_position_changes_nothing() {
    for eol in ["\n", "\r\n", "\r"] {
        let lines =
            ["retry: 2000", "", ": ping", "", "data: {\"é\":1}", "", "event: killmail", "data: {", "data: }", "", ""];
        // The last frame closes the one before: a CR may still be the first half of a CR LF.
        let text = format!("{}data: 3{eol}{eol}", lines.join(eol));
        let bytes = text.as_bytes();
        for at in 0..=bytes.len() {
            let found = kills([&bytes[..at], &bytes[at..]], 3).await;
            assert_eq!(found, ["{\"é\":1}", "{\n}", "3"], "{eol:?} split at {at}");
        }
    }
}

#[tokio::test]
async fn single_bytes_make_a_kill_too() {
    let text = "\u{feff}event: killmail\r\ndata: {\"name\":\"\u{1F680}\"}\r\n\r\n";
    assert_eq!(kills(text.bytes().map(|byte| [byte]), 1).await, ["{\"name\":\"\u{1F680}\"}"]);
}

#[tokio::test]
async fn invalid_bytes_spoil_only_the_event_they_stand_in() {
    let found = kills([&b"data: 1\n\ndata: a\xff\xfe\xc3"[..], b"(\n\ndata: 3\n\nda\xff: x\n\ndata: 4\n\n"], 4).await;
    assert_eq!(found, ["1", "a\u{fffd}\u{fffd}\u{fffd}(", "3", "4"]);
}

#[tokio::test]
async fn unknown_and_empty_frames_are_passed_over() {
    assert_eq!(kills(["foo: bar\n\nevent:\n\nid: 3\n\ndata:\n\n\n\n:\n\ndata: 1\n\n"], 1).await, ["1"]);
}

#[tokio::test]
async fn a_page_of_html_in_the_stream_becomes_a_message() {
    assert_eq!(kills(["data: <html>502</html>\n\ndata: 2\n\n"], 2).await, ["<html>502</html>", "2"]);
}

#[tokio::test]
async fn a_frame_beyond_16_megabytes_comes_cut_and_the_next_one_whole() {
    let piece = vec![b'x'; 1024 * 1024];
    let chunks =
        [b"data: ".to_vec()].into_iter().chain((0..17).map(|_| piece.clone())).chain([b"\n\ndata: 2\n\n".to_vec()]);
    let found = kills(chunks, 2).await;
    assert_eq!(found[0].len(), 16 * 1024 * 1024 - "data: ".len());
    assert_eq!(found[1], "2");
}

#[tokio::test]
async fn half_a_frame_is_no_kill() {
    let first = cut(["data: 1\n\ndata: {\"killmail_id\":2}\n"]);
    let server = Server::start(vec![first, stream(["data: 3\n\n"])]).await;
    let mut source = source(&config(&server.url())).await;
    assert_eq!(bodies(&mut *source, 2).await, ["1", "3"]);
}

#[tokio::test]
async fn each_kill_of_a_batch_is_a_message_of_its_own_bytes() {
    let text = "event: connected\ndata: {}\n\nevent: batch\ndata: {\"kills\":[{\"killmail_id\": 1},{\"x\":1.50}],\"count\":2}\n\n\
                event: transition\ndata: {}\n\nevent: heartbeat\ndata: {}\n\nevent: error\ndata: {}\n\nevent: killmail\ndata: 3\n\n";
    assert_eq!(kills([text], 3).await, ["{\"killmail_id\": 1}", "{\"x\":1.50}", "3"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_split_of_a_stream_gives_the_same_kills(
        names in proptest::collection::vec("[a-zé\u{1F680}\u{feff} :]{0,12}", 1..8),
        eols in proptest::collection::vec(prop_oneof![Just("\n"), Just("\r\n"), Just("\r")], 8),
        splits in proptest::collection::vec(0usize..400, 0..20),
    ) {
        let expected: Vec<_> = names.iter().map(|name| format!("<{name}>")).collect();
        let frames = expected.iter().zip(&eols).map(|(body, eol)| format!(": ping{eol}{eol}data: {body}{eol}{eol}"));
        let bytes = frames.collect::<String>().into_bytes();
        let mut cuts: Vec<_> = splits.into_iter().map(|at| at.min(bytes.len())).chain([0, bytes.len()]).collect();
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let found = runtime.block_on(kills(chunks, expected.len()));
        prop_assert_eq!(found, expected);
    }
}
