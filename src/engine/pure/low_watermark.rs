//! The highest position below which everything is settled: the only position that is safe to store.

use std::collections::BTreeMap;

/// Tracks positions that are handed out in ascending order and settled in any order.
///
/// ```
/// use broadside_engine::LowWatermark;
/// let mut watermark = LowWatermark::new();
/// for position in [10, 11, 12] {
///     watermark.track(position);
/// }
/// assert_eq!(watermark.settle(11), None); // 10 is still in flight
/// assert_eq!(watermark.settle(10), Some(11)); // everything up to 11 is settled
/// ```
#[derive(Debug, Clone, Default)]
pub struct LowWatermark {
    /// Positions in flight, and settled ones above the lowest in flight. `true`: settled.
    positions: BTreeMap<u64, bool>,
    reached: Option<u64>,
}

impl LowWatermark {
    /// Nothing handed out yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A position is handed out. One that is not above the watermark (a redelivery) is ignored.
    pub fn track(&mut self, position: u64) {
        if self.reached.is_none_or(|reached| position > reached) {
            self.positions.entry(position).or_insert(false);
        }
    }

    /// A position is settled; the new watermark, if it moved. Unknown positions change nothing.
    pub fn settle(&mut self, position: u64) -> Option<u64> {
        *self.positions.get_mut(&position)? = true;
        let before = self.reached;
        while let Some(entry) = self.positions.first_entry() {
            if !*entry.get() {
                break;
            }
            self.reached = Some(*entry.key());
            entry.remove();
        }
        if self.reached == before { None } else { self.reached }
    }

    /// The watermark: everything handed out up to and including it is settled.
    #[must_use]
    pub fn reached(&self) -> Option<u64> {
        self.reached
    }

    /// Positions handed out and not below the watermark.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.positions.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_watermark_never_passes_a_position_in_flight(order in Just((0_u64..60).collect::<Vec<_>>()).prop_shuffle()) {
            let mut watermark = LowWatermark::new();
            (0..60).for_each(|p| watermark.track(p));
            let mut settled = std::collections::BTreeSet::new();
            for position in order {
                watermark.settle(position);
                settled.insert(position);
                let lowest_in_flight = (0..60).find(|p| !settled.contains(p)).unwrap_or(60);
                prop_assert_eq!(watermark.reached().map_or(0, |r| r + 1), lowest_in_flight);
            }
            prop_assert_eq!(watermark.pending(), 0);
        }
    }
}
