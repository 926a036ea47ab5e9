//! The slow reading, which knows where it is: for errors only.

use serde::de::DeserializeSeed;
use serde_json::error::Category;
use serde_path_to_error::{Deserializer, Path, Segment, Track};

use super::Error;
use super::body::{Body, Draft};

/// Reads the text once more. Should it succeed after all, so much the better.
pub(super) fn read(text: &str) -> Result<Draft, Error> {
    let mut draft = Draft::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = Track::new();
    let read = Body::new(&mut draft).deserialize(Deserializer::new(&mut json, &mut track));
    match read.and_then(|()| json.end()) {
        Ok(()) => Ok(draft),
        Err(error) if error.classify() == Category::Data => {
            Err(Error::field(path(&track.path()), problem(&error.to_string())))
        }
        Err(error) => Err(broken(text, &error)),
    }
}

/// `esi.victim.items[3].flag`. The names come from the sender, but only those that we know lead to an error.
fn path(path: &Path) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.extend(key.chars().filter(|c| !c.is_control()).take(40));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// Serde's sentence in our words, and without the text that was found: it may be long, and players write it.
fn problem(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(sentence, _)| sentence);
    let Some(found) = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: ")) else {
        return message.to_owned();
    };
    let (found, expected) = found.rsplit_once(", expected ").unwrap_or((found, "something else"));
    let kind = match found.split_whitespace().next().unwrap_or_default() {
        "string" if message.starts_with("invalid value") => "another string".to_owned(),
        "string" => "a string".to_owned(),
        "integer" | "floating" | "boolean" => found.split('`').nth(1).unwrap_or(found).to_owned(),
        "map" => "an object".to_owned(),
        "sequence" => "a list".to_owned(),
        other => other.to_owned(),
    };
    format!("expected {expected}, found {kind}")
}

fn broken(text: &str, error: &serde_json::Error) -> Error {
    let line = error.line();
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let at = if error.is_eof() { text.len() } else { (start + error.column().saturating_sub(1)).min(text.len()) };
    let message = error.to_string();
    let problem = message.rsplit_once(" at line ").map_or(&*message, |(sentence, _)| sentence).to_owned();
    Error::Broken { at, line, problem }
}
