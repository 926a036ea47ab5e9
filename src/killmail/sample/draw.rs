//! One made-up kill, drawn and written as JSON once.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

/// A kill without its id, time and hash. All but the numbers are JSON.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) system: i64,
    pub(super) attacker_count: usize,
    pub(super) victim: String,
    pub(super) attackers: String,
    pub(super) feed_victim: String,
    pub(super) feed_attackers: String,
    /// The fields of the block, without braces and hash.
    pub(super) zkb: String,
}

const CAPSULE: i64 = 670;
const SHIPS: &[i64] = &[
    587, 593, 597, 602, 603, 605, 621, 626, 638, 645, 648, 4306, 4308, 4310, 11371, 11387, 11393, 16242, 17478, 17480,
    17715, 17918, 22428, 22456, 22544, 24690, 28606, 29984, 32878, 32880, 33470, 34562, 34828, 47466, 52907,
];
const STRUCTURES: &[i64] = &[35825, 35826, 35832, 35833, 35834, 35835, 35840, 36523, 81826];
const NPC_SHIPS: &[i64] = &[23311, 24094, 30192, 47721, 52172, 56217];
const WEAPONS: &[i64] =
    &[2446, 2488, 2873, 2889, 2929, 3074, 3146, 3178, 3520, 8105, 10629, 13781, 19739, 27351, 33450];
const LOWS: &[i64] = &[519, 1306, 1405, 2048, 2605, 4403, 10190, 11269, 22291, 22542, 31932];
const MIDS: &[i64] = &[438, 440, 448, 527, 2281, 3244, 3831, 4027, 5439, 12271, 31790, 35659];
const CHARGES: &[i64] = &[192, 209, 2629, 12608, 12614, 21740, 24488, 27361];
const RIGS: &[i64] = &[26082, 31055, 31113, 31117, 31360, 31716, 31790];
const DRONES: &[i64] = &[2175, 2185, 2205, 2446, 2456, 2466, 2488];
const CARGO: &[i64] = &[34, 35, 36, 37, 3638, 3651, 16273, 28668, 30370, 41490, 43556];
const CONTAINERS: &[i64] = &[3293, 3296, 3465, 3467, 17366];
const IMPLANTS: &[i64] = &[9941, 9943, 9956, 10208, 10216, 13166, 22118, 27187, 27188, 33393];

/// What the types of made-up kills are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Ship,
    Capsule,
    Structure,
    Npc,
    Drone,
    Weapon,
    Low,
    Medium,
    Rig,
    Charge,
    Cargo,
    Container,
    Implant,
}

/// Every type that a made-up kill may hold. One that stands in two lists is what the first says.
pub const PARTS: &[(Part, &[i64])] = &[
    (Part::Ship, SHIPS),
    (Part::Capsule, &[CAPSULE]),
    (Part::Structure, STRUCTURES),
    (Part::Npc, NPC_SHIPS),
    (Part::Drone, DRONES),
    (Part::Weapon, WEAPONS),
    (Part::Low, LOWS),
    (Part::Rig, RIGS),
    (Part::Medium, MIDS),
    (Part::Charge, CHARGES),
    (Part::Cargo, CARGO),
    (Part::Container, CONTAINERS),
    (Part::Implant, IMPLANTS),
];

/// Solar systems of made-up kills: k-space, w-space, abyssal.
pub const SYSTEMS: [std::ops::RangeInclusive<i64>; 3] =
    [30_000_001..=30_005_201, 31_000_001..=31_002_604, 32_000_001..=32_000_200];

/// What kind of kill it is.
struct Kind {
    is_pod: bool,
    is_structure: bool,
    is_npc: bool,
}

pub(super) fn body(random: &mut StdRng) -> Body {
    let is_pod = random.random_bool(0.27);
    let is_structure = !is_pod && random.random_bool(0.03);
    // Capsules are rarely killed by NPCs: 12 % over all.
    let is_npc = random.random_bool(if is_pod { 0.03 } else { 0.153 });
    let kind = Kind { is_pod, is_structure, is_npc };
    let system = system(random);
    let attackers = attackers(random, &kind);
    let damage: i64 = attackers.iter().filter_map(|attacker| attacker["damage_done"].as_i64()).sum();
    let victim = victim(random, &kind, damage);
    let zkb = zkb(random, &kind, system, &attackers);
    let feed_attackers: Vec<_> = attackers.iter().map(feed_party).collect();
    let mut zkb = Value::Object(zkb).to_string();
    zkb.pop();
    zkb.remove(0);
    Body {
        system,
        attacker_count: attackers.len(),
        feed_victim: feed_party(&victim).to_string(),
        victim: victim.to_string(),
        attackers: Value::Array(attackers).to_string(),
        feed_attackers: Value::Array(feed_attackers).to_string(),
        zkb,
    }
}

