//! RedisQ: a queue of kills for each reader, asked for one by one. zKillboard's own is closed; EVE-KILL has one of the same kind.
//!
//! `GET …?queueID=ID&ttw=10` waits up to ten seconds and answers `{"package": {…}}` or `{"package": null}`, by way of a redirect. A queue remembers
//! for three hours what its reader has not taken, and nothing that it has. Two requests at once on a queue, or more than two a second, are
//! refused. Packages have had no killmail since the end of 2025: only its id and hash.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::address;
use super::answer::Answer;
use super::service::{self, Manners, Service};
use crate::killmail::{KillmailHash, KillmailId};

/// The one that is open.
pub const URL: &str = "https://eve-kill.com/redisq";
/// The longest that the service lets a poll wait, in seconds.
const WAIT: u32 = 10;
/// The name of the script, where the address is that of its folder.
const SCRIPT: &str = "listen.php";

const MANNERS: Manners = Manners {
    name: "redisq",
    per_second: NonZeroU32::new(2),
    concurrency: 1,
    body_max: crate::killmail::wire::BYTES_MAX,
    call_timeout: Duration::from_secs(40),
    read_timeout: Duration::from_secs(20),
    headers: &[("accept", "application/json")],
};

/// What a poll brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Poll {
    /// A kill with its killmail: the bytes of the whole answer.
    Kill(Bytes),
    /// A kill without.
    Reference(Reference),
    /// Nothing happened.
    Nothing,
    /// The service refuses (429, 403) or fails, and how long it asks us to wait, if it does. The text fits after "failed to".
    Trouble { problem: String, wait: Option<Duration>, refused: bool },
    /// There is no queue at this route.
    NotFound,
}

/// A kill whose killmail is to be had from ESI.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    pub killmail_id: KillmailId,
    pub hash: KillmailHash,
    /// zKillboard's block, byte for byte.
    zkb: String,
    /// The whole answer.
    pub raw: Bytes,
}

impl Reference {
    /// The kill as zKillboard's numbered files have it, with the killmail that ESI answered.
    #[must_use]
    pub fn with_killmail(&self, killmail: &[u8]) -> Bytes {
        let head = format!(r#"{{"killmail_id":{},"hash":"{}","zkb":{},"esi":"#, self.killmail_id, self.hash, self.zkb);
        Bytes::from([head.as_bytes(), killmail, b"}"].concat())
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    package: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Package<'a> {
    #[serde(rename = "killID", alias = "killmail_id")]
    id: i64,
    #[serde(borrow, default)]
    killmail: Option<&'a RawValue>,
    #[serde(borrow)]
    zkb: &'a RawValue,
}

#[derive(Deserialize)]
struct Zkb {
    hash: String,
}

/// One queue.
#[derive(Debug, Clone)]
pub struct Client {
    service: Service,
    /// Below the base, in the order in which they are tried.
    routes: Vec<String>,
}

impl Client {
    /// Of the queue at an address: that of the script, or of its folder.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(url: &str, contact: Option<&str>) -> Result<Self, address::Error> {
        let mut base: Url = address::base(url, contact)?;
        let path = base.path().trim_end_matches('/').to_owned();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        base.set_path(folder);
        base.set_query(None);
        let mut routes = vec![name.to_owned(), format!("{name}/{SCRIPT}")];
        if name.is_empty() {
            routes.remove(0);
        } else if name.ends_with(".php") {
            routes.remove(1);
        }
        Ok(Self { service: Service::new(base.as_str(), contact, &MANNERS)?, routes })
    }

    /// One request, which takes up to ten seconds and a little. `tries`: those that found no queue at the address.
    pub async fn poll(&self, queue: &str, tries: usize) -> Poll {
        let route = &self.routes[tries % self.routes.len()];
        read(self.service.get(&format!("{route}?queueID={queue}&ttw={WAIT}"), &[]).await)
    }

    /// Counts a decision in the service's metrics.
    pub fn decided(&self, decision: &'static str) {
        self.service.decided(decision);
    }
}

fn read(answer: Result<Answer, service::Error>) -> Poll {
    let trouble = |problem: String, wait, refused| Poll::Trouble { problem, wait, refused };
    let answer = match answer {
        Ok(answer) => answer,
        Err(service::Error::Open { service, retry_in }) => {
            return trouble(service::Error::Open { service, retry_in }.to_string(), Some(retry_in), false);
        }
        Err(error) => return trouble(error.to_string(), None, false),
    };
    match answer.status {
        200 => package(&answer.body).unwrap_or_else(|| {
            let problem = format!("read an answer of the queue: {}", answer.excerpt());
            trouble(problem, None, false)
        }),
        status @ (403 | 429) => trouble(format!("ask the queue: the answer is {status}"), answer.retry_after(), true),
        404 => Poll::NotFound,
        status => trouble(format!("ask the queue: the answer is {status}"), answer.retry_after(), false),
    }
}

/// `None`: it is no answer of a queue. A package that is none goes on as it came, for decoding to say what is wrong.
fn package(body: &Bytes) -> Option<Poll> {
    let found: Body<'_> = serde_json::from_slice(body).ok().filter(|_| body.trim_ascii_start().starts_with(b"{"))?;
    let Some(package) = found.package else {
        let names_it = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).ok()?;
        return names_it.contains_key("package").then_some(Poll::Nothing);
    };
    Some(reference(package.get(), body).map_or_else(|| Poll::Kill(body.clone()), Poll::Reference))
}

