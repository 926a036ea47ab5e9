//! What every store promises of surveillance profiles: see [`crate::contract`].

use broadside::killmail::{Form, Kill, ProfileId, Tagged, Worth};
use broadside::store::{Error, Matched, NewProfile, Which};
use jiff::Timestamp;

use crate::contract::{Look, Shared};
use crate::kills::{kill, payload};

pub(crate) fn profile(name: &str) -> NewProfile {
    NewProfile {
        profile_id: None,
        owner: None,
        name: name.to_owned(),
        filter: r#"{"field":"solo","operator":"eq","value":true}"#.to_owned(),
        enabled: true,
        targets: "[]".to_owned(),
    }
}

pub(crate) fn id(number: i64) -> ProfileId {
    ProfileId::new(number).unwrap()
}

pub(crate) async fn put(store: &Shared, names: &[&str]) -> Vec<ProfileId> {
    store.put_profiles(&names.iter().map(|name| profile(name)).collect::<Vec<_>>()).await.unwrap()
}

/// Which profiles changed after that, with their names where they are in use; and the number of the last change.
pub(crate) async fn changed(store: &Shared, after: i64) -> (Vec<(i64, Option<String>)>, i64) {
    let changes = store.profile_changes(after, 1000).await.unwrap();
    let last = changes.last().map_or(after, |change| change.change_id);
    (changes.into_iter().map(|change| (change.profile_id.get(), change.now.map(|now| now.name))).collect(), last)
}

pub(crate) async fn a_profile_is_stored_whole_and_replaced_by_its_id(store: &Shared, _: &dyn Look) {
    let given = NewProfile {
        owner: Some("hunter".to_owned()),
        name: "a \"name\", 'quoted' ☃".to_owned(),
        targets: r#"[{"url":"http://127.0.0.1/x","format":"json"}]"#.to_owned(),
        enabled: false,
        ..profile("")
    };
    let first = store.put_profiles(&[given.clone(), profile("other")]).await.unwrap();
    assert!(first[0] < first[1]);
    let which = |id| Which { ids: vec![id], ..Which::default() };
    let stored = store.profiles(&which(first[0])).await.unwrap().remove(0);
    assert_eq!(
        (&stored.owner, &stored.name, &stored.filter, &stored.targets),
        (&given.owner, &given.name, &given.filter, &given.targets)
    );
    assert_eq!((stored.enabled, stored.version, stored.matches, stored.last_matched_at), (false, 1, 0, None));
    assert_eq!(stored.created_at, stored.updated_at);

    let replacing = NewProfile { profile_id: Some(first[0]), ..profile("renamed") };
    assert_eq!(store.put_profiles(&[profile("third"), replacing.clone()]).await.unwrap()[1], first[0]);
    let again = store.profiles(&which(first[0])).await.unwrap().remove(0);
    assert_eq!((again.name.as_str(), again.owner, again.enabled, again.version), ("renamed", None, true, 2));
    assert!(again.created_at == stored.created_at && again.updated_at >= stored.updated_at);
    assert_eq!(store.count_profiles().await, Ok(3));
    assert_eq!(store.put_profiles(&[]).await, Ok(vec![]));
}

pub(crate) async fn a_profile_that_is_not_there_or_twice_refuses_the_whole_call(store: &Shared, _: &dyn Look) {
    let known = put(store, &["known"]).await[0];
    let replacing = |number, name| NewProfile { profile_id: Some(number), ..profile(name) };
    let calls = [
        (vec![profile("new"), replacing(known, "b"), replacing(id(999), "c")], "there is no profile 999"),
        (vec![profile("new"), replacing(known, "b"), replacing(known, "c")], "is given twice"),
    ];
    for (call, says) in calls {
        let answer = store.put_profiles(&call).await;
        let Err(Error::Data { message, .. }) = answer else { panic!("{answer:?}") };
        assert!(message.contains(says), "{message}");
    }
    let all = store.profiles(&Which::default()).await.unwrap();
    assert_eq!(all.iter().map(|profile| (profile.name.as_str(), profile.version)).collect::<Vec<_>>(), [("known", 1)]);
}

pub(crate) async fn profiles_are_listed_in_pages_and_by_owner(store: &Shared, _: &dyn Look) {
    let owned = |name: &str, owner: &str| NewProfile { owner: Some(owner.to_owned()), ..profile(name) };
    let given: Vec<_> = (0..600).map(|n| owned(&n.to_string(), if n % 3 == 0 { "a" } else { "b" })).collect();
    let ids = store.put_profiles(&given).await.unwrap();
    let names = |page: Vec<broadside::store::StoredProfile>| page.into_iter().map(|p| p.name).collect::<Vec<_>>();
    let all = store.profiles(&Which::default()).await.unwrap();
    assert_eq!(names(all), given.iter().map(|new| new.name.clone()).collect::<Vec<_>>(), "in the order of the call");
    let page = Which { after: ids[9].get(), limit: Some(2), owner: Some("a".to_owned()), ..Which::default() };
    assert_eq!(names(store.profiles(&page).await.unwrap()), ["12", "15"]);
    assert_eq!(store.known_profiles(&[id(9_999_999), ids[5], ids[1]]).await.unwrap(), [ids[1], ids[5]]);
}

