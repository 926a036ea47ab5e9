//! How the simulator misbehaves, when asked to.

use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::supply::Published;

/// Everything off unless set. Shares are from 0 to 1.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Share of kills sent twice.
    pub duplicates: f64,
    /// Share of kills whose JSON breaks off.
    pub bad_json: f64,
    /// Share of kills whose attackers are all `{}`.
    pub empty_attackers: f64,
    /// After so many kills on a connection, half a frame is sent and the connection cut …
    pub cut_after: Option<u64>,
    /// … so many times in all.
    pub cuts: u32,
    /// Pieces that each frame is written in.
    pub pieces: usize,
    /// Lines end with CR LF.
    pub crlf: bool,
    /// Each connection falls silent after so many kills, for so long: not even a ping.
    pub silence: Option<(u64, Duration)>,
    /// The first connections are refused with 503.
    pub refusals: u32,
    /// The first kill has so many attackers.
    pub huge_attackers: usize,
}

/// The dice of one connection.
#[derive(Debug)]
pub(super) struct Dice(StdRng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    pub(super) fn roll(&mut self, share: f64) -> bool {
        share > 0.0 && self.0.random::<f64>() < share
    }
}

/// The body as this connection gets it, and whether it is still a kill.
pub(super) fn spoil(kill: &Published, faults: &Faults, dice: &mut Dice) -> (Bytes, bool) {
    if dice.roll(faults.bad_json) {
        return (kill.json.slice(..kill.json.len() * 3 / 5), false);
    }
    if dice.roll(faults.empty_attackers)
        && let Ok(mut body) = serde_json::from_slice::<serde_json::Value>(&kill.json)
    {
        for attacker in body["attackers"].as_array_mut().into_iter().flatten() {
            *attacker = serde_json::json!({});
        }
        return (Bytes::from(body.to_string()), true);
    }
    (kill.json.clone(), true)
}

/// A frame in the pieces that it is written in.
pub(super) fn pieces(frame: Bytes, pieces: usize) -> impl Iterator<Item = Bytes> {
    let size = frame.len().div_ceil(pieces.max(1)).max(1);
    (0..frame.len()).step_by(size).map(move |from| frame.slice(from..(from + size).min(frame.len())))
}
