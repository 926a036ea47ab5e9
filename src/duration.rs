//! Durations as people write them in a pipeline file: `"200ms"`, `"45s"`, `"2m"`, `"1h 30m"`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time that reads and writes as text: numbers with a unit (`ms`, `s`, `m`, `h`, `d`), greatest first.
///
/// ```
/// use broadside::duration::Span;
/// let span: Span = "1m 30s".parse().unwrap();
/// assert_eq!(span.0.as_secs(), 90);
/// assert_eq!(Span::from_millis(200).to_string(), "200ms");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

impl Span {
    /// Whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(Duration::from_millis(milliseconds))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no duration: {0:?}; write a number with a unit, such as \"200ms\", \"45s\", \"2m\" or \"1h 30m\"")]
pub struct ParseError(String);

impl FromStr for Span {
    type Err = ParseError;

    /// At most a year, so that no sum with it overflows.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseError(text.chars().take(40).collect());
        if text.chars().any(|c| c == '-' || c == '+') || text.contains("ago") {
            return Err(error());
        }
        let signed = text.parse::<jiff::SignedDuration>().or_else(|_| days(text)).map_err(|_| error())?;
        let duration = Duration::try_from(signed).map_err(|_| error())?;
        if duration > Duration::from_hours(24 * 366) { Err(error()) } else { Ok(Self(duration)) }
    }
}

/// `"7d"` and `"1d 12h"`: days are 24 hours here.
fn days(text: &str) -> Result<jiff::SignedDuration, jiff::Error> {
    text.parse::<jiff::Span>()?.to_duration(jiff::SpanRelativeTo::days_are_24_hours())
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, milliseconds) = (self.0.as_secs(), self.0.subsec_millis());
        let parts =
            [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (u64::from(milliseconds), "ms")];
        let mut first = true;
        for (number, unit) in parts.into_iter().filter(|(number, _)| *number > 0) {
            write!(f, "{}{number}{unit}", if first { "" } else { " " })?;
            first = false;
        }
        if first { f.write_str("0s") } else { Ok(()) }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "a number with a unit: ms, s, m, h or d",
            "examples": ["200ms", "45s", "2m", "1h 30m"],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_spellings_are_read() {
        let cases = [("200ms", 200), ("45s", 45_000), ("2m", 120_000), ("1h", 3_600_000), ("1h 30m", 5_400_000)];
        for (text, milliseconds) in cases.into_iter().chain([("0s", 0), ("1.5s", 1500), ("7d", 604_800_000)]) {
            assert_eq!(text.parse(), Ok(Span::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_examples() {
        for text in ["", "45", "-45s", "s", "1 fortnight", "5s ago", "99999999h", "1s2"] {
            let error = text.parse::<Span>().expect_err(text).to_string();
            assert!(error.contains("45s"), "{error}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for milliseconds in [0, 1, 200, 1_000, 61_001, 3_600_000, 90_061_000, 604_800_000] {
            let span = Span::from_millis(milliseconds);
            assert_eq!(span.to_string().parse(), Ok(span), "{span}");
        }
    }
}
