//! Any bytes from a feed, in any pieces: no panic, clean frames, and the split makes no difference.
#![no_main]

use broadside::clients::frames::Frames;
use broadside::sources::wanderer::events;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 4096;

fn frames(chunks: &[&[u8]]) -> Option<Vec<Bytes>> {
    let mut frames = Frames::new(LIMIT);
    let mut found = Vec::new();
    for chunk in chunks {
        let mut chunk = Bytes::copy_from_slice(chunk);
        while let Some(frame) = frames.take(&mut chunk).ok()? {
            found.push(frame.bytes);
        }
    }
    Some(found)
}

fuzz_target!(|input: (usize, &[u8])| {
    let (at, bytes) = input;
    let whole = frames(&[bytes]);
    let (first, second) = bytes.split_at(at % (bytes.len() + 1));
    assert_eq!(whole, frames(&[first, second]));
    for frame in whole.into_iter().flatten() {
        let text = std::str::from_utf8(&frame).expect("frames are clean text");
        assert!(text.ends_with("\n\n"));
        for kind in ["message", "batch"] {
            let _ = events::kills(kind, text.to_owned());
        }
    }
});
