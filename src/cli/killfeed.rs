//! What `run` takes of the killfeed's settings.

use crate::duration::Span;
use crate::http::KillfeedSettings;

/// How long the killfeed's log is kept, and for whom.
#[derive(Debug, Clone, Copy, clap::Args)]
#[command(next_help_heading = "Killfeed")]
pub struct Killfeed {
    /// Keep events that every client has passed for so long.
    #[arg(long, value_name = "TIME", env = "BROADSIDE_KILLFEED_KEEP", default_value = "24h")]
    pub killfeed_keep: Span,
    /// Delete older events, whoever still wants them.
    #[arg(long, value_name = "TIME", env = "BROADSIDE_KILLFEED_AGE_MAX", default_value = "30d")]
    pub killfeed_age_max: Span,
    /// Delete the oldest events beyond so many, whoever still wants them.
    #[arg(long, value_name = "COUNT", env = "BROADSIDE_KILLFEED_COUNT_MAX", default_value = "10000000")]
    pub killfeed_count_max: u64,
    /// Forget a client that was not seen for so long.
    #[arg(long, value_name = "TIME", env = "BROADSIDE_KILLFEED_CLIENTS_AFTER", default_value = "7d")]
    pub killfeed_clients_after: Span,
    /// How often to look which events and clients may go.
    #[arg(long, value_name = "TIME", env = "BROADSIDE_KILLFEED_COLLECT_EVERY", default_value = "60s")]
    pub killfeed_collect_every: Span,
    /// Live streams that an address beyond this machine may have open at once.
    #[arg(long, value_name = "COUNT", env = "BROADSIDE_KILLFEED_STREAMS_PER_ADDRESS", default_value = "64")]
    pub killfeed_streams_per_address: usize,
}

impl From<Killfeed> for KillfeedSettings {
    fn from(given: Killfeed) -> Self {
        Self {
            keep: given.killfeed_keep.0,
            age_max: given.killfeed_age_max.0,
            count_max: given.killfeed_count_max,
            clients_after: given.killfeed_clients_after.0,
            collect_every: given.killfeed_collect_every.0,
            streams_per_address: given.killfeed_streams_per_address,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        killfeed: Killfeed,
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let said = |line: &[&str]| KillfeedSettings::from(Line::parse_from(line).killfeed);
        assert_eq!(said(&["run"]), KillfeedSettings::default());
        let line = ["run", "--killfeed-keep", "1h", "--killfeed-age-max", "2d 12h", "--killfeed-count-max", "5"];
        let settings = said(&line);
        assert_eq!((settings.keep.as_secs(), settings.age_max.as_secs(), settings.count_max), (3600, 216_000, 5));
    }
}
