//! What letters of one cause have in common: the error without what differs from one to the next, and a hash of it.
//!
//! It is here, and not with the dead letters' keeper, so that nothing can be kept without one.
//!
//! | of the error | stands for |
//! |---|---|
//! | `<n>` | a number, also a part of a word; a list of them is one |
//! | `<hex>` | eight or more hexadecimal digits with both letters and digits among them, an UUID, `0x…` |
//! | `<time>` | a date or a time of day |
//! | `"…"` | what was quoted, unless it names a column, a field, a constraint or the like |

use sha2::{Digest, Sha256};

use super::NewDeadLetter;

/// Characters of a normalised error.
const TEXT_MAX: usize = 200;
/// Characters of an error that are looked at.
const LOOK_MAX: usize = 2_000;
/// What is named in quotes after one of these belongs to the cause. A `field` that is unknown does not: it came with the payload.
const NAMING: [&str; 14] = [
    "batcher",
    "column",
    "constraint",
    "field",
    "function",
    "index",
    "partition",
    "relation",
    "schema",
    "sequence",
    "sink",
    "stage",
    "table",
    "trigger",
];
const NAME_MAX: usize = 63;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// 16 hexadecimal digits.
    pub hash: String,
    /// The normalised error.
    pub text: String,
}

/// Of a letter: its pipeline, stage, class, normalised error, and SQLSTATE or HTTP status.
#[must_use]
pub fn fingerprint(letter: &NewDeadLetter) -> Fingerprint {
    let text = normalised(&letter.error);
    let status = letter.http_status.map(|status| status.to_string());
    let status = letter.sqlstate.clone().or(status).unwrap_or_default();
    let mut digest = Sha256::new();
    for part in [&letter.pipeline, &letter.stage, &letter.class, &text, &status] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    let hash = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Fingerprint { hash, text }
}

