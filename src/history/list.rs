//! zKillboard's list of a day: ids and hashes, as far as they can be used.

use std::collections::HashMap;

use crate::killmail::{KillmailHash, KillmailId};

/// Hashes by id; `None` where the list has none that could be one (empty, cut, no text).
pub(super) type List = HashMap<KillmailId, Option<KillmailHash>>;

/// Reads a list. A day without kills is an empty object or, as PHP writes it, an empty array.
///
/// # Errors
/// It is something else, or broken.
pub(super) fn read(bytes: &[u8]) -> Result<List, String> {
    if bytes.trim_ascii() == b"[]" {
        return Ok(List::new());
    }
    let entries: HashMap<String, serde_json::Value> =
        serde_json::from_slice(bytes).map_err(|error| format!("the list of kills is broken: {error}"))?;
    let named = !entries.is_empty();
    let list: List = entries.iter().filter_map(|(id, hash)| Some((self::id(id)?, self::hash(hash)))).collect();
    if named && list.is_empty() {
        return Err("what came is no list of kills".to_owned());
    }
    Ok(list)
}

fn id(text: &str) -> Option<KillmailId> {
    KillmailId::new(text.trim().parse().ok()?)
}

/// Old lists have hashes with blanks behind them, and empty ones.
fn hash(value: &serde_json::Value) -> Option<KillmailHash> {
    KillmailHash::parse(value.as_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_trimmed_or_absent_and_ids_that_are_none_are_left_out() {
        let hash = "0123456789abcdef0123456789ABCDEF01234567";
        let text =
            format!(r#"{{"7":"{hash}  "," 8 ":"","9":null,"10":"{}","11":3,"0":"{hash}","x":"{hash}"}}"#, &hash[1..]);
        let list = read(text.as_bytes()).expect("a list");
        let mut found: Vec<_> = list.iter().map(|(id, hash)| (id.get(), hash.map(|hash| hash.to_string()))).collect();
        found.sort();
        assert_eq!(found, [(7, Some(hash.to_lowercase())), (8, None), (9, None), (10, None), (11, None)]);
    }

    #[test]
    fn a_day_without_kills_is_empty_and_anything_else_is_no_list() {
        assert!(read(b"{}").expect("empty").is_empty() && read(b" []\n").expect("empty").is_empty());
        for text in ["", "<html></html>", r#"{"error":"no"}"#, r#"{"7":"ab"#, "[1]", "null"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
