//! What is wrong with a pipeline file, as a person wants to read it: place, line, mark, hint.

use std::fmt;
use std::ops::Range;

/// The widest piece of a line that is shown.
const WIDTH_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was given.
    pub file: String,
    /// Where in the file, when it is about a place in it.
    pub place: Option<Box<Place>>,
    /// What is wrong: lower-case, without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in a file, with the text found there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    snippet: String,
    indent: usize,
    length: usize,
}

impl Place {
    /// The line around a byte range of `text`, cut to a width that fits a terminal.
    #[must_use]
    pub fn of(text: &str, span: &Range<usize>) -> Box<Self> {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.floor_char_boundary(span.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        let before = text[line_start..start].chars().count();
        let length = text[start..end.min(line_end).max(start)].chars().count().max(1);
        let skipped = before.saturating_sub(WIDTH_MAX / 2);
        let snippet =
            text[line_start..line_end].trim_end().chars().skip(skipped).take(WIDTH_MAX).map(printable).collect();
        Box::new(Self {
            line: 1 + text[..line_start].matches('\n').count(),
            column: 1 + before,
            snippet,
            indent: before - skipped,
            length: length.min(WIDTH_MAX - (before - skipped)),
        })
    }
}

/// Keeps what a file holds from steering the terminal.
fn printable(c: char) -> char {
    if c == '\t' {
        ' '
    } else if c.is_control() {
        '\u{fffd}'
    } else {
        c
    }
}

impl Problem {
    /// About a whole file.
    pub fn whole(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), place: None, message: message.into(), hint: None }
    }

    /// In one line, for a log: place, what is wrong, advice.
    #[must_use]
    pub fn line(&self) -> String {
        let place = self.place.as_ref().map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column));
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!(" (help: {hint})"));
        let line = format!("{}{place}: {}{hint}", self.file, self.message);
        line.chars().map(|c| if c == '\n' { ' ' } else { printable(c) }).collect()
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clean = |text: &str| text.chars().map(|c| if c == '\n' { ' ' } else { printable(c) }).collect::<String>();
        let message = clean(&self.message);
        let file = clean(&self.file);
        let Some(place) = &self.place else {
            write!(f, "{file}: {message}")?;
            return self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n  = help: {}", clean(hint)));
        };
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, "{file}:{}:{}: {message}", place.line, place.column)?;
        writeln!(f, "{gutter} |")?;
        writeln!(f, "{number} | {}", place.snippet)?;
        write!(f, "{gutter} | {}{}", " ".repeat(place.indent), "^".repeat(place.length))?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\n{gutter} = help: {}", clean(hint)))
    }
}

/// Everything found wrong, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// The known name that someone who wrote `wrong` most likely meant.
#[must_use]
pub(super) fn closest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// "did you mean …", or all the names there are.
#[must_use]
pub(super) fn suggest(wrong: &str, known: &[&str]) -> String {
    match closest(wrong, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None if known.is_empty() => "nothing can be set here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_under_what_is_meant() {
        let text = "a = 1\nbé = \"x\"\n";
        let start = text.find("\"x\"").expect("it is there");
        let place = Some(Place::of(text, &(start..start + 3)));
        let problem = Problem { place, ..Problem::whole("f.toml", "no").hint("yes") };
        assert_eq!(problem.to_string(), "f.toml:2:6: no\n  |\n2 | bé = \"x\"\n  |      ^^^\n  = help: yes");
    }

    #[test]
    fn a_place_past_the_end_is_the_end() {
        assert_eq!((Place::of("ab", &(9..12)).line, Place::of("ab", &(9..12)).column), (1, 3));
        assert_eq!((Place::of("", &(0..0)).line, Place::of("", &(0..0)).column), (1, 1));
    }

    #[test]
    fn a_long_line_is_cut_around_the_mark() {
        let text = format!("{}!{}", "a".repeat(5000), "b".repeat(5000));
        let shown = Problem { place: Some(Place::of(&text, &(5000..5001))), ..Problem::whole("f", "m") }.to_string();
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH_MAX + 10), "{shown}");
        let (text, mark) = (shown.lines().nth(2).expect("text"), shown.lines().nth(3).expect("mark"));
        assert_eq!(text.find('!'), mark.find('^'));
    }

    #[test]
    fn near_names_are_suggested_and_far_ones_listed() {
        assert_eq!(suggest("dedupliacte", &["decode", "deduplicate"]), "did you mean `deduplicate`?");
        assert_eq!(suggest("mango", &["decode", "deduplicate"]), "known here: decode, deduplicate");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        let problem = Problem { place: Some(Place::of("\x1b[31m", &(0..1))), ..Problem::whole("f\x1b", "m\x1b") };
        assert!(!problem.to_string().contains('\x1b'));
    }
}
