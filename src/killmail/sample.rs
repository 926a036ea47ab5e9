//! Made-up kills with the proportions of real ones: what the generator and the simulator hand out.
//!
//! Of a week of real kills: 27 % capsules; 12 % killed by NPCs alone; attackers median 2, p99 61; about 16 items; one in a hundred with a container
//! that holds more; 2 % structures, which have no pilot; 2.6 kB as ESI writes it. Names say of themselves that they are made up.

mod draw;

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use draw::Body;
pub use draw::{PARTS, Part, SYSTEMS};

/// Bodies that are drawn; after these they come again, with fresh ids, times and hashes. About 8 MB.
const POOL: usize = 1024;
/// Ids begin above this one.
const FIRST_ID: i64 = 140_000_000;

/// Draws kills. The same seed gives the same kills.
#[derive(Debug)]
pub struct Sampler {
    random: StdRng,
    id: i64,
    pool: Vec<Arc<Body>>,
    next: usize,
}

impl Sampler {
    /// Begins anew.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), id: FIRST_ID, pool: Vec::new(), next: 0 }
    }

    /// The next kill, which happens in this second.
    pub fn next(&mut self, now: Timestamp) -> Sample {
        if self.pool.len() < POOL {
            self.pool.push(Arc::new(draw::body(&mut self.random)));
        }
        let body = self.pool[self.next % POOL].clone();
        self.next += 1;
        self.id += self.random.random_range(1..=2);
        let mut hash = String::with_capacity(40);
        for _ in 0..5 {
            // Writing to a string does not fail.
            let _ = write!(hash, "{:08x}", self.random.random::<u32>());
        }
        let time = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Sample { killmail_id: self.id, killmail_hash: hash, killmail_time: time, body }
    }
}

/// One made-up kill.
#[derive(Debug, Clone)]
pub struct Sample {
    pub killmail_id: i64,
    /// Looks like one; ESI knows nothing of it.
    pub killmail_hash: String,
    /// Whole seconds.
    pub killmail_time: Timestamp,
    body: Arc<Body>,
}

impl Sample {
    /// Where it happened.
    #[must_use]
    pub fn solar_system_id(&self) -> i64 {
        self.body.system
    }

    /// As ESI answers it.
    #[must_use]
    pub fn esi_json(&self) -> String {
        let mut json = String::with_capacity(self.body.attackers.len() + self.body.victim.len() + 160);
        self.write_esi(&mut json);
        json
    }

