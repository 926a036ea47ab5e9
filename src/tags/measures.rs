//! Mass balance and usefulness: what a participant gave and took, in numbers that can be added and compared.
//!
//! # Mass balance
//!
//! Kilograms. What an attacker destroyed: its share of the damage times the mass of the hull that was lost; for the victim, that mass with a minus. So
//! it is from `-m` to `m`, where `m` is the hull's mass, and **the sum over a kill is 0**. Added up over the kills of a battle by side (alliance,
//! corporation, pilot) it says what each side destroyed less what it lost.
//!
//! * `m` is the mass of the hull alone, as the static data have it: not of modules or cargo. Where they have none (0), nothing is said of anyone.
//! * The share is damage done over all damage done, NPCs' too; damage below 0 counts as 0.
//! * When no damage was done (a bubble that was popped, a ship that blew itself up) the final blow has all of it; without one, all attackers
//!   have the same.
//! * Of a kill without attackers nothing is said.
//!
//! # Usefulness
//!
//! What an attacker did over what was expected of it: from 0 up, 1 is as expected, 2 twice as much. Of the `n` attackers that have a weight,
//!
//! ```text
//!                 damage(i) / Σ damage
//! usefulness(i) = ────────────────────    sums over those that have a weight
//!                 weight(i) / Σ weight
//! ```
//!
//! The weight is the ship's, by its class (`ships.csv`): about the hundreds of damage a second that a usual fit of it does. The size of the fleet comes in
//! through the sum: of ten equal ships a tenth is expected each. **The mean of usefulness, weighted by what was expected, is 1** in every kill,
//! so one cannot be useful but at the cost of others; over many kills, the mean of a pilot says who pulls more than their weight.
//!
//! * No usefulness has: the victim; who has no ship, or one without weight or class (NPCs, capsules, unarmed ships); and anyone where those that have
//!   weight did no damage at all. Their damage is left out of both sums, so that players are measured by one another.
//! * Who was there and did no damage has 0. Logistics ships weigh little, not nothing: their work is not in a killmail.
//!
//! # An example
//!
//! A cruiser of 12,000,000 kg is lost to a frigate (weight 1) with 600 damage, a cruiser (weight 3) with 300 and an NPC with 100.
//!
//! | | mass balance | usefulness |
//! |---|---|---|
//! | victim | -12,000,000 | |
//! | frigate | 7,200,000 | (600 / 900) / (1 / 4) = 2.67 |
//! | cruiser | 3,600,000 | (300 / 900) / (3 / 4) = 0.44 |
//! | NPC | 1,200,000 | |

use crate::killmail::{Attacker, Killmail, Measures};

/// The measures of all participants, by position: 0 is the victim. `mass` is the lost hull's; `weight` is that of an attacker's ship.
#[must_use]
pub fn of(mail: &Killmail, mass: Option<f64>, weight: impl Fn(&Attacker) -> Option<f64>) -> Vec<Measures> {
    let attackers = &mail.attackers;
    let mut measures = vec![Measures::default(); 1 + attackers.len()];
    if attackers.is_empty() {
        return measures;
    }
    let damages: Vec<f64> = attackers.iter().map(|attacker| attacker.damage_done.max(0) as f64).collect();
    if let Some(mass) = mass.filter(|mass| mass.is_finite() && *mass > 0.0) {
        measures[0].mass_balance = Some(-mass);
        let damage: f64 = damages.iter().sum();
        let final_blow = attackers.iter().position(|attacker| attacker.final_blow);
        for (place, measure) in measures[1..].iter_mut().enumerate() {
            let share = match final_blow {
                _ if damage > 0.0 => damages[place] / damage,
                Some(final_blow) => f64::from(u8::from(place == final_blow)),
                None => 1.0 / attackers.len() as f64,
            };
            measure.mass_balance = Some(mass * share);
        }
    }
    let weights: Vec<f64> = attackers.iter().map(|attacker| weight(attacker).unwrap_or(0.0)).collect();
    let weighted = || damages.iter().zip(&weights).filter(|(_, weight)| **weight > 0.0);
    let (damage, expected) = weighted().fold((0.0, 0.0), |sums, (d, w)| (sums.0 + d, sums.1 + w));
    if damage > 0.0 {
        for ((measure, done), weight) in measures[1..].iter_mut().zip(&damages).zip(&weights) {
            measure.usefulness = (*weight > 0.0).then(|| (done / damage) / (weight / expected));
        }
    }
    measures
}
