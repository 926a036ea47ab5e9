//! Where the members of a JSON array or object begin and end.

use std::io;

/// Follows braces, brackets and strings: just enough to tell members apart. What is wrong within one `decode` finds out.
#[derive(Debug, Default)]
pub(super) struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
    /// Within an array or object that is a member.
    in_member: bool,
    is_closed: bool,
}

impl Scan {
    /// Goes on over a chunk to the end of a member: what of the chunk belongs to it, and whether it is whole.
    pub(super) fn run(&mut self, chunk: &[u8]) -> (usize, usize, bool) {
        let mut start = if self.in_member { 0 } else { chunk.len() };
        for (at, byte) in chunk.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => {
                    if self.depth == 1 {
                        self.in_member = true;
                        start = at;
                    }
                    self.depth += 1;
                }
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 1 && self.in_member {
                        self.in_member = false;
                        return (start, at + 1, true);
                    }
                    self.is_closed = self.depth == 0;
                }
                _ => {}
            }
        }
        (start, chunk.len(), false)
    }

    /// Whether the stream may end here.
    pub(super) fn end(&self) -> io::Result<()> {
        if self.is_closed && self.depth == 0 {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the JSON is cut short"))
    }
}
