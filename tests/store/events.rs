//! What every store promises of its log's readers.

use std::sync::Arc;

use broadside::killmail::{Form, Kill, ProfileId, RegionId, SystemId, Tagged, Worth};
use broadside::store::{Scope, Stretch};

use crate::contract::{Look, Shared};
use crate::kills::kill;
use crate::matches::matched;

fn regions(ids: &[i64]) -> Scope {
    Scope { regions: ids.iter().copied().filter_map(RegionId::new).collect(), ..Scope::default() }
}

fn in_region(kill: Kill, region: i64) -> Kill {
    Kill { tagged: Some(Arc::new(Tagged { region_id: Some(region), ..Tagged::default() })), ..kill }
}

fn kills(stretch: &Stretch) -> Vec<i64> {
    stretch.events.iter().map(|event| event.killmail_id.get()).collect()
}

pub(crate) async fn an_event_comes_with_all_that_is_known_of_its_kill(store: &Shared, _: &dyn Look) {
    let worth = Worth { total: Some(500), destroyed: Some(400), dropped: None, fitted: Some(-1), source: "esi".into() };
    let tagged = Tagged {
        region_id: Some(10_000_002),
        npc: true,
        solo: Some(false),
        points: Some(3),
        labels: vec!["a \"b\"".into(), "pvp".into()],
        ..Tagged::default()
    };
    let found = Kill { tagged: Some(Arc::new(tagged)), worth: Some(Arc::new(worth)), ..kill(1, Form::Package, 1) };
    let found = matched(found, &[9, 4]);
    let plain = kill(2, Form::Esi, 1);
    store.insert_kills(&[&found, &plain], true).await.unwrap();
    let scope = Scope { profiles: [9, 5].into_iter().filter_map(ProfileId::new).collect(), ..Scope::all() };
    let events = store.events_of(&scope, 0, 10).await.unwrap().events;
    assert_eq!((&events[0].known, &events[1].known), (&found.known(), &plain.known()));
    assert_eq!(events[0].known.price_source.as_deref(), Some("esi"));
    assert_eq!((events[0].region_id, events[1].region_id), (RegionId::new(10_000_002), None));
    assert_eq!(events[0].matches, [ProfileId::new(9).unwrap()], "of those that were asked for");
    assert!(events[1].matches.is_empty());
}

pub(crate) async fn events_are_read_by_system_region_and_profile(store: &Shared, _: &dyn Look) {
    // Systems by the kill's id modulo 3, regions modulo 4, profiles modulo 5.
    let all: Vec<Kill> =
        (1..=120).map(|id| matched(in_region(kill(id, Form::Esi, 1), 1 + id % 4), &[1 + id % 5, 9])).collect();
    store.insert_kills(&all.iter().collect::<Vec<_>>(), true).await.unwrap();
    let first = store.event_range().await.unwrap().unwrap().0;
    let system = |id: i64| SystemId::new(30_000_142 + id).unwrap();
    let profiles = |ids: &[i64]| ids.iter().copied().filter_map(ProfileId::new).collect::<Vec<_>>();
    let scopes: [(Scope, &dyn Fn(i64) -> bool); 6] = [
        (Scope::all(), &|_| true),
        (Scope::default(), &|_| false),
        (Scope { systems: vec![(system(0), 0), (system(2), first + 59)], ..Scope::default() }, &|id| {
            id % 3 == 0 || id % 3 == 2 && id > 60
        }),
        (regions(&[1, 2]), &|id| id % 4 < 2),
        (Scope { profiles: profiles(&[2, 8]), ..Scope::default() }, &|id| id % 5 == 1),
        (Scope { profiles: profiles(&[1]), systems: vec![(system(1), 0)], ..regions(&[4]) }, &|id| {
            id % 5 == 0 || id % 3 == 1 || id % 4 == 3
        }),
    ];
    for (scope, is_in) in scopes {
        for limit in [7, 200] {
            let (mut after, mut found) = (first - 1 + 10, Vec::new());
            loop {
                let stretch = store.events_of(&scope, after, limit).await.unwrap();
                assert!(stretch.events.len() <= limit as usize && stretch.least == Some(first));
                assert!(stretch.events.iter().all(|event| event.event_id <= stretch.through));
                found.extend(kills(&stretch));
                after = stretch.through;
                if !stretch.more {
                    break;
                }
            }
            assert_eq!(found, (11..=120).filter(|id| is_in(*id)).collect::<Vec<_>>(), "{scope:?}");
            assert_eq!(after, first + 119);
        }
    }
}

pub(crate) async fn what_has_no_index_is_looked_for_in_bounded_stretches(store: &Shared, _: &dyn Look) {
    let mut all: Vec<Kill> = (1..=1499).map(|id| kill(id, Form::Esi, 1)).collect();
    all.push(in_region(kill(1500, Form::Esi, 1), 7));
    store.insert_kills(&all.iter().collect::<Vec<_>>(), true).await.unwrap();
    let first = store.event_range().await.unwrap().unwrap().0;
    let none = store.events_of(&regions(&[7]), 0, 10).await.unwrap();
    assert_eq!((kills(&none), none.through, none.more), (vec![], first + 999, true));
    let rest = store.events_of(&regions(&[7]), none.through, 10).await.unwrap();
    assert_eq!((kills(&rest), rest.through, rest.more), (vec![1500], first + 1499, false));
    let beyond = store.events_of(&Scope::all(), rest.through + 5, 10).await.unwrap();
    assert_eq!((beyond.events.len(), beyond.through, beyond.more), (0, first + 1504, false));
}

pub(crate) async fn events_of_a_kill_that_is_gone_are_passed_over(store: &Shared, look: &dyn Look) {
    let all: Vec<Kill> = (1..=6).map(|id| kill(id, Form::Esi, 1)).collect();
    store.insert_kills(&all.iter().collect::<Vec<_>>(), true).await.unwrap();
    look.rows("DELETE FROM killmails_raw WHERE killmail_id IN (2, 3) RETURNING killmail_id").await;
    let page = store.events_of(&Scope::all(), 0, 3).await.unwrap();
    assert_eq!((kills(&page), page.more), (vec![1], true));
    let rest = store.events_of(&Scope::all(), page.through, 3).await.unwrap();
    assert_eq!((kills(&rest), rest.more), (vec![4, 5, 6], false));
}

pub(crate) async fn a_stretch_ends_where_it_says_while_events_come(store: &Shared, _: &dyn Look) {
    let writer = store.clone();
    let writing = tokio::spawn(async move {
        for id in 1..=300 {
            writer.insert_kills(&[&kill(id, Form::Esi, 1)], true).await.unwrap();
        }
    });
    let systems: Vec<SystemId> = (30_000_142..=30_000_144).filter_map(SystemId::new).collect();
    let mut all = [(Scope::all(), 0, vec![]), (Scope::of_systems(&systems), 0, vec![])];
    while all.iter().any(|(_, _, found)| found.len() < 300) {
        for (scope, after, found) in &mut all {
            let stretch = store.events_of(scope, *after, 50).await.unwrap();
            assert!(stretch.events.iter().all(|event| event.event_id > *after && event.event_id <= stretch.through));
            found.extend(kills(&stretch));
            *after = stretch.through;
        }
    }
    writing.await.unwrap();
    assert!(all.iter().all(|(_, _, found)| *found == (1..=300).collect::<Vec<_>>()));
}