fn reference(package: &str, body: &Bytes) -> Option<Reference> {
    let package: Package<'_> = serde_json::from_str(package)
        .ok()
        .filter(|package: &Package<'_>| package.killmail.is_none_or(|killmail| killmail.get() == "null"))?;
    let zkb: Zkb = serde_json::from_str(package.zkb.get()).ok()?;
    Some(Reference {
        killmail_id: KillmailId::new(package.id)?,
        hash: KillmailHash::parse(&zkb.hash)?,
        zkb: package.zkb.get().to_owned(),
        raw: body.clone(),
    })
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;

    use super::*;
    use crate::killmail::wire;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

    fn answer(status: u16, body: &str) -> Poll {
        read(Ok(Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }))
    }

    #[test]
    fn a_package_without_a_killmail_is_completed_to_one_that_decodes() {
        let body = format!(r#"{{"package":{{"killID":7,"zkb":{{"hash":"{HASH}","totalValue":1.50}}}}}}"#);
        let Poll::Reference(reference) = answer(200, &body) else { panic!("a reference") };
        assert_eq!((reference.killmail_id.get(), reference.hash.to_string()), (7, HASH.to_owned()));
        let killmail = br#"{"killmail_id":7,"killmail_time":"2026-01-02T03:04:05Z","solar_system_id":30000142,
            "victim":{"damage_taken":1,"ship_type_id":587,"items":[]},"attackers":[]}"#;
        let mail = wire::decode(&reference.with_killmail(killmail)).expect("a kill");
        assert_eq!((mail.killmail_id.get(), mail.zkb.and_then(|zkb| zkb.total_value)), (7, Some(150)));
    }

    #[test]
    fn an_old_package_goes_on_with_its_exact_bytes() {
        let body = format!(r#"{{"package": {{"killID":7,"killmail":{{"x":1}},"zkb":{{"hash":"{HASH}"}}}}}}"#);
        assert_eq!(answer(200, &body), Poll::Kill(body.into()));
        let odd = r#"{"package":{"killID":"x"}}"#;
        assert_eq!(answer(200, odd), Poll::Kill(odd.into()));
    }

    #[test]
    fn what_is_no_answer_of_a_queue_is_trouble() {
        assert_eq!(answer(200, r#"{"package":null}"#), Poll::Nothing);
        for body in ["", "<html>", "null", "[]", "{}", r#"{"package":"#] {
            assert!(matches!(answer(200, body), Poll::Trouble { refused: false, .. }), "{body}");
        }
        assert!(matches!(answer(403, r#"{"access":"denied!"}"#), Poll::Trouble { refused: true, .. }));
        assert!(matches!(answer(429, ""), Poll::Trouble { refused: true, .. }));
        assert_eq!(answer(404, ""), Poll::NotFound);
    }

    #[test]
    fn the_address_may_be_that_of_the_script_or_of_its_folder() {
        let routes = |url| Client::new(url, None).expect("an address").routes;
        assert_eq!(routes("http://localhost/redisq"), ["redisq", "redisq/listen.php"]);
        assert_eq!(routes("http://localhost/x/listen.php"), ["listen.php"]);
        assert_eq!(routes("http://localhost"), ["/listen.php"]);
    }
}
