//! JSON laid out anew without being read: numbers stay as they were written.

/// Without blanks between its parts.
#[must_use]
pub fn compact(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for part in parts(json) {
        out.push_str(part);
    }
    out
}

/// A member or an element a line, but short lists and objects on one.
#[must_use]
pub fn laid_out(json: &str) -> String {
    /// Bytes of a list or an object that stays on its line.
    const SHORT: usize = 72;
    let parts: Vec<&str> = parts(json).collect();
    let (mut out, mut depth, mut at) = (String::with_capacity(json.len() * 2), 0, 0);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(part) = parts.get(at) {
        match *part {
            "{" | "[" => {
                let end = end_of(&parts, at);
                let inside: usize = parts[at..=end].iter().map(|part| part.len() + 1).sum();
                if inside <= SHORT && depth > 0 || end == at + 1 {
                    parts[at..=end].iter().for_each(|part| out.push_str(&spaced(part)));
                    at = end;
                } else {
                    depth += 1;
                    out.push_str(part);
                    line(&mut out, depth);
                }
            }
            "}" | "]" => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push_str(part);
            }
            "," => {
                out.push(',');
                line(&mut out, depth);
            }
            part => out.push_str(&spaced(part)),
        }
        at += 1;
    }
    out
}

fn spaced(part: &str) -> String {
    if part == ":" || part == "," { format!("{part} ") } else { part.to_owned() }
}

/// Where what begins there ends.
fn end_of(parts: &[&str], begin: usize) -> usize {
    let mut depth = 0;
    for (at, part) in parts.iter().enumerate().skip(begin) {
        match *part {
            "{" | "[" => depth += 1,
            "}" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    parts.len().saturating_sub(1)
}

/// Strings, brackets, commas, colons, and what stands between them.
fn parts(json: &str) -> impl Iterator<Item = &str> {
    let mut rest = json.trim_ascii_start();
    std::iter::from_fn(move || {
        let bytes = rest.as_bytes();
        let length = match bytes.first()? {
            b'"' => string(bytes),
            b'{' | b'}' | b'[' | b']' | b',' | b':' => 1,
            _ => bytes.iter().position(|b| b"{}[],:\" \t\r\n".contains(b)).unwrap_or(bytes.len()).max(1),
        };
        let (part, left) = rest.split_at(length);
        rest = left.trim_ascii_start();
        Some(part)
    })
}

/// Bytes of the string at the start.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn numbers_and_strings_stay_as_they_were_written() {
        let json = "{ \"a\" : [ 1e8 , 1.10,\n12345678901234567890.12 ],\t\"b \\\" , [\" : { } }";
        assert_eq!(compact(json), "{\"a\":[1e8,1.10,12345678901234567890.12],\"b \\\" , [\":{}}");
        let out = "{\n  \"a\": [1e8, 1.10, 12345678901234567890.12],\n  \"b \\\" , [\": {}\n}";
        assert_eq!(laid_out(json), out);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            "\\PC*".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,5}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_says_the_same_however_it_is_laid_out(value in values()) {
            let text = serde_json::to_string_pretty(&value).expect("it serializes");
            prop_assert_eq!(compact(&text), value.to_string());
            prop_assert_eq!(compact(&laid_out(&text)), value.to_string());
        }

        #[test]
        fn no_text_at_all_breaks_it(text in "\\PC*") {
            let _ = (compact(&text), laid_out(&text));
        }
    }
}