/// The error with placeholders, on one line, and bounded.
fn normalised(error: &str) -> String {
    let shown: String = error.chars().take(LOOK_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut text = Text::default();
    let mut rest = shown.as_str();
    while let Some(first) = rest.chars().next() {
        let taken = match first {
            '"' | '`' | '\'' => text.quoted(rest, first),
            c if c.is_ascii_digit() => text.number(rest),
            c if is_word(c) => text.word(rest),
            c if c.is_whitespace() => {
                text.space();
                c.len_utf8()
            }
            c => {
                text.out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    text.end()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The text as far as it is made. Each step answers how many bytes it has taken.
#[derive(Debug, Default)]
struct Text {
    out: String,
}

impl Text {
    fn space(&mut self) {
        if !self.out.ends_with(' ') && !self.out.is_empty() {
            self.out.push(' ');
        }
    }

    /// A placeholder; one after the same in a list says nothing more.
    fn placeholder(&mut self, what: &str) {
        let before = self.out.strip_suffix(", ").or_else(|| self.out.strip_suffix(','));
        if let Some(before) = before
            && before.ends_with(what)
        {
            self.out.truncate(before.len());
            return;
        }
        self.out.push_str(what);
    }

    fn quoted(&mut self, rest: &str, mark: char) -> usize {
        // In a word it is an apostrophe.
        let is_apostrophe = mark == '\'' && self.out.ends_with(is_word);
        let end = if is_apostrophe { None } else { closing(rest, mark) };
        let Some(end) = end else {
            self.out.push(mark);
            return mark.len_utf8();
        };
        let inner = &rest[1..end];
        if self.names() && is_name(inner) {
            self.out.push(mark);
            self.out.push_str(&digits_out(inner));
            self.out.push(mark);
        } else {
            self.placeholder("\"…\"");
        }
        end + 1
    }

    /// Whether what comes next in quotes is a name of ours, by the words before it.
    fn names(&self) -> bool {
        let mut words = self.out.trim_end().rsplit(|c: char| !is_word(c));
        let is_naming = words.next().is_some_and(|word| NAMING.contains(&word.to_ascii_lowercase().as_str()));
        is_naming && words.next() != Some("unknown")
    }

    fn number(&mut self, rest: &str) -> usize {
        if let Some(taken) = time(rest) {
            self.placeholder("<time>");
            return taken;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        // More than a number: `1f3a…`, or an UUID.
        let word = rest.find(|c: char| !(is_word(c) || c == '-')).unwrap_or(rest.len());
        if let Some(taken) = hex(&rest[..word]) {
            self.placeholder("<hex>");
            return taken;
        }
        let bytes = rest.as_bytes();
        let mut end = digits;
        // Of `1.5`, `1,000.50`, `10.0.0.1` and `1e9` one number; not of a full stop or a list.
        while end + 1 < bytes.len() && matches!(bytes[end], b'.' | b',') && bytes[end + 1].is_ascii_digit() {
            end += 1 + bytes[end + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        }
        if let Some(exponent) = rest[end..].strip_prefix(['e', 'E']) {
            let signed = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let digits = signed.bytes().take_while(u8::is_ascii_digit).count();
            let is_whole = !signed[digits..].starts_with(is_word);
            if digits > 0 && is_whole {
                end += 1 + (exponent.len() - signed.len()) + digits;
            }
        }
        if self.out.ends_with('-') && !self.out.trim_end_matches('-').ends_with(is_word) {
            self.out.pop();
        }
        self.placeholder("<n>");
        end
    }

    fn word(&mut self, rest: &str) -> usize {
        let end = rest.find(|c: char| !(is_word(c) || c == '-')).unwrap_or(rest.len());
        if let Some(taken) = hex(&rest[..end]) {
            self.placeholder("<hex>");
            return taken;
        }
        let end = rest.find(|c: char| !is_word(c) || c.is_ascii_digit()).unwrap_or(rest.len());
        self.out.push_str(&rest[..end]);
        end
    }

    fn end(self) -> String {
        let text = self.out.trim_end();
        if text.chars().count() <= TEXT_MAX {
            return text.to_owned();
        }
        let short: String = text.chars().take(TEXT_MAX - 1).collect();
        format!("{}…", short.trim_end())
    }
}

/// Where the quote that begins `rest` ends, if it does.
fn closing(rest: &str, mark: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if mark == '"' => escaped = true,
            c if c == mark => return Some(at),
            _ => {}
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && text.len() <= NAME_MAX && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.".contains(&c))
}

fn digits_out(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            c if !c.is_ascii_digit() => out.push(c),
            _ if out.ends_with("<n>") => {}
            _ => out.push_str("<n>"),
        }
    }
    out
}

/// Bytes of a word that is a hexadecimal id.
fn hex(word: &str) -> Option<usize> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = digits.bytes().all(|c| c.is_ascii_hexdigit() || c == b'-');
    let count = digits.bytes().filter(u8::is_ascii_hexdigit).count();
    let has = |is: fn(&u8) -> bool| digits.bytes().any(|c| is(&c));
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    let is_id = is_hex && (count >= 8 && is_mixed || digits.len() < word.len() && count > 0);
    is_id.then_some(word.len())
}

/// Bytes of a date, with a time of day or not, or of a time of day.
fn time(rest: &str) -> Option<usize> {
    let date = shape(rest, "dddd-dd-dd");
    let after = date.unwrap_or(0);
    let separator = match date {
        Some(date) if rest[date..].starts_with(['T', 't', ' ']) => 1,
        Some(date) => return Some(date),
        None => 0,
    };
    let Some(clock) = rest.get(after + separator..).and_then(|rest| shape(rest, "dd:dd:dd")) else { return date };
    let mut end = after + separator + clock;
    if let Some(fraction) = rest[end..].strip_prefix('.') {
        end += 1 + fraction.bytes().take_while(u8::is_ascii_digit).count();
    }
    let zone = &rest[end..];
    let offset = zone.strip_prefix(['+', '-']).and_then(|zone| shape(zone, "dd:dd"));
    end += offset.map_or(usize::from(zone.starts_with(['Z', 'z'])), |offset| offset + 1);
    Some(end)
}

/// Bytes of what has this shape at the start of a text: `d` is a digit. What goes on with a digit has it not.
fn shape(rest: &str, shape: &str) -> Option<usize> {
    let bytes = rest.as_bytes().get(..shape.len())?;
    let fits = |(byte, shape): (&u8, u8)| if shape == b'd' { byte.is_ascii_digit() } else { *byte == shape };
    let goes_on = rest.as_bytes().get(shape.len()).is_some_and(u8::is_ascii_digit);
    (bytes.iter().zip(shape.bytes()).all(fits) && !goes_on).then_some(shape.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_differs_between_letters_of_one_cause_is_a_placeholder() {
        for (error, expected) in [
            ("expected value at line 1 column 1077", "expected value at line <n> column <n>"),
            ("missing field `victim` at line 1 column 2", "missing field `victim` at line <n> column <n>"),
            ("unknown field `vicitm`, expected one of `a`, `b`", "unknown field \"…\", expected one of \"…\""),
            ("invalid type: string \"a \\\" b\", expected i64", "invalid type: string \"…\", expected i<n>"),
            (
                "null value in column \"npc\" of relation \"killmails_raw_2021_11\" violates not-null constraint",
                "null value in column \"npc\" of relation \"killmails_raw_<n>_<n>\" violates not-null constraint",
            ),
            ("ESI answers 502 Bad Gateway after 1.5 s", "ESI answers <n> Bad Gateway after <n> s"),
            ("connect to 10.0.0.1:5432: refused", "connect to <n>:<n>: refused"),
            ("kill 97030352 of 2021-11-30T01:02:03.456Z is early", "kill <n> of <time> is early"),
            ("at 2021-11-30 01:02:03+00:00, or 11:22:33", "at <time>, or <time>"),
            ("at 2021-11-30, or 11:22:33", "at <time>, or <time>"),
            ("hash 9f86d081884c7d659a2feaa0c55ad015 is known", "hash <hex> is known"),
            ("id 0190a5b4-1c2d-7e3f-8a9b-0c1d2e3f4a5b at 0xff", "id <hex> at <hex>"),
            ("kills 1, 2,3 and -4", "kills <n> and <n>"),
            ("the ship doesn't fit: 'Rifter'", "the ship doesn't fit: \"…\""),
            ("two\nlines\tand  blanks ", "two lines and blanks"),
            ("an open \"quote 7", "an open \"quote <n>"),
            ("", ""),
        ] {
            assert_eq!(normalised(error), expected, "{error}");
        }
    }

    fn letter(error: &str) -> NewDeadLetter {
        let words = ["kills", "decode", "invalid"].map(str::to_owned);
        let [pipeline, stage, class] = words;
        NewDeadLetter { pipeline, stage, class, error: error.to_owned(), ..NewDeadLetter::default() }
    }

    #[test]
    fn whatever_makes_a_cause_makes_the_hash() {
        let one = letter("no ship 7");
        let hash = |letter: &NewDeadLetter| fingerprint(letter).hash;
        assert_eq!(hash(&one), hash(&NewDeadLetter { killmail_id: None, payload: vec![1], ..letter("no ship 12") }));
        let others = [
            NewDeadLetter { pipeline: "market".into(), ..one.clone() },
            NewDeadLetter { stage: "match".into(), ..one.clone() },
            NewDeadLetter { class: "panic".into(), ..one.clone() },
            NewDeadLetter { sqlstate: Some("23514".into()), ..one.clone() },
            NewDeadLetter { http_status: Some(502), ..one.clone() },
            letter("no system 7"),
        ];
        let all: std::collections::BTreeSet<_> = others.iter().chain([&one]).map(hash).collect();
        assert_eq!(all.len(), 7);
    }

    /// Groups outlive the build that made them.
    #[test]
    fn a_hash_stays_what_it_was() {
        let Fingerprint { hash, text } = fingerprint(&letter("no ship 7"));
        assert_eq!((hash.as_str(), text.as_str()), ("14bdc617a65060bc", "no ship <n>"));
    }

    proptest! {
        #[test]
        fn any_error_has_a_short_line_without_numbers(error in any::<String>()) {
            let text = normalised(&error);
            prop_assert!(text.chars().count() <= TEXT_MAX && !text.contains(char::is_control), "{text}");
            prop_assert!(!text.contains(|c: char| c.is_ascii_digit()), "{text}");
        }

        #[test]
        fn no_number_id_time_or_quoted_value_makes_another_group(
            id in 0_i64..10_i64.pow(12), part in 0..10_000_u32, name in "[a-zA-Z \\\\\"]{0,20}", hash in "[0-9a-f]{6}[0-9][a-f]", second in 0_i64..4_000_000_000,
        ) {
            let at = jiff::Timestamp::from_second(second).expect("in range");
            let error = format!("kill{id} of {name:?} ({hash}) is -{part}.5% early at {at} in column \"npc\"");
            prop_assert_eq!(normalised(&error), "kill<n> of \"…\" (<hex>) is <n>% early at <time> in column \"npc\"");
        }
    }
}
