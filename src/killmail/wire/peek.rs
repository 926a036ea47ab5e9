//! Which kill it is, at a glance: for those who must tell kills apart without reading them.

use jiff::Timestamp;
use serde::Deserialize;

use crate::killmail::KillmailId;

/// What tells a kill from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek {
    pub killmail_id: KillmailId,
    /// When it happened, if that can be read.
    pub time: Option<Timestamp>,
    /// When it was published, if that stands in it.
    pub uploaded_at: Option<Timestamp>,
}

/// Every place where the id and the time may stand.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Glance {
    killmail_id: Option<i64>,
    #[serde(rename = "killID")]
    kill_id: Option<i64>,
    #[serde(alias = "killmail_time")]
    kill_time: Option<String>,
    /// Seconds since 1970.
    uploaded_at: Option<i64>,
    #[serde(alias = "killmail", alias = "package")]
    esi: Option<Box<Glance>>,
}

/// Looks into any of the shapes; `None` for what shows no id. That it shows one does not mean that [`decode`](super::decode) can read it.
#[must_use]
pub fn peek(bytes: &[u8]) -> Option<Peek> {
    if bytes.len() > super::BYTES_MAX {
        return None;
    }
    let glance: Glance = serde_json::from_slice(bytes).ok()?;
    let mut levels = vec![&glance];
    while let Some(inner) = levels.last().and_then(|level| level.esi.as_deref()) {
        levels.push(inner);
    }
    let id = levels.iter().find_map(|level| level.killmail_id.or(level.kill_id))?;
    let time = levels.iter().find_map(|level| level.kill_time.as_ref()?.parse().ok());
    let uploaded_at = levels.iter().find_map(|level| level.uploaded_at);
    let uploaded_at = uploaded_at.and_then(|seconds| Timestamp::from_second(seconds).ok());
    Some(Peek { killmail_id: KillmailId::new(id)?, time, uploaded_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::sample::Sampler;
    use crate::killmail::wire::decode;

    #[test]
    fn every_shape_shows_the_id_and_the_time_that_decode_reads() {
        let mut sampler = Sampler::new(7);
        for _ in 0..20 {
            let sample = sampler.next("2026-02-03T04:05:06Z".parse().expect("a time"));
            for json in [sample.esi_json(), sample.package_json(), sample.feed_json()] {
                let mail = decode(json.as_bytes()).expect("a kill");
                let found = peek(json.as_bytes()).expect("an id");
                assert_eq!((found.killmail_id, found.time), (mail.killmail_id, Some(mail.killmail_time)));
            }
        }
    }

    #[test]
    fn envelopes_are_looked_through_and_rubbish_shows_nothing() {
        let id = |text: &str| peek(text.as_bytes()).map(|peek| peek.killmail_id.get());
        assert_eq!(id(r#"{"package":{"killID":7,"zkb":{}}}"#), Some(7));
        let uploaded =
            peek(br#"{"killmail_id":7,"esi":{},"uploaded_at":1770000026}"#).and_then(|peek| peek.uploaded_at);
        assert_eq!(uploaded.map(|at| at.as_second()), Some(1_770_000_026));
        for text in [
            "",
            "[]",
            "{}",
            "null",
            "<html>",
            r#"{"killmail_id":null}"#,
            r#"{"killmail_id":"x"}"#,
            r#"{"killmail_id":0}"#,
        ] {
            assert_eq!(id(text), None, "{text}");
        }
        assert_eq!(peek("{\"esi\":".repeat(100_000).as_bytes()), None);
    }
}
