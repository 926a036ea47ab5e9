//! A calendar month in UTC: what PostgreSQL's partitions are cut by.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// A calendar month in UTC, written `2021-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month in which this moment lies.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self::at(time.to_zoned(TimeZone::UTC).date())
    }

    /// The month written as `YYYY-MM`, of a year from 2003 (when the game began) to 9000.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
        let (year, month) =
            (digits(year, 4).then(|| year.parse().ok())??, digits(month, 2).then(|| month.parse().ok())??);
        let known = (2003..=9000).contains(&year) && (1..=12).contains(&month);
        known.then_some(Self { year, month })
    }

    /// The month that is `months` later (earlier when negative).
    #[must_use]
    pub fn plus(self, months: i32) -> Self {
        Self::at(self.first_day().saturating_add(months.months()))
    }

    /// Its first moment.
    #[must_use]
    pub fn start(self) -> Timestamp {
        let midnight = self.first_day().to_zoned(TimeZone::UTC);
        midnight.map_or(Timestamp::MAX, |zoned| zoned.timestamp())
    }

    /// `2021_11`, for names of tables.
    #[must_use]
    pub fn suffix(self) -> String {
        format!("{:04}_{:02}", self.year, self.month)
    }

    /// From this month up to and with `last`.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self), |month| Some(month.plus(1))).take_while(move |month| *month <= last)
    }

    fn at(date: Date) -> Self {
        Self { year: date.year(), month: date.month() }
    }

    fn first_day(self) -> Date {
        Date::constant(self.year, self.month, 1)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

impl std::str::FromStr for Month {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("`{text}` is not a month such as 2021-11"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn month(text: &str) -> Month {
        Month::parse(text).unwrap()
    }

    #[test]
    fn a_moment_belongs_to_its_month_in_utc() {
        let of = |text: &str| Month::of(text.parse().unwrap()).to_string();
        assert_eq!(of("2021-11-30T23:59:59.999Z"), "2021-11");
        assert_eq!(of("2021-12-01T00:00:00Z"), "2021-12");
        assert_eq!(of("2021-12-01T01:00:00+02:00"), "2021-11");
        assert_eq!(month("2021-12").start().to_string(), "2021-12-01T00:00:00Z");
        assert_eq!(month("2021-12").suffix(), "2021_12");
    }

    #[test]
    fn months_go_on_over_the_year() {
        let names: Vec<_> = month("2021-11").through(month("2022-02")).map(|month| month.to_string()).collect();
        assert_eq!(names, ["2021-11", "2021-12", "2022-01", "2022-02"]);
        assert_eq!(month("2021-01").plus(-1), month("2020-12"));
        assert_eq!(month("2022-01").through(month("2021-12")).count(), 0);
    }

    #[test]
    fn what_is_no_month_is_refused() {
        for text in
            ["", "2021", "2021-13", "2021-00", "21-11", "2021-1", "1999-01", "2021-11-01", "+021-11", "９021-11"]
        {
            assert_eq!(Month::parse(text), None, "{text}");
        }
    }
}
