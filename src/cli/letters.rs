//! What `run` takes of the settings by which dead letters are kept.

use crate::dead_letter::Retention;
use crate::duration::Span;

/// How long dead letters are kept, and how many.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Dead letters")]
pub struct DeadLetters {
    /// Keep letters that were replayed or discarded for so long.
    #[arg(long, value_name = "TIME", env = "BROADSIDE_DEAD_LETTERS_KEEP", default_value = "90d")]
    pub dead_letters_keep: Span,
    /// Delete the oldest letters beyond so many bytes of payloads, open ones last.
    #[arg(long, value_name = "SIZE", env = "BROADSIDE_DEAD_LETTERS_SIZE_MAX", default_value = "1GiB", value_parser = size)]
    pub dead_letters_size_max: u64,
}

impl From<DeadLetters> for Retention {
    fn from(given: DeadLetters) -> Self {
        Self { keep: given.dead_letters_keep.0, size_max: given.dead_letters_size_max, ..Self::default() }
    }
}

/// `500000`, `64MiB`, `1GiB`, `2GB`.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("a size is a number with or without a unit: B, kB, MB, GB, KiB, MiB, GiB".to_owned()),
    };
    let number: u64 = text[..digits].parse().map_err(|_| "a size begins with a number, such as 1GiB".to_owned())?;
    number.checked_mul(unit).ok_or_else(|| "that is too large a size".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        letters: DeadLetters,
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let said = |line: &[&str]| Retention::from(Line::parse_from(line).letters);
        assert_eq!(said(&["run"]), Retention::default());
        let settings = said(&["run", "--dead-letters-keep", "7d", "--dead-letters-size-max", "64 MiB"]);
        assert_eq!((settings.keep.as_secs(), settings.size_max), (7 * 86_400, 64 << 20));
    }

    #[test]
    fn sizes_are_written_with_their_units() {
        assert_eq!(["5", "5B", "2kB", "1KiB"].map(size), [Ok(5), Ok(5), Ok(2_000), Ok(1_024)]);
        assert!(["", "GiB", "1 TB", "-1", "99999999999GiB"].iter().all(|text| size(text).is_err()));
    }
}