/// A third of all kills happens in a few dozen systems.
fn system(random: &mut StdRng) -> i64 {
    match random.random_range(0..100) {
        0..33 => 30_000_142 + 37 * random.random_range(0..40),
        33..81 => random.random_range(SYSTEMS[0].clone()),
        81..97 => random.random_range(SYSTEMS[1].clone()),
        _ => random.random_range(SYSTEMS[2].clone()),
    }
}

/// A standard normal draw.
fn normal(random: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn pick(random: &mut StdRng, from: &[i64]) -> i64 {
    from.choose(random).copied().unwrap_or_default()
}

fn pilot(random: &mut StdRng) -> Map<String, Value> {
    let mut party = Map::new();
    let corporation = random.random_range(0..2_000);
    party.insert("character_id".into(), json!(2_112_000_000_i64 + random.random_range(0..40_000)));
    party.insert("corporation_id".into(), json!(98_000_000 + corporation));
    if corporation % 4 != 0 {
        party.insert("alliance_id".into(), json!(99_000_000 + corporation / 8));
    }
    if random.random_bool(0.06) {
        party.insert("faction_id".into(), json!(500_001 + random.random_range(0..4)));
    }
    party
}

fn attackers(random: &mut StdRng, kind: &Kind) -> Vec<Value> {
    // Median 2, p99 61: a log-normal that is rounded up.
    let crowd = (0.47 + 1.565 * normal(random)).exp().ceil().min(1_000.0) as usize;
    let count = if kind.is_npc { 1 + crowd % 4 } else { crowd };
    let final_blow = random.random_range(0..count);
    (0..count)
        .map(|index| {
            let mut party = if kind.is_npc { Map::new() } else { pilot(random) };
            if kind.is_npc {
                party.insert("faction_id".into(), json!(500_010 + random.random_range(0..12)));
                party.insert("ship_type_id".into(), json!(pick(random, NPC_SHIPS)));
                party.insert("security_status".into(), json!(0));
            } else {
                let ship = pick(random, SHIPS);
                let weapon = if random.random_bool(0.2) { ship } else { pick(random, WEAPONS) };
                party.insert("ship_type_id".into(), json!(ship));
                party.insert("weapon_type_id".into(), json!(weapon));
                let tenths = random.random_range(-100..=50);
                party.insert(
                    "security_status".into(),
                    if tenths % 10 == 0 { json!(tenths / 10) } else { json!(f64::from(tenths) / 10.0) },
                );
            }
            let damage = if index > 0 && random.random_bool(0.1) { 0 } else { random.random_range(20..9_000) };
            party.insert("damage_done".into(), json!(damage));
            party.insert("final_blow".into(), json!(index == final_blow));
            Value::Object(party)
        })
        .collect()
}

fn victim(random: &mut StdRng, kind: &Kind, damage: i64) -> Value {
    let mut party = pilot(random);
    let ship = if kind.is_pod {
        CAPSULE
    } else if kind.is_structure {
        party.remove("character_id");
        pick(random, STRUCTURES)
    } else {
        pick(random, SHIPS)
    };
    party.insert("ship_type_id".into(), json!(ship));
    party.insert("damage_taken".into(), json!(damage));
    let mut metres = || random.random_range(-5_000_000_000_000.0..5_000_000_000_000.0_f64);
    party.insert("position".into(), json!({ "x": metres(), "y": metres(), "z": metres() }));
    let items = if kind.is_pod { implants(random) } else { fit(random) };
    party.insert("items".into(), Value::Array(items));
    Value::Object(party)
}

fn implants(random: &mut StdRng) -> Vec<Value> {
    let count = if random.random_bool(0.5) { 0 } else { random.random_range(1..=10) };
    (0..count)
        .map(|_| json!({ "flag": 89, "item_type_id": pick(random, IMPLANTS), "quantity_destroyed": 1, "singleton": 0 }))
        .collect()
}

fn fit(random: &mut StdRng) -> Vec<Value> {
    let mut items = Vec::new();
    for (first, count, types) in [
        (11, random.random_range(1..=6), LOWS),
        (19, random.random_range(2..=6), MIDS),
        (27, random.random_range(2..=7), WEAPONS),
        (92, random.random_range(0..=3), RIGS),
    ] {
        let kind = pick(random, types);
        for slot in first..first + count {
            let kind = if first == 27 { kind } else { pick(random, types) };
            items.push(item(random, slot, kind, 1));
            if first == 27 {
                let (charge, rounds) = (pick(random, CHARGES), random.random_range(1..120));
                items.push(item(random, slot, charge, rounds));
            }
        }
    }
    if random.random_bool(0.5) {
        let (kind, count) = (pick(random, DRONES), random.random_range(1..=5));
        items.push(item(random, 87, kind, count));
    }
    for _ in 0..random.random_range(0..6) {
        let (kind, count) = (pick(random, CARGO), 10_i64.pow(random.random_range(0..4)));
        items.push(item(random, 5, kind, count));
    }
    if random.random_bool(0.013) {
        let within: Vec<_> = (0..random.random_range(1..=5)).map(|_| item(random, 0, CARGO[0], 900)).collect();
        let kind = pick(random, CONTAINERS);
        items.push(json!({ "flag": 5, "item_type_id": kind, "quantity_dropped": 1, "singleton": 0, "items": within }));
    }
    items
}

/// A stack that was either destroyed or dropped.
fn item(random: &mut StdRng, flag: i64, kind: i64, quantity: i64) -> Value {
    let fate = if random.random_bool(0.5) { "quantity_dropped" } else { "quantity_destroyed" };
    json!({ "flag": flag, "item_type_id": kind, fate: quantity, "singleton": 0 })
}

fn zkb(random: &mut StdRng, kind: &Kind, system: i64, attackers: &[Value]) -> Map<String, Value> {
    let median: f64 = if kind.is_pod { 200_000.0 } else { 15_000_000.0 };
    let cents = |isk: f64| (isk * 100.0).round() / 100.0;
    let total = cents((median.ln() + 1.8 * normal(random)).exp().clamp(10_000.0, 2e12));
    let dropped = if kind.is_pod { 0.0 } else { cents(total * random.random_range(0.0..0.6)) };
    let solo = attackers.len() == 1 && !kind.is_npc && !kind.is_pod;
    let block = json!({
        "locationID": 40_000_000 + random.random_range(0..400_000), "totalValue": total, "droppedValue": dropped,
        "destroyedValue": cents(total - dropped), "fittedValue": cents(total * 0.7),
        "points": if kind.is_npc { 1 } else { random.random_range(1..60) },
        "npc": kind.is_npc, "solo": solo, "awox": !kind.is_npc && random.random_bool(0.004),
        "labels": labels(kind, system, attackers.len(), solo, total),
    });
    match block {
        Value::Object(block) => block,
        _ => Map::new(),
    }
}

fn labels(kind: &Kind, system: i64, attackers: usize, solo: bool, total: f64) -> Vec<&'static str> {
    let crowd =
        [(1_000, "#:1000+"), (100, "#:100+"), (50, "#:50+"), (25, "#:25+"), (10, "#:10+"), (5, "#:5+"), (2, "#:2+")];
    let crowd = crowd.iter().find(|(least, _)| attackers >= *least).map_or("#:1", |(_, label)| label);
    let value = [(1e12, "isk:1t+"), (1e11, "isk:100b+"), (1e10, "isk:10b+"), (5e9, "isk:5b+"), (1e9, "isk:1b+")];
    let place = match system {
        30_000_000..30_002_000 => "loc:highsec",
        30_002_000..30_003_200 => "loc:lowsec",
        30_003_200..31_000_000 => "loc:nullsec",
        31_000_000..32_000_000 => "loc:w-space",
        _ => "loc:abyssal",
    };
    let mut labels = vec![if kind.is_structure { "cat:65" } else { "cat:6" }, if solo { "solo" } else { crowd }];
    labels.push(if kind.is_npc { "npc" } else { "pvp" });
    labels.push(place);
    labels.extend(value.iter().find(|(least, _)| total >= *least).map(|(_, label)| *label));
    labels
}

/// The victim or an attacker as wanderer-kills has it: names, but no items and no faction.
fn feed_party(party: &Value) -> Value {
    let Value::Object(mut party) = party.clone() else { return Value::Null };
    for gone in ["items", "faction_id"] {
        party.remove(gone);
    }
    for (id, name, word) in [
        ("character_id", "character_name", "Pilot"),
        ("corporation_id", "corporation_name", "Corporation"),
        ("alliance_id", "alliance_name", "Alliance"),
        ("ship_type_id", "ship_name", "Ship"),
    ] {
        if let Some(id) = party.get(id) {
            let text = format!("{word} {id}");
            party.insert(name.into(), Value::String(text));
        }
    }
    Value::Object(party)
}
