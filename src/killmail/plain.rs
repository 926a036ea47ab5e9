//! Which characters of a text that players made do nothing but stand there, in a terminal, a log or a message.

/// Whether a character only shows itself: no control, none that breaks a line, turns the direction of writing around, or has no width.
#[must_use]
pub fn is_plain(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}
