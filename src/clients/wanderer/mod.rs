//! wanderer-kills over server-sent events, in both dialects.
//!
//! The service (default port 4004, no authentication) promises little: every kill comes at least once, usually twice, and
//! in any order; nothing is replayed, so what is sent while nobody is connected is gone; at 100 connections it answers
//! 503. The basic stream has `data:` frames and a comment every 10 s; the enhanced one has named events and a heartbeat
//! every 30 s. A [`Feed`] keeps one connection open and makes a new one, politely, whenever it ends or falls silent.

mod feed;
mod problem;
mod transport;

use std::time::Duration;

use reqwest::Url;

use super::address;
pub use feed::{Event, Feed, Gauges};

/// Ids that the service takes in one filter.
pub const FILTER_IDS_MAX: usize = 100;
/// Days of history that the service sends at most.
pub const PRELOAD_DAYS_MAX: u32 = 90;

/// What to ask for, and of whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// The service's base, with or without a path.
    pub url: String,
    /// Named events, and filters by character and value.
    pub enhanced: bool,
    pub system_ids: Vec<i64>,
    pub character_ids: Vec<i64>,
    /// ISK.
    pub min_value: Option<f64>,
    pub preload_days: u32,
    /// A connection without a single byte for this long is given up.
    pub idle_timeout: Duration,
    /// An address for the User-Agent; needed for any host but this one.
    pub contact: Option<String>,
}

/// Why a [`Subscription`] cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("connect without a url: set WANDERER_URL")]
    NoUrl,
    #[error(transparent)]
    Address(#[from] address::Error),
    #[error("ask for {count} {name}: the service takes {FILTER_IDS_MAX}")]
    TooManyIds { name: &'static str, count: usize },
    #[error("ask for a min_value of {0}: it is an amount of ISK, from 0")]
    MinValue(f64),
    #[error("ask for {0} preload_days: the service sends {PRELOAD_DAYS_MAX} at most")]
    PreloadDays(u32),
    #[error("set up the http client: {0}")]
    Http(String),
}

impl Subscription {
    /// Whether it can work, as far as can be told without asking the service.
    ///
    /// # Errors
    /// What is wrong, and what to do about it.
    pub fn check(&self) -> Result<(), Error> {
        self.stream_url().map(|_| ())
    }

    /// The address of the stream, once everything about it has been checked.
    fn stream_url(&self) -> Result<Url, Error> {
        self.check_filters()?;
        let base = match address::base(&self.url, self.contact.as_deref()) {
            Err(address::Error::Missing) => return Err(Error::NoUrl),
            base => base?,
        };
        let route = if self.enhanced { "/api/v1/kills/stream/enhanced" } else { "/api/v1/kills/stream" };
        let mut url = address::below(&base, route);
        self.add_filters(&mut url);
        Ok(url)
    }

    fn check_filters(&self) -> Result<(), Error> {
        for (name, ids) in [("system_ids", &self.system_ids), ("character_ids", &self.character_ids)] {
            if ids.len() > FILTER_IDS_MAX {
                return Err(Error::TooManyIds { name, count: ids.len() });
            }
        }
        match self.min_value {
            Some(value) if !value.is_finite() || value < 0.0 => return Err(Error::MinValue(value)),
            _ => {}
        }
        if self.preload_days > PRELOAD_DAYS_MAX { Err(Error::PreloadDays(self.preload_days)) } else { Ok(()) }
    }

    fn add_filters(&self, url: &mut Url) {
        let ids = |ids: &[i64]| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let filters = [
            ("system_ids", ids(&self.system_ids)),
            ("character_ids", ids(&self.character_ids)),
            ("min_value", self.min_value.map_or_else(String::new, |value| value.to_string())),
            ("preload_days", if self.preload_days == 0 { String::new() } else { self.preload_days.to_string() }),
        ];
        for (name, value) in filters.iter().filter(|(_, value)| !value.is_empty()) {
            // The service splits lists at plain commas, so the pair is not percent-encoded: it holds digits only.
            let query = url.query().map_or_else(String::new, |query| format!("{query}&"));
            url.set_query(Some(&format!("{query}{name}={value}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(url: &str) -> Subscription {
        Subscription {
            url: url.into(),
            enhanced: false,
            system_ids: Vec::new(),
            character_ids: Vec::new(),
            min_value: None,
            preload_days: 0,
            idle_timeout: Duration::from_secs(45),
            contact: None,
        }
    }

    #[test]
    fn routes_and_filters_are_appended_to_the_base() {
        let mut wanted = subscription(" http://127.0.0.1:4004/wanderer/ ");
        let url = wanted.stream_url().expect("url");
        assert_eq!(url.as_str(), "http://127.0.0.1:4004/wanderer/api/v1/kills/stream");
        (wanted.enhanced, wanted.system_ids, wanted.min_value) = (true, vec![30_000_142, 31_000_005], Some(1e9));
        let url = wanted.stream_url().expect("url");
        assert!(url.as_str().ends_with("/stream/enhanced?system_ids=30000142,31000005&min_value=1000000000"), "{url}");
    }

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        let text = |subscription: &Subscription| subscription.stream_url().expect_err("refused").to_string();
        assert_eq!(text(&subscription("")), "connect without a url: set WANDERER_URL");
        assert!(text(&subscription("http://kills.example.com")).contains("BROADSIDE_CONTACT"));
        for url in ["nonsense", "ftp://127.0.0.1/", "http://"] {
            assert!(text(&subscription(url)).contains("use the url"), "{url}");
        }
        let many = Subscription { system_ids: vec![1; 101], ..subscription("http://localhost") };
        assert!(text(&many).contains("101 system_ids"));
        assert!(text(&Subscription { min_value: Some(-1.0), ..many.clone() }).contains("101"));
        let poor = Subscription { min_value: Some(f64::NAN), ..subscription("http://localhost") };
        assert!(text(&poor).contains("min_value"));
    }

    #[test]
    fn a_contact_opens_the_way_to_other_hosts() {
        let wanted =
            Subscription { contact: Some("me@example.com".into()), ..subscription("https://kills.example.com") };
        assert!(wanted.stream_url().is_ok());
    }
}
