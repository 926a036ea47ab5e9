//! What else to ask for when a call has room: types that are likely to be needed soon, so that all there are cost few calls, however slowly kills come.

use std::sync::Arc;

use crate::killmail::{CategoryId, TypeId};
use crate::statics::{Statics, Type};

/// Category of SKINs, which cost what the rule says.
const SKINS: i64 = 91;
/// Meta group of abyssal modules, which have no market.
pub(super) const ABYSSAL: i64 = 15;

/// How much is known of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing that is as good as new.
    Unknown,
    /// It will have grown old soon.
    Expiring,
    Known,
}

/// Types worth asking for, the likeliest first: those on the market, then other published ones.
pub(super) fn candidates(statics: &Statics) -> Arc<[TypeId]> {
    let is_one = |kind: &&Type| {
        let is_abyssal = kind.meta_group_id.is_some_and(|meta| meta.get() == ABYSSAL);
        kind.is_published && !is_abyssal && statics.category(kind.type_id).map(CategoryId::get) != Some(SKINS)
    };
    let mut types: Vec<&Type> = statics.types.values().filter(is_one).collect();
    types.sort_unstable_by_key(|kind| (!kind.is_on_market, kind.type_id));
    types.into_iter().map(|kind| kind.type_id).collect()
}

/// Adds to what is needed up to `most` in all: what is unknown, then what will be soon.
pub(super) fn fill(types: &mut Vec<TypeId>, most: usize, candidates: &[TypeId], standing: impl Fn(TypeId) -> Standing) {
    let mut expiring = Vec::new();
    for candidate in candidates {
        if types.len() >= most {
            return;
        }
        match standing(*candidate) {
            Standing::Unknown => types.push(*candidate),
            Standing::Expiring if expiring.len() < most => expiring.push(*candidate),
            Standing::Expiring | Standing::Known => {}
        }
    }
    let room = most.saturating_sub(types.len());
    types.extend(expiring.into_iter().take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: i64) -> TypeId {
        TypeId::new(id).expect("an id")
    }

    #[test]
    fn room_goes_to_the_unknown_and_then_to_what_expires() {
        let candidates: Vec<TypeId> = (1..=10).map(id).collect();
        let standing = |type_id: TypeId| match type_id.get() % 3 {
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
        assert_eq!(filled(7), [50, 1, 4, 7, 10, 3, 6]);
        assert_eq!(filled(500), [50, 1, 4, 7, 10, 3, 6, 9]);
        assert_eq!(filled(1), [50]);
    }
}
