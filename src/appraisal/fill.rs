//! What else to ask for when a call has room: types that are likely to be needed soon, so that all there are cost few calls, however slowly kills come.

use std::sync::Arc;

use crate::killmail::{CategoryId, TypeId};
use crate::statics::{Statics, Type};

/// Category of SKINs, which cost what the rule says.
const SKINS: i64 = 91;
/// Categories whose unpublished types lie in no hold: celestials, entities, another game's.
const NEVER_CARRIED: [i64; 3] = [2, 11, 350_001];

/// How much is known of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing that is as good as new.
    Unknown,
    /// Nothing, though it was asked for: its line may have been lost.
    Lost,
    /// It will have grown old soon.
    Expiring,
    Known,
}

/// Types worth asking for, the likeliest first: those on the market, then other published ones, then those that were published once and still lie in holds.
pub(super) fn candidates(statics: &Statics) -> Arc<[TypeId]> {
    let mut types: Vec<(u8, TypeId)> = statics.types.values().filter_map(|kind| likelihood(statics, kind)).collect();
    types.sort_unstable();
    types.into_iter().map(|(_, type_id)| type_id).collect()
}

/// The least first; `None`: it is not worth a line.
fn likelihood(statics: &Statics, kind: &Type) -> Option<(u8, TypeId)> {
    let category = statics.category(kind.type_id).map(CategoryId::get);
    let class = match (kind.is_published, kind.is_on_market) {
        _ if category == Some(SKINS) => return None,
        (true, true) => 0,
        (true, false) => 1,
        (false, _) if category.is_none_or(|category| NEVER_CARRIED.contains(&category)) => return None,
        (false, _) => 2,
    };
    Some((class, kind.type_id))
}

/// Adds to what is needed up to `most` in all: what is unknown, then what may have been lost, then what will have grown old soon.
pub(super) fn fill(types: &mut Vec<TypeId>, most: usize, candidates: &[TypeId], standing: impl Fn(TypeId) -> Standing) {
    let (mut lost, mut expiring) = (Vec::new(), Vec::new());
    for candidate in candidates {
        if types.len() >= most {
            return;
        }
        match standing(*candidate) {
            Standing::Unknown => types.push(*candidate),
            Standing::Lost if lost.len() < most => lost.push(*candidate),
            Standing::Expiring if expiring.len() < most => expiring.push(*candidate),
            Standing::Lost | Standing::Expiring | Standing::Known => {}
        }
    }
    let room = most.saturating_sub(types.len());
    types.extend(lost.into_iter().chain(expiring).take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: i64) -> TypeId {
        TypeId::new(id).expect("an id")
    }

    #[test]
    fn room_goes_to_the_unknown_then_to_what_was_lost_and_then_to_what_expires() {
        let candidates: Vec<TypeId> = (1..=10).map(id).collect();
        let standing = |type_id: TypeId| match type_id.get() % 3 {
            _ if type_id == id(8) => Standing::Lost,
            0 => Standing::Expiring,
            1 => Standing::Unknown,
            _ => Standing::Known,
        };
        let filled = |most| {
            let mut types = vec![id(50)];
            fill(&mut types, most, &candidates, standing);
            types.iter().map(|id| id.get()).collect::<Vec<_>>()
        };
        assert_eq!(filled(3), [50, 1, 4]);
        assert_eq!(filled(7), [50, 1, 4, 7, 10, 8, 3]);
        assert_eq!(filled(500), [50, 1, 4, 7, 10, 8, 3, 6, 9]);
        assert_eq!(filled(1), [50]);
    }
}
