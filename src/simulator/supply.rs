//! Where the simulator's kills come from: a seed, or files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Config, Error};
use crate::killmail::sample::Sampler;

/// A kill as the feed sends it.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) id: i64,
    pub(super) system_id: i64,
    pub(super) json: Bytes,
    /// As zKillboard's numbered files hold it, unless it came in the feed's form.
    pub(super) package: Option<Bytes>,
}

/// The first id given to kills that are restamped.
const RESTAMP_FROM: i64 = 900_000_001;
/// A longer line is no killmail.
const LINE_MAX: u64 = 32 * 1024 * 1024;

/// Kills, one after the other. Files are read as they are needed, a line at a time.
pub(super) struct Supply {
    origin: Origin,
    huge_attackers: usize,
    restamp: Option<i64>,
}

enum Origin {
    Seed(Box<Sampler>),
    Files { waiting: std::vec::IntoIter<PathBuf>, open: Option<Box<dyn BufRead + Send>> },
}

impl Supply {
    /// Looks whether every file is there.
    pub(super) fn open(config: &Config) -> Result<Self, Error> {
        for path in &config.inputs {
            File::open(path).map_err(|source| Error::Input { path: path.display().to_string(), source })?;
        }
        let origin = if config.inputs.is_empty() {
            Origin::Seed(Box::new(Sampler::new(config.seed)))
        } else {
            Origin::Files { waiting: config.inputs.clone().into_iter(), open: None }
        };
        let restamp = config.restamp.then_some(RESTAMP_FROM);
        Ok(Self { origin, huge_attackers: config.faults.huge_attackers, restamp })
    }

    /// The next kill; `None` after the last one. Lines that are no killmail are passed over.
    pub(super) fn next(&mut self) -> io::Result<Option<Published>> {
        loop {
            let line = match &mut self.origin {
                Origin::Seed(sampler) => Bytes::from(sampler.next(Timestamp::now()).package_json()),
                Origin::Files { waiting, open } => match next_line(waiting, open)? {
                    None => return Ok(None),
                    Some(line) => line.into(),
                },
            };
            let Some(mut draft) = serde_json::from_slice(&line).ok().and_then(Draft::of) else { continue };
            if let Some(id) = &mut self.restamp {
                draft.restamp(*id, Timestamp::now());
                *id += 1;
            }
            draft.crowd(std::mem::take(&mut self.huge_attackers));
            if let Some(kill) = draft.publish() {
                return Ok(Some(kill));
            }
        }
    }
}

/// A kill before it is published.
enum Draft {
    /// As the feed sends it: nothing more is known.
    Feed(Map<String, Value>),
    /// As a numbered file holds it.
    Package(Map<String, Value>),
}

impl Draft {
    fn of(line: Value) -> Option<Self> {
        let Value::Object(mut line) = line else { return None };
        if line.contains_key("kill_time") {
            return Some(Self::Feed(line));
        }
        let hash = line.remove("hash").or_else(|| line.remove("killmail_hash"));
        let zkb = line.remove("zkb").filter(Value::is_object).unwrap_or_else(|| json!({}));
        let uploaded_at = line.remove("uploaded_at");
        let mut esi = match line.remove("esi").or_else(|| line.remove("killmail")) {
            Some(Value::Object(esi)) => esi,
            _ => line,
        };
        let id = esi.get("killmail_id")?.as_i64()?;
        let hash = esi.remove("killmail_hash").or(hash).unwrap_or_else(|| json!(format!("{id:040x}")));
        let mut package = Map::new();
        package.insert("killmail_id".into(), json!(id));
        package.insert("hash".into(), hash);
        package.insert("esi".into(), Value::Object(esi));
        package.insert("zkb".into(), zkb);
        package.insert("uploaded_at".into(), uploaded_at.unwrap_or_else(|| json!(Timestamp::now().as_second())));
        Some(Self::Package(package))
    }

    fn restamp(&mut self, id: i64, now: Timestamp) {
        match self {
            Self::Feed(body) => {
                body.insert("killmail_id".into(), json!(id));
                body.insert("kill_time".into(), json!(stamp(now)));
            }
            Self::Package(package) => {
                package.insert("killmail_id".into(), json!(id));
                package.insert("uploaded_at".into(), json!(now.as_second()));
                package["esi"]["killmail_id"] = json!(id);
                package["esi"]["killmail_time"] = json!(stamp(now));
            }
        }
    }

    /// Repeats the first attacker, the final blow excepted.
    fn crowd(&mut self, count: usize) {
        let body = match self {
            Self::Feed(body) => Some(body),
            Self::Package(package) => package.get_mut("esi").and_then(Value::as_object_mut),
        };
        let Some(attackers) = body.and_then(|body| body.get_mut("attackers")).and_then(Value::as_array_mut) else {
            return;
        };
        let Some(mut one) = attackers.first().cloned() else { return };
        one["final_blow"] = json!(false);
        while attackers.len() < count {
            attackers.push(one.clone());
        }
    }

    fn publish(self) -> Option<Published> {
        let (package, body) = match self {
            Self::Feed(mut body) => {
                let count = body.get("attackers").and_then(Value::as_array).map(Vec::len);
                if let Some(count) = count {
                    body.insert("attacker_count".into(), json!(count));
                }
                (None, body)
            }
            Self::Package(package) => (Some(Bytes::from(serde_json::to_vec(&package).ok()?)), feed_form(package)?),
        };
        let number = |name: &str| body.get(name)?.as_i64();
        let json = Bytes::from(serde_json::to_vec(&body).ok()?);
        Some(Published { id: number("killmail_id")?, system_id: number("system_id")?, json, package })
    }
}

