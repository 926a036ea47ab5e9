//! Cuts the bytes of an event stream into whole, clean, bounded frames; pure.
//!
//! It stands between the socket and the event parser of `eventsource-client`, which by itself would give up the
//! connection, and lose what it holds, over one invalid byte or one unknown field, would not see a `retry:` in a frame
//! without data, would parse a chunk to its end before it hands out the first event, and would take a line of any length.
//! So the parser is given one frame at a time that holds nothing but `event`, `data` and `id` lines in valid UTF-8.

use std::time::Duration;

use bytes::{Buf, Bytes};

/// A byte order mark: allowed at the very start, forgiven at the start of any line.
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A frame went on and on: nothing more can be expected of this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("find the end of a frame within {0} bytes")]
pub struct Endless(pub usize);

/// One frame, ready for the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Lines ended by LF, the last one empty.
    pub bytes: Bytes,
    /// It was larger than the limit: this is its beginning.
    pub cut: bool,
}

/// Takes chunks, however they are split, and gives frames.
#[derive(Debug)]
pub struct Frames {
    frame: Vec<u8>,
    line_start: usize,
    /// Bytes of the present frame, dropped ones included.
    seen: usize,
    /// A line worth handing over has been kept.
    has_content: bool,
    /// The last byte was a CR: an LF now is its second half.
    after_cr: bool,
    /// The frame was too large; what is left of it is dropped.
    skipping: bool,
    retry: Option<Duration>,
    limit: usize,
}

