//! Reading a killmail in any of the shapes in which feeds and files hold it.
//!
//! | shape | where it comes from |
//! |---|---|
//! | `{"killmail_id", "killmail_time", "victim", …}` | ESI, daily archives |
//! | `{"killmail_id", "hash", "esi": {…}, "zkb": {…}}` | zKillboard's numbered files |
//! | `{"killID", "killmail": {…}, "zkb": {…}}`, alone or as `{"package": {…}}` | RedisQ and its clones |
//! | `{"killmail_id", "kill_time", "system_id", …, "zkb": {…}}` without items | wanderer-kills |
//!
//! One pass over the text builds the [`Killmail`]; only when that fails is the text read again, slowly, to say what is
//! wrong and where. Unknown fields are passed over, `null` means absent, and so does an id of 0. Integers may stand where numbers
//! with a fraction are expected, and `5.0` where an integer is.
//!
//! Everything is bounded: 8 MB, 10,000 attackers, 1,000 labels, items within items and no deeper.

mod body;
mod explain;
mod peek;
mod scalar;

pub use peek::{Peek, peek};
pub(crate) use scalar::cents;

use crate::killmail::Killmail;

/// The largest killmail that is read.
pub const BYTES_MAX: usize = 8_000_000;
/// As in ESI's own schema.
pub const ATTACKERS_MAX: usize = 10_000;
/// Of zKillboard's labels; kills have up to about a dozen.
pub const LABELS_MAX: usize = 1_000;
/// An item, and an item within it.
pub const ITEM_DEPTH_MAX: usize = 2;

/// What is wrong with the bytes, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("larger than 8 MB: {bytes} bytes")]
    TooLarge { bytes: usize },
    #[error("not UTF-8 at byte {at}")]
    NotUtf8 { at: usize },
    #[error("broken JSON at byte {at} (line {line}): {problem}")]
    Broken { at: usize, line: usize, problem: String },
    /// `path` as in `esi.victim.items[3].flag`; empty when it is the whole.
    #[error("{path}{}{problem}", if path.is_empty() { "" } else { ": " })]
    Field { path: String, problem: String },
}

impl Error {
    fn field(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { path: path.into(), problem: problem.into() }
    }
}

/// Reads one killmail, in any shape.
///
/// # Errors
/// What is wrong first: size, encoding, JSON, a field's type, a missing field.
pub fn decode(bytes: &[u8]) -> Result<Killmail, Error> {
    if bytes.len() > BYTES_MAX {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Error::NotUtf8 { at: error.valid_up_to() })?;
    let draft = match body::read(text) {
        Some(draft) => draft,
        None => explain::read(text)?,
    };
    draft.finish()
}