pub(crate) async fn profiles_in_use_are_loaded_in_pages(store: &Shared, _: &dyn Look) {
    let ids = put(store, &["a", "b", "c", "d"]).await;
    assert_eq!(store.enable_profiles(&[ids[1], id(999)], false).await.unwrap(), [ids[1]]);
    let page = store.watched_profiles(0, 2).await.unwrap();
    assert_eq!(
        page.iter().map(|p| (p.profile_id, p.name.as_str())).collect::<Vec<_>>(),
        [(ids[0], "a"), (ids[2], "c")]
    );
    assert_eq!(page[0].filter, profile("").filter);
    let rest = store.watched_profiles(ids[2].get(), 2).await.unwrap();
    assert_eq!(rest.iter().map(|p| p.profile_id).collect::<Vec<_>>(), [ids[3]]);
}

pub(crate) async fn changes_come_once_each_as_it_is_now_and_of_what_is_gone_too(store: &Shared, look: &dyn Look) {
    assert_eq!((store.last_profile_change().await, changed(store, 0).await), (Ok(0), (vec![], 0)));
    let ids: Vec<i64> = put(store, &["a", "b", "c"]).await.iter().map(|id| id.get()).collect();
    let named = |id: i64, name: &str| (id, Some(name.to_owned()));
    let (seen, mark) = changed(store, 0).await;
    assert_eq!(seen, [named(ids[0], "a"), named(ids[1], "b"), named(ids[2], "c")]);
    assert_eq!(store.last_profile_change().await, Ok(mark));

    store.put_profiles(&[NewProfile { profile_id: Some(id(ids[0])), ..profile("A") }]).await.unwrap();
    store.enable_profiles(&[id(ids[2])], false).await.unwrap();
    store.enable_profiles(&[id(ids[2])], false).await.unwrap();
    store.put_profiles(&[NewProfile { profile_id: Some(id(ids[0])), ..profile("AA") }]).await.unwrap();
    assert_eq!(store.remove_profiles(&[id(ids[1]), id(999)]).await.unwrap(), [id(ids[1])]);
    let (seen, mark) = changed(store, mark).await;
    assert_eq!(seen, [(ids[2], None), named(ids[0], "AA"), (ids[1], None)], "each once, where it last changed");
    assert_eq!(store.profile_changes(0, 2).await.unwrap().len(), 2);
    assert_eq!(store.last_profile_change().await, Ok(mark));
    assert_eq!(changed(store, mark).await.0, []);
    assert_eq!(look.rows("SELECT count(*) FROM profile_changes").await, ["3"]);
    let added = put(store, &["d"]).await[0];
    assert!(added.get() > ids[2], "an id is never given twice");
}

pub(crate) async fn what_is_written_by_hand_counts_as_a_change(store: &Shared, look: &dyn Look) {
    let insert = "INSERT INTO surveillance_profiles (name, filter) VALUES ('by hand', '{') RETURNING profile_id";
    let number: i64 = look.rows(insert).await[0].parse().unwrap();
    let (seen, mark) = changed(store, 0).await;
    assert_eq!(seen, [(number, Some("by hand".to_owned()))]);
    let stored = store.profiles(&Which::default()).await.unwrap().remove(0);
    assert_eq!((stored.enabled, stored.version, stored.targets.as_str(), stored.owner), (true, 1, "[]", None));
    let age = Timestamp::now().duration_since(stored.created_at).as_secs();
    assert!((-60..60).contains(&age), "{age}");

    look.rows("UPDATE surveillance_profiles SET name = 'renamed', filter = '[]'").await;
    let (seen, mark) = changed(store, mark).await;
    assert_eq!(seen, [(number, Some("renamed".to_owned()))]);
    assert_eq!(look.rows("SELECT version FROM surveillance_profiles").await, ["2"]);
    let upsert = format!(
        "INSERT INTO surveillance_profiles (profile_id, name, filter) VALUES ({number}, 'again', '')
            ON CONFLICT (profile_id) DO UPDATE SET name = excluded.name"
    );
    look.rows(&upsert).await;
    let (seen, mark) = changed(store, mark).await;
    assert_eq!(seen, [(number, Some("again".to_owned()))]);
    look.rows(&format!("UPDATE surveillance_profiles SET profile_id = {}", number + 100)).await;
    let (mut seen, mark) = changed(store, mark).await;
    seen.sort_unstable();
    assert_eq!(seen, [(number, None), (number + 100, Some("again".to_owned()))]);
    look.rows("DELETE FROM surveillance_profiles").await;
    assert_eq!(changed(store, mark).await.0, [(number + 100, None)]);
    look.rows("DELETE FROM surveillance_profiles").await;
}