impl Frames {
    /// Frames of up to `limit` bytes; larger ones come cut. Four times the limit without an end is an error.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            frame: Vec::new(),
            line_start: 0,
            seen: 0,
            has_content: false,
            after_cr: false,
            skipping: false,
            retry: None,
            limit,
        }
    }

    /// What the last `retry:` said.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Whether a frame has begun and not ended: at the end of a stream, that frame was cut off and is lost.
    #[must_use]
    pub fn is_inside_frame(&self) -> bool {
        self.has_content || self.frame.len() > self.line_start
    }

    /// Takes bytes off the chunk until a frame is whole; `None` when the chunk is used up.
    ///
    /// # Errors
    /// [`Endless`]: give up the connection.
    pub fn take(&mut self, chunk: &mut Bytes) -> Result<Option<Frame>, Endless> {
        while chunk.has_remaining() {
            if std::mem::take(&mut self.after_cr) && chunk[0] == b'\n' {
                chunk.advance(1);
                continue;
            }
            let end = chunk.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let length = end.unwrap_or(chunk.len());
            let cut = self.extend(&chunk[..length])?;
            self.after_cr = end.is_some_and(|end| chunk[end] == b'\r');
            chunk.advance(length + usize::from(end.is_some()));
            let whole = if end.is_some() { self.end_line() } else { None };
            if let Some(frame) = cut.or(whole) {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Adds to the present line; gives the frame's beginning when that makes it too large.
    fn extend(&mut self, bytes: &[u8]) -> Result<Option<Frame>, Endless> {
        self.seen += bytes.len();
        if self.seen > self.limit.saturating_mul(4) {
            return Err(Endless(self.seen));
        }
        let room = self.limit.saturating_sub(self.frame.len());
        self.frame.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() <= room || self.skipping {
            return Ok(None);
        }
        self.keep_or_drop_line();
        self.skipping = true;
        // A mark, so that the line is not taken for the empty one that ends the frame.
        let cut = self.finish(true);
        self.frame.push(b':');
        Ok(cut)
    }

    fn end_line(&mut self) -> Option<Frame> {
        if self.frame.len() > self.line_start {
            self.keep_or_drop_line();
            return None;
        }
        self.seen = 0;
        self.skipping = false;
        self.finish(false)
    }

    /// The frame as it is, if it holds anything; an empty one begins.
    fn finish(&mut self, cut: bool) -> Option<Frame> {
        self.line_start = 0;
        let mut frame = std::mem::take(&mut self.frame);
        if !std::mem::take(&mut self.has_content) {
            return None;
        }
        frame.push(b'\n');
        let bytes = match String::from_utf8(frame) {
            Ok(text) => Bytes::from(text),
            Err(error) => Bytes::from(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        };
        Some(Frame { bytes, cut })
    }

    /// A line is whole: keeps what the parser should see, reads `retry:` itself.
    fn keep_or_drop_line(&mut self) {
        if self.frame[self.line_start..].starts_with(BOM) {
            self.frame.drain(self.line_start..self.line_start + BOM.len());
        }
        let line = &self.frame[self.line_start..];
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let content = matches!(name, b"data" | b"id");
        if name == b"retry" {
            self.retry = milliseconds(value).or(self.retry);
        }
        if self.skipping || !(content || name == b"event") {
            self.frame.truncate(self.line_start);
        } else {
            self.frame.push(b'\n');
            self.has_content |= content;
        }
        self.line_start = self.frame.len();
    }
}

/// The value of a `retry:` line, colon included. Digits only, as the standard has it.
fn milliseconds(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value.strip_prefix(b":")?).ok()?.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames_of(chunks: &[&[u8]], limit: usize) -> (Vec<String>, Frames) {
        let mut frames = Frames::new(limit);
        let mut found = Vec::new();
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(frame) = frames.take(&mut chunk).expect("an end") {
                let cut = if frame.cut { "✂" } else { "" };
                found.push(format!("{}{cut}", std::str::from_utf8(&frame.bytes).expect("clean text")));
            }
        }
        (found, frames)
    }

    fn frames(bytes: &[u8]) -> Vec<String> {
        frames_of(&[bytes], 1000).0
    }

    #[test]
    fn every_line_ending_gives_the_same_frames() {
        for eol in ["\n", "\r\n", "\r"] {
            let text = ["event: a", "data: 1", "", ": ping", "", "data: 2", "", ""].join(eol);
            assert_eq!(frames(text.as_bytes()), ["event: a\ndata: 1\n\n", "data: 2\n\n"], "{eol:?}");
        }
    }

    #[test]
    fn an_unfinished_frame_is_never_given() {
        let (found, frames) = frames_of(&[b"data: 1\n\ndata: 2\n"], 1000);
        assert_eq!(found, ["data: 1\n\n"]);
        assert!(frames.is_inside_frame());
        assert!(!frames_of(&[b"data: 1\n\n: ping\n"], 1000).1.is_inside_frame());
    }

    #[test]
    fn a_retry_without_data_is_read() {
        let (found, frames) = frames_of(&[b"retry: 2000\n\nretry: x\n\nretry: -1\n\n"], 1000);
        assert!(found.is_empty());
        assert_eq!(frames.retry(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn invalid_bytes_become_replacement_characters_and_cost_nothing_else() {
        assert_eq!(frames(b"data: a\xff\xc3(\n\ndata: 2\n\n"), ["data: a\u{fffd}\u{fffd}(\n\n", "data: 2\n\n"]);
    }

    #[test]
    fn unknown_fields_and_frames_without_content_are_dropped() {
        assert_eq!(frames(b"foo: bar\n\nevent:\n\nevent: x\n\nnonsense\ndata: 1\n\n"), ["data: 1\n\n"]);
    }

    #[test]
    fn a_byte_order_mark_hides_no_field() {
        assert_eq!(frames(b"\xEF\xBB\xBFdata: 1\n\n\xEF\xBB\xBFdata: 2\n\n"), ["data: 1\n\n", "data: 2\n\n"]);
    }

    #[test]
    fn a_frame_beyond_the_limit_comes_cut_and_the_next_one_whole() {
        let (found, _) = frames_of(&[b"event: x\ndata: 0123456789\ndata: more\n\ndata: 2\n\n"], 20);
        assert_eq!(found, ["event: x\ndata: 01234\n\n✂", "data: 2\n\n"]);
        let (found, _) = frames_of(&[b"data: 0123456789012345", b"678901234\n", b"\ndata: 2\n\n"], 20);
        assert_eq!(found, ["data: 01234567890123\n\n✂", "data: 2\n\n"]);
    }

    #[test]
    fn an_overlong_comment_is_dropped() {
        let (found, _) = frames_of(&[b": 0123456789012345678901234\ndata: 1\n\ndata: 2\n\n"], 20);
        assert_eq!(found, ["data: 2\n\n"]);
    }

    #[test]
    fn a_line_without_end_is_an_error_and_is_not_held() {
        let mut frames = Frames::new(20);
        let mut chunk = Bytes::from(vec![b'x'; 1000]);
        assert_eq!(frames.take(&mut chunk), Err(Endless(1000)));
        let mut frames = Frames::new(20);
        for _ in 0..8 {
            assert_eq!(frames.take(&mut Bytes::from_static(b"0123456789")), Ok(None));
            assert!(frames.frame.capacity() <= 64);
        }
        assert!(frames.take(&mut Bytes::from_static(b"0")).is_err());
    }

    /// Streams made of the pieces that matter, so that chance finds the corners.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"data: ".to_vec()),
            Just(b"event: killmail".to_vec()),
            Just(b"id: 7".to_vec()),
            Just(b"retry: 9".to_vec()),
            Just(b": ping".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(BOM.to_vec()),
            Just("é\u{1F680}".as_bytes().to_vec()),
            proptest::collection::vec(any::<u8>(), 0..6),
        ];
        proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(bytes in stream(), splits in proptest::collection::vec(0usize..200, 0..12), limit in 15usize..200) {
            let mut cuts: Vec<_> = splits.into_iter().map(|at| at.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            let whole = run(&[&bytes], limit);
            prop_assert_eq!(run(&chunks, limit), whole);
        }
    }

    /// Like `frames_of`, with errors as a result: where an endless frame is noticed depends on the split, that it is does not.
    fn run(chunks: &[&[u8]], limit: usize) -> (Vec<Frame>, bool) {
        let mut frames = Frames::new(limit);
        let mut found = Vec::new();
        for chunk in chunks {
            let mut chunk = Bytes::copy_from_slice(chunk);
            loop {
                match frames.take(&mut chunk) {
                    Ok(Some(frame)) => found.push(frame),
                    Ok(None) => break,
                    Err(_) => return (Vec::new(), true),
                }
            }
        }
        (found, false)
    }
}
