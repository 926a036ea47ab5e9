//! Where alerts are made out: who is to be told of a kill, and the bell that calls the courier.

use std::sync::{OnceLock, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::killmail::{Kill, Notice, TargetId};
use crate::surveillance::Surveillance;

/// One for each process. It makes nothing out until it is opened, by the sink `webhook` of a pipeline; one that was shut stays so: a backfill alerts nobody.
#[derive(Debug, Default)]
pub struct Desk {
    max_age: RwLock<Option<SignedDuration>>,
    is_shut: OnceLock<()>,
    bell: Notify,
}

impl Desk {
    /// From now on alerts are made out of kills that are not older.
    pub fn open(&self, max_age: SignedDuration) {
        if self.is_shut.get().is_none() {
            *self.max_age.write().unwrap_or_else(PoisonError::into_inner) = Some(max_age);
        }
    }

    /// Nothing is made out, whoever opens it.
    pub fn shut(&self) {
        let _ = self.is_shut.set(());
        *self.max_age.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Who is to be told of this kill, which was matched; `None`: nothing is made out here.
    #[must_use]
    pub fn notices(&self, kill: &Kill, surveillance: &Surveillance, now: Timestamp) -> Option<Vec<Notice>> {
        let max_age = (*self.max_age.read().unwrap_or_else(PoisonError::into_inner))?;
        let mut notices: Vec<Notice> = Vec::new();
        let (Some(mail), Some(matches)) = (&kill.mail, &kill.matches) else { return Some(notices) };
        if now.duration_since(mail.killmail_time) > max_age {
            return Some(notices);
        }
        for alerting in matches.iter().filter_map(|id| surveillance.alerting(*id)) {
            let first = notices.len();
            for target in alerting.targets.iter().filter_map(|target| target_id(&target.url)) {
                // A profile may name a target twice.
                if notices[first..].iter().all(|notice| notice.target != target) {
                    notices.push(Notice { profile_id: alerting.profile_id, target });
                }
            }
        }
        Some(notices)
    }

    /// There may be something to deliver.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Ready when somebody rang.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

/// By what a target is known where its address is not to be: the first bits of the address's SHA-256.
#[must_use]
pub fn target_id(url: &str) -> Option<TargetId> {
    let digest = Sha256::digest(url.trim().as_bytes());
    let first = digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    TargetId::new((first >> 1) as i64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::killmail::ProfileId;
    use crate::profile::Filter;
    use crate::profile::document::{Format, Target};
    use crate::surveillance::Watched;

    fn watching(profiles: &[(i64, &[&str])]) -> Surveillance {
        let target = |url: &&str| Target { url: (*url).to_owned(), format: Format::Json };
        let watched = |(id, urls): &(i64, &[&str])| Watched {
            profile_id: ProfileId::new(*id).expect("an id"),
            name: "a profile".into(),
            filter: Filter::parse(r#"{"field":"solo","operator":"exists","value":true}"#).expect("a filter"),
            targets: urls.iter().map(target).collect(),
        };
        let surveillance = Surveillance::default();
        surveillance.put(profiles.iter().map(watched).collect());
        surveillance
    }

    fn kill(time: Timestamp, matches: &[i64]) -> Kill {
        let mut sampler = crate::killmail::sample::Sampler::new(1);
        let raw = sampler.next(time).package_json();
        let mut kill = Kill::new(raw.into(), "test", time, true);
        kill.mail = crate::killmail::wire::decode(&kill.raw).ok().map(Arc::new);
        kill.matches = Some(matches.iter().copied().filter_map(ProfileId::new).collect());
        kill
    }

    fn told(notices: Option<Vec<Notice>>) -> Option<Vec<i64>> {
        Some(notices?.iter().map(|notice| notice.profile_id.get()).collect())
    }

    #[test]
    fn each_target_of_each_profile_that_matches_and_has_any_is_told_once() {
        let surveillance = watching(&[(1, &["http://a/"]), (2, &[]), (3, &["http://b/", "http://a/", "http://b/"])]);
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let (desk, kill) = (Desk::default(), kill(now, &[1, 2, 3, 4]));
        assert_eq!(desk.notices(&kill, &surveillance, now), None, "nobody has opened it");
        let killed_at = kill.mail.as_ref().expect("decoded").killmail_time;
        desk.open(SignedDuration::from_secs(60));
        assert_eq!(told(desk.notices(&kill, &surveillance, killed_at)), Some(vec![1, 3, 3]));
        let later = killed_at + SignedDuration::from_secs(60);
        assert_eq!(told(desk.notices(&kill, &surveillance, later)), Some(vec![1, 3, 3]));
        assert_eq!(told(desk.notices(&kill, &surveillance, later + SignedDuration::from_secs(1))), Some(vec![]));
        desk.shut();
        desk.open(SignedDuration::from_secs(60));
        assert_eq!(desk.notices(&kill, &surveillance, killed_at), None);
    }

    #[test]
    fn an_address_has_one_id_and_others_have_others() {
        assert_eq!(target_id("http://a/"), target_id(" http://a/ "));
        assert_ne!(target_id("http://a/"), target_id("http://a/?"));
        assert_eq!(target_id("abc").map(TargetId::get), Some(0x5d3c_0b5f_c780_e7f5));
    }
}