pub(crate) async fn matches_are_counted_and_are_no_change(store: &Shared, look: &dyn Look) {
    let ids = put(store, &["a", "b"]).await;
    let mark = store.last_profile_change().await.unwrap();
    let at = |time: &str| time.parse::<Timestamp>().unwrap();
    let (early, late) = (at("2026-03-01T10:00:00Z"), at("2026-03-01T11:00:00.5Z"));
    let matched = |profile_id, matches, last_matched_at| Matched { profile_id, matches, last_matched_at };
    store.add_profile_matches(&[matched(ids[0], 3, late), matched(id(999), 1, late)]).await.unwrap();
    store.add_profile_matches(&[matched(ids[1], 1, early), matched(ids[0], 2, early)]).await.unwrap();
    store.add_profile_matches(&[]).await.unwrap();
    let stored = store.profiles(&Which::default()).await.unwrap();
    let figures: Vec<_> = stored.iter().map(|p| (p.matches, p.last_matched_at, p.version)).collect();
    assert_eq!(figures, [(5, Some(late), 1), (1, Some(early), 1)]);
    assert_eq!(store.last_profile_change().await, Ok(mark));
    store.remove_profiles(&ids).await.unwrap();
    assert_eq!(look.rows("SELECT count(*) FROM profile_stats").await, ["0"]);
}

pub(crate) async fn workers_that_count_matches_at_once_lose_none(store: &Shared, _: &dyn Look) {
    let ids = store.put_profiles(&(0..300).map(|n| profile(&n.to_string())).collect::<Vec<_>>()).await.unwrap();
    let tasks = (0..6).map(|task| {
        let (store, mut ids) = (store.clone(), ids.clone());
        tokio::spawn(async move {
            if task % 2 == 0 {
                ids.reverse();
            }
            let last_matched_at = Timestamp::UNIX_EPOCH;
            let matched: Vec<_> =
                ids.iter().map(|id| Matched { profile_id: *id, matches: 1, last_matched_at }).collect();
            store.add_profile_matches(&matched).await.unwrap();
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert!(store.profiles(&Which::default()).await.unwrap().iter().all(|profile| profile.matches == 6));
}

pub(crate) async fn stored_kills_come_back_newest_first_with_what_was_found(store: &Shared, _: &dyn Look) {
    let tagged = Tagged {
        module_tags: vec!["Mid".into(), r#"a "b""#.into()],
        ship_class: Some("frigate".into()),
        system_class: Some("lowsec"),
        constellation_id: Some(20_000_020),
        region_id: Some(10_000_002),
        security_status: Some(0.312_5),
        npc: false,
        solo: Some(true),
        labels: vec!["solo".into()],
        ..Tagged::default()
    };
    let worth = Worth {
        total: Some(12_345),
        destroyed: Some(12_300),
        dropped: Some(45),
        fitted: None,
        source: "janice".into(),
    };
    let mut found = kill(3, Form::Esi, 1);
    (found.tagged, found.worth) = (Some(tagged.clone().into()), Some(worth.clone().into()));
    let kills: Vec<Kill> = vec![kill(1, Form::Package, 1), kill(2, Form::Feed, 1), found];
    store.insert_kills(&kills.iter().collect::<Vec<_>>(), false).await.unwrap();
    let stored = store.stored_kills(None, None, 10).await.unwrap();
    let bodies: Vec<_> = stored.iter().map(|kill| String::from_utf8(kill.raw.to_vec()).unwrap()).collect();
    assert_eq!(bodies, [payload(3, Form::Esi), payload(2, Form::Feed), payload(1, Form::Package)]);
    let mut back = stored[0].tagged.as_deref().unwrap().clone();
    // With the label of its worth, which has none.
    back.labels.retain(|label| label == "solo");
    assert_eq!(back, Tagged { is_whole: false, ..tagged });
    assert_eq!(stored[0].worth.as_deref(), Some(&worth));
    assert_eq!((stored[0].source, stored[0].received_at), (kills[2].source, kills[2].received_at));
    assert!(stored[1].tagged.is_none() && stored[1].worth.is_none(), "nobody looked, and the feed did not say");
    assert_eq!(stored[2].worth.as_ref().unwrap().source, "zkb");
    let page = store.stored_kills(broadside::killmail::KillmailId::new(3), None, 1).await.unwrap();
    assert_eq!(page[0].raw, stored[1].raw);
    let time = kill(1, Form::Esi, 1).mail.unwrap().killmail_time;
    assert_eq!(store.stored_kills(None, Some(time), 10).await.unwrap().len(), 3, "that time included");
    let later = time + jiff::SignedDuration::from_secs(1);
    assert_eq!(store.stored_kills(None, Some(later), 10).await.unwrap().len(), 0);
}
