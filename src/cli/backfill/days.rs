//! Which days a backfill is asked for.

use std::path::PathBuf;

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use crate::cli::Usage;
use crate::clients::history::{Archivist, History};
use crate::settings::Settings;
use crate::sources::history;

const ZKILLBOARD: &str = "https://r2z2.zkillboard.com";
const EVEREF: &str = "https://data.everef.net";
/// zKillboard's oldest.
const FIRST: Date = date(2007, 12, 5);

/// Whole days, in the place of files.
#[derive(Debug, Clone, clap::Args)]
pub struct Days {
    /// A day (UTC), fetched from an archive; what is stored already is not fetched.
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "files")]
    pub day: Option<Date>,
    /// All days from --day to this one.
    #[arg(long, value_name = "YYYY-MM-DD", requires = "day")]
    pub to: Option<Date>,
    /// Whose archive: zkillboard's daily history, or everef's daily tars.
    #[arg(long, value_name = "NAME", default_value = "zkillboard", conflicts_with = "files")]
    pub archive: Name,
    /// A folder for the days under way; it goes when they are stored.
    #[arg(long, value_name = "DIR", default_value = "broadside-spool", conflicts_with = "files")]
    pub spool: PathBuf,
    /// zKillboard's files.
    #[arg(long, value_name = "URL", env = "ZKILLBOARD_URL", hide_env_values = true, default_value = ZKILLBOARD)]
    pub zkillboard_url: String,
    /// EVE Ref's files.
    #[arg(long, value_name = "URL", env = "EVEREF_URL", hide_env_values = true, default_value = EVEREF)]
    pub everef_url: String,
}

/// An archive's name on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    Zkillboard,
    Everef,
}

impl Days {
    /// The source's settings; `None` when files are to be read.
    ///
    /// # Errors
    /// The days are in the wrong order or cannot have kills, or the archive cannot be called.
    pub(super) fn source(&self, settings: &Settings) -> Result<Option<history::Config>, Usage> {
        let Some(day) = self.day else { return Ok(None) };
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        let days = days(day, self.to.unwrap_or(day), today).map_err(Usage)?;
        let (archivist, url, default) = match self.archive {
            Name::Zkillboard => (Archivist::Zkillboard, &self.zkillboard_url, ZKILLBOARD),
            Name::Everef => (Archivist::Everef, &self.everef_url, EVEREF),
        };
        // A variable that is empty counts as not set.
        let base = if url.trim().is_empty() { default.to_owned() } else { url.clone() };
        History::new(archivist, &base, settings.contact.as_deref())
            .map_err(|error| Usage(format!("failed to {error}")))?;
        Ok(Some(history::Config { archivist, base, days, spool: self.spool.clone() }))
    }
}

fn days(first: Date, last: Date, today: Date) -> Result<Vec<Date>, String> {
    if last < first {
        return Err(format!("--to {last} is before --day {first}"));
    }
    if first < FIRST {
        return Err(format!("there are no kills before {FIRST}: --day {first}"));
    }
    if last > today {
        return Err(format!("{last} is in the future: today is {today} (UTC)"));
    }
    Ok(first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_in_order_and_within_what_there_can_be() {
        let today = date(2026, 3, 1);
        let days = |first, last| days(first, last, today);
        assert_eq!(
            days(date(2026, 2, 27), date(2026, 3, 1)).expect("three days"),
            [date(2026, 2, 27), date(2026, 2, 28), today]
        );
        assert_eq!(days(FIRST, FIRST).expect("one day"), [FIRST]);
        for (first, last, problem) in [
            (date(2026, 2, 2), date(2026, 2, 1), "is before --day"),
            (date(2007, 12, 4), date(2008, 1, 1), "no kills before 2007-12-05"),
            (today, date(2026, 3, 2), "in the future"),
        ] {
            let refused = days(first, last).expect_err("refused");
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
