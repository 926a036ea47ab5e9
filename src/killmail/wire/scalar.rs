//! Single values, read tolerantly. Each is `None` for `null`.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

use crate::killmail::KillmailHash;

/// Visits nulls as `None`.
macro_rules! absent {
    () => {
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    };
}

/// A wrapper `$name(Option<$value>)` that is read by `$visitor`.
macro_rules! scalar {
    ($(#[$doc:meta])* $name:ident($value:ty), $visitor:expr) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) Option<$value>);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any($visitor).map(Self)
            }
        }
    };
}

/// Integers between the two, both included.
struct Between(i64, i64);

impl Visitor<'_> for Between {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (i64::MIN, i64::MAX) => f.write_str("an integer"),
            (least, i64::MAX) => write!(f, "an integer of at least {least}"),
            (least, most) => write!(f, "an integer from {least} to {most}"),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        if (self.0..=self.1).contains(&value) {
            Ok(Some(value))
        } else {
            Err(E::invalid_value(Unexpected::Signed(value), &self))
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        // 2^63 is the first double beyond i64, and -2^63 is the last within.
        let whole =
            value.fract() == 0.0 && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
        if whole { self.visit_i64(value as i64) } else { Err(E::invalid_value(Unexpected::Float(value), &self)) }
    }

    absent!();
}

scalar! {
    /// An integer, whole whatever its notation.
    Int(i64), Between(i64::MIN, i64::MAX)
}
scalar! {
    /// A number of things.
    Count(i64), Between(0, i64::MAX)
}
scalar! {
    /// A small number: a flag.
    Small(i64), Between(i64::from(i32::MIN), i64::from(i32::MAX))
}

struct FloatVisitor;

impl Visitor<'_> for FloatVisitor {
    type Value = Option<f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.is_finite() { Ok(Some(value)) } else { Err(E::invalid_value(Unexpected::Float(value), &self)) }
    }

    absent!();
}

scalar! {
    /// A number, finite.
    Float(f64), FloatVisitor
}

struct CentsVisitor;

impl Visitor<'_> for CentsVisitor {
    type Value = Option<i64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount of ISK from 0 to 92 quadrillion")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        match value.checked_mul(100) {
            Some(cents) if cents >= 0 => Ok(Some(cents)),
            _ => Err(E::invalid_value(Unexpected::Signed(value), &self)),
        }
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match i64::try_from(value) {
            Ok(value) => self.visit_i64(value),
            Err(_) => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        cents(value).map(Some).ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    absent!();
}

/// To the nearest cent, halves up; `None` below 0 and above 92 quadrillion. The whole part is multiplied as an integer, so that large amounts lose nothing.
pub(crate) fn cents(isk: f64) -> Option<i64> {
    if !(0.0..92_233_720_368_547_758.0).contains(&isk) {
        return None;
    }
    let whole = isk.trunc();
    let cents = (isk - whole) * 100.0;
    let is_half = (cents.fract() - 0.5).abs() < 0.05;
    let cents = if is_half && is_half_as_written(isk) { cents.trunc() + 1.0 } else { cents.round() };
    (whole as i64).checked_mul(100)?.checked_add(cents as i64)
}

/// Whether the number was sent with a third decimal of 5 or more. Few such numbers are floats: 0.545 comes as something less, and is a half all the same.
fn is_half_as_written(isk: f64) -> bool {
    // The shortest decimal that reads back as this float: up to 15 digits, it is what was sent.
    let written = isk.to_string();
    written
        .split_once('.')
        .and_then(|(_, decimals)| decimals.as_bytes().get(2).copied())
        .is_some_and(|third| third >= b'5')
}

scalar! {
    /// ISK, as cents.
    Cents(i64), CentsVisitor
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Option<bool>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        match value {
            0 | 1 => Ok(Some(value == 1)),
            _ => Err(E::invalid_value(Unexpected::Unsigned(value), &self)),
        }
    }

    absent!();
}

scalar! {
    /// Yes or no; also as 1 or 0.
    Bool(bool), FlagVisitor
}

struct TimeVisitor;

impl Visitor<'_> for TimeVisitor {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as 2026-01-02T03:04:05Z")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        time(value).map(Some).ok_or_else(|| E::invalid_value(Unexpected::Str(value), &self))
    }

    absent!();
}

/// RFC 3339; without an offset it is UTC. Parts of seconds are dropped.
fn time(text: &str) -> Option<Timestamp> {
    let time = text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        Some(local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    })?;
    let seconds = time.as_nanosecond().div_euclid(1_000_000_000);
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

scalar! {
    /// A time in whole seconds.
    Time(Timestamp), TimeVisitor
}

struct HashVisitor;

impl Visitor<'_> for HashVisitor {
    type Value = Option<KillmailHash>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(KillmailHash::parse(value))
    }

    absent!();
}

scalar! {
    /// A hash; blank or malformed ones, which feeds are known to have, are absent.
    Hash(KillmailHash), HashVisitor
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(value.to_owned()))
    }

    absent!();
}

scalar! {
    /// A text.
    Text(String), TextVisitor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::excessive_precision, reason = "as feeds write it")]
    fn money_is_rounded_to_the_cent_and_never_wraps() {
        assert_eq!(cents(1_234_567.89), Some(123_456_789));
        assert_eq!(cents(0.1 + 0.2), Some(30));
        assert_eq!(cents(1.999), Some(200));
        assert_eq!(cents(90_071_992_547_409.91), Some(9_007_199_254_740_991));
        assert_eq!(cents(9_007_199_254_740_993.0), Some(900_719_925_474_099_200), "the double itself is even");
        for (sent, expected) in [
            (15_631_702.545, 1_563_170_255),
            (737_998.575, 73_799_858),
            (0.005, 1),
            (0.004_999, 0),
            (1.115, 112),
            (2.675, 268),
            (2.674_9, 267),
            (1_234_567_890_123.455, 123_456_789_012_346),
        ] {
            assert_eq!(cents(sent), Some(expected), "{sent}: halves go up, as they were written");
        }
        for wrong in [-0.01, f64::NAN, f64::INFINITY, 1e17, 92_233_720_368_547_760.0] {
            assert_eq!(cents(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_come_with_and_without_an_offset() {
        let expected: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        for text in
            ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T05:04:05+02:00", "2026-01-02T03:04:05.999Z"]
        {
            assert_eq!(time(text), Some(expected), "{text}");
        }
        assert_eq!(time("yesterday"), None);
        assert_eq!(time("2026-13-02T03:04:05Z"), None);
    }
}