/// The next line of the files; they may be compressed.
fn next_line(
    waiting: &mut std::vec::IntoIter<PathBuf>,
    open: &mut Option<Box<dyn BufRead + Send>>,
) -> io::Result<Option<Vec<u8>>> {
    loop {
        if open.is_none() {
            let Some(path) = waiting.next() else { return Ok(None) };
            let file = BufReader::new(File::open(&path)?);
            let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
            *open =
                Some(if is_compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) });
        }
        let mut line = Vec::new();
        let reader = open.iter_mut().map(|reader| reader.take(LINE_MAX)).next();
        if let Some(mut reader) = reader
            && reader.read_until(b'\n', &mut line)? > 0
        {
            return Ok(Some(line));
        }
        *open = None;
    }
}

/// A package as the feed sends it: other names, no items, no factions.
fn feed_form(mut package: Map<String, Value>) -> Option<Map<String, Value>> {
    let (hash, zkb, esi) = (package.remove("hash")?, package.remove("zkb")?, package.remove("esi")?);
    let (Value::Object(mut zkb), Value::Object(mut body)) = (zkb, esi) else { return None };
    for (from, to) in [("killmail_time", "kill_time"), ("solar_system_id", "system_id")] {
        let value = body.remove(from)?;
        body.insert(to.into(), value);
    }
    zkb.entry("hash").or_insert(hash);
    let attackers = body.get_mut("attackers")?.as_array_mut()?;
    for attacker in attackers.iter_mut().filter_map(Value::as_object_mut) {
        attacker.remove("faction_id");
    }
    let count = attackers.len();
    let victim = body.get_mut("victim")?.as_object_mut()?;
    victim.remove("items");
    victim.remove("faction_id");
    body.insert("attacker_count".into(), json!(count));
    body.insert("zkb".into(), Value::Object(zkb));
    Some(body)
}

/// Whole seconds, as kills have them.
fn stamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_form_becomes_the_feeds() {
        let esi = json!({
            "killmail_id": 7, "killmail_time": "2026-01-02T03:04:05Z", "solar_system_id": 30_000_142,
            "victim": {"damage_taken": 1, "faction_id": 5, "items": [{"flag": 5}]},
            "attackers": [{"damage_done": 1, "final_blow": true, "faction_id": 5}],
        });
        let package = json!({"killmail_id": 7, "hash": "ab", "esi": esi, "zkb": {"totalValue": 1.5}});
        let published = |line: Value| Draft::of(line).and_then(Draft::publish);
        let feed = |line: Value| {
            let kill = published(line).expect("a kill");
            serde_json::from_slice::<Value>(&kill.json).expect("json")
        };
        let expected = json!({
            "killmail_id": 7, "kill_time": "2026-01-02T03:04:05Z", "system_id": 30_000_142, "attacker_count": 1,
            "victim": {"damage_taken": 1}, "attackers": [{"damage_done": 1, "final_blow": true}],
            "zkb": {"totalValue": 1.5, "hash": "ab"},
        });
        assert_eq!(feed(package.clone()), expected);
        assert_eq!(feed(esi.clone())["system_id"], 30_000_142);
        assert_eq!(feed(expected.clone()), expected);
        assert!(published(json!([1])).is_none());
        // And what is known whole keeps that form too.
        let whole = |line: Value| {
            let package = published(line).expect("a kill").package?;
            Some(serde_json::from_slice::<Value>(&package).expect("json"))
        };
        assert_eq!(whole(package).expect("a package")["esi"], esi);
        assert_eq!(whole(esi.clone()).expect("a package")["esi"], esi);
        assert_eq!(whole(expected), None);
    }

    #[test]
    fn lines_that_are_no_killmail_are_passed_over_and_the_end_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("kills.ndjson");
        let line = r#"{"killmail_id":1,"kill_time":"2026-01-02T03:04:05Z","system_id":2}"#;
        std::fs::write(&path, format!("garbage\n\n{line}\n[]\n{line}")).expect("written");
        let config = Config { inputs: vec![path.clone(), path], restamp: true, ..Config::default() };
        let mut supply = Supply::open(&config).expect("open");
        let ids: Vec<_> = std::iter::from_fn(|| supply.next().expect("readable")).map(|kill| kill.id).collect();
        assert_eq!(ids, [RESTAMP_FROM, RESTAMP_FROM + 1, RESTAMP_FROM + 2, RESTAMP_FROM + 3]);
    }

    #[test]
    fn a_missing_input_is_named() {
        let config = Config { inputs: vec!["nowhere.ndjson".into()], ..Config::default() };
        assert!(Supply::open(&config).is_err_and(|error| error.to_string().contains("nowhere.ndjson")));
    }

    #[test]
    fn the_same_seed_gives_the_same_kills() {
        let ids = |seed| {
            let mut supply = Supply::open(&Config { seed, ..Config::default() }).expect("open");
            (0..5).map(|_| supply.next().expect("kill").expect("kill").system_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(3), ids(3));
        assert_ne!(ids(3), ids(4));
    }

    #[test]
    fn a_crowd_has_one_final_blow() {
        let mut supply = Supply::open(&Config {
            faults: super::super::Faults { huge_attackers: 1000, ..Default::default() },
            ..Config::default()
        })
        .expect("open");
        let body: Value = serde_json::from_slice(&supply.next().expect("kill").expect("kill").json).expect("json");
        let attackers = body["attackers"].as_array().expect("attackers");
        assert_eq!(attackers.len(), 1000);
        assert!(attackers.iter().filter(|attacker| attacker["final_blow"] == true).count() <= 1);
    }
}
