//! Text from outside, made fit for a terminal: no control characters, no wider than there is room.

use crate::killmail::is_plain;

/// What is not [plain](is_plain) as escapes; line ends stay where a text may have several lines.
pub(super) fn clean(text: &str, lines: bool) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) || (lines && character == '\n') {
            cleaned.push(character);
        } else {
            cleaned.extend(character.escape_default());
        }
    }
    cleaned
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// The text in so many columns; `…` says that there is more.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let (mut short, mut used) = (String::new(), 1);
    for character in text.chars() {
        used += columns(character);
        if used > room {
            break;
        }
        short.push(character);
    }
    if room > 0 {
        short.push('…');
    }
    short
}

/// Writing of East Asia and pictures take two columns.
const fn columns(character: char) -> usize {
    match character {
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_control_character_reaches_the_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}", false), "a\\u{1b}[31mb\\nc\\u{202e}");
        assert_eq!(clean("a\nb\r", true), "a\nb\\r");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("The Forge", 9), "The Forge");
        assert_eq!(cut("The Forge", 5), "The …");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!((cut("ab", 1), cut("ab", 0)), ("…".to_owned(), String::new()));
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_the_room(text in "\\PC{0,40}", room in 0_usize..30) {
            prop_assert!(width(&cut(&text, room)) <= room);
        }
    }
}
