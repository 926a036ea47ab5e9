//! Kills from a seed.

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

/// Ids begin here, in a range of its own for each seed.
const FIRST_ID: i64 = 140_000_000;

/// Draws kills.
pub(super) struct Sampler {
    random: StdRng,
    id: i64,
}

impl Sampler {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), id: FIRST_ID }
    }

    pub(super) fn next(&mut self, now: Timestamp) -> Map<String, Value> {
        self.id += 1;
        let random = &mut self.random;
        let hash: String = (0..40).map(|_| char::from_digit(random.random_range(0..16), 16).unwrap_or('0')).collect();
        let pilots = 1 + random.random_range(0..4);
        let attackers: Vec<_> = (0..pilots)
            .map(|n| {
                json!({
                    "character_id": 90_000_000 + random.random_range(0..100_000), "corporation_id": 98_000_001,
                    "ship_type_id": 603, "weapon_type_id": 3178, "damage_done": 400, "final_blow": n == 0,
                    "security_status": -1.2,
                })
            })
            .collect();
        let body = json!({
            "killmail_id": self.id, "kill_time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "system_id": 30_000_001 + random.random_range(0..5000), "attacker_count": pilots,
            "victim": {
                "character_id": 90_000_000 + random.random_range(0..100_000), "corporation_id": 98_000_002,
                "ship_type_id": 587, "damage_taken": 400 * pilots,
            },
            "attackers": attackers,
            "zkb": {
                "hash": hash, "totalValue": random.random_range(10_000..1_000_000_000), "points": 1, "npc": false,
                "solo": pilots == 1, "awox": false, "labels": ["pvp"],
            },
        });
        match body {
            Value::Object(body) => body,
            _ => Map::new(),
        }
    }
}