    /// As zKillboard's numbered files hold it.
    #[must_use]
    pub fn package_json(&self) -> String {
        let body = &*self.body;
        let mut json = String::with_capacity(body.attackers.len() + body.victim.len() + body.zkb.len() + 400);
        let (id, hash) = (self.killmail_id, &self.killmail_hash);
        let _ = write!(json, r#"{{"killmail_id":{id},"hash":"{hash}","esi":"#);
        self.write_esi(&mut json);
        let uploaded_at = self.killmail_time.as_second();
        let _ = write!(json, r#","zkb":{{"hash":"{hash}",{}}},"uploaded_at":{uploaded_at}}}"#, body.zkb);
        json
    }

    /// As wanderer-kills sends it: other names, no items, no factions.
    #[must_use]
    pub fn feed_json(&self) -> String {
        let body = &*self.body;
        let mut json = String::with_capacity(body.feed_attackers.len() + body.feed_victim.len() + body.zkb.len() + 320);
        let (id, time, system) = (self.killmail_id, self.killmail_time, body.system);
        let _ = write!(
            json,
            r#"{{"killmail_id":{id},"kill_time":"{time}","system_id":{system},"solar_system_name":"System {system}","#
        );
        let _ = write!(json, r#""attacker_count":{},"victim":{},"#, body.attacker_count, body.feed_victim);
        let hash = &self.killmail_hash;
        let _ = write!(json, r#""attackers":{},"zkb":{{"hash":"{hash}",{}}}}}"#, body.feed_attackers, body.zkb);
        json
    }

    fn write_esi(&self, json: &mut String) {
        let (body, id, time) = (&*self.body, self.killmail_id, self.killmail_time);
        let _ = write!(
            json,
            r#"{{"attackers":{},"killmail_id":{id},"killmail_time":"{time}","solar_system_id":{},"victim":{}}}"#,
            body.attackers, body.system, body.victim
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::killmail::{Form, Killmail, wire};

    fn now() -> Timestamp {
        "2026-02-03T04:05:06.789Z".parse().expect("a time")
    }

    fn decoded(json: &str) -> Killmail {
        wire::decode(json.as_bytes()).expect(json)
    }

    #[test]
    fn each_shape_reads_back_as_the_same_kill() {
        let mut sampler = Sampler::new(7);
        for _ in 0..300 {
            let sample = sampler.next(now());
            let package = decoded(&sample.package_json());
            let esi = decoded(&sample.esi_json());
            let feed = decoded(&sample.feed_json());
            assert_eq!((package.form, esi.form, feed.form), (Form::Package, Form::Esi, Form::Feed));
            assert_eq!(package.killmail_id.get(), sample.killmail_id);
            assert_eq!(package.killmail_hash.expect("a hash").to_string(), sample.killmail_hash);
            assert_eq!(package.killmail_time.to_string(), "2026-02-03T04:05:06Z");
            assert_eq!(Killmail { form: Form::Esi, killmail_hash: None, zkb: None, ..package.clone() }, esi);
            assert_eq!((feed.killmail_id, feed.killmail_time), (esi.killmail_id, esi.killmail_time));
            assert_eq!((feed.solar_system_id, feed.attackers.len()), (esi.solar_system_id, esi.attackers.len()));
            assert_eq!((feed.zkb, feed.victim.items.len()), (package.zkb, 0));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_kills_and_ids_only_rise() {
        let (mut one, mut two) = (Sampler::new(3), Sampler::new(3));
        let mut last = 0;
        for _ in 0..POOL + 50 {
            let sample = one.next(now());
            assert_eq!(sample.package_json(), two.next(now()).package_json());
            assert!(sample.killmail_id > last);
            last = sample.killmail_id;
        }
        assert_ne!(Sampler::new(4).next(now()).package_json(), Sampler::new(3).next(now()).package_json());
    }

    #[test]
    fn proportions_are_those_of_real_kills() {
        let mut sampler = Sampler::new(1);
        let samples: Vec<_> = (0..POOL).map(|_| sampler.next(now())).collect();
        let kills: Vec<_> = samples.iter().map(|sample| decoded(&sample.package_json())).collect();
        let share = |test: &dyn Fn(&Killmail) -> bool| {
            kills.iter().filter(|kill| test(kill)).count() as f64 / kills.len() as f64
        };
        let pods = share(&|kill| kill.victim.ship_type_id.is_some_and(|ship| ship.get() == 670));
        let npc = share(&|kill| kill.zkb.as_ref().and_then(|zkb| zkb.npc) == Some(true));
        let nested = share(&|kill| kill.victim.items.iter().any(|item| !item.items.is_empty()));
        let bytes = samples.iter().map(|sample| sample.esi_json().len()).sum::<usize>() / samples.len();
        let mut attackers: Vec<_> = kills.iter().map(|kill| kill.attackers.len()).collect();
        attackers.sort_unstable();
        assert!((0.23..0.31).contains(&pods), "{pods}");
        assert!((0.09..0.15).contains(&npc), "{npc}");
        assert!((0.002..0.025).contains(&nested), "{nested}");
        assert!((2_200..3_000).contains(&bytes), "{bytes}");
        assert_eq!(attackers[POOL / 2], 2);
        assert!((35..100).contains(&attackers[POOL * 99 / 100]), "{}", attackers[POOL * 99 / 100]);
    }
}
