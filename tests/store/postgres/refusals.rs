//! What the database's own rules refuse, and how it is told.

use broadside::killmail::Form;
use broadside::store::{Change, Error};

use super::{Open, open};
use crate::contract::Look;
use crate::kills::{dated, kill};
use crate::pipeline;

/// Kill 7 is refused like this, with another that is not; nothing of the call is left, and the other can be stored.
async fn refused(open: &Open, sqlstate: &str, column: Option<&str>, constraint: Option<&str>) {
    let answer = open.store.insert_kills(&[&kill(6, Form::Esi, 1), &kill(7, Form::Esi, 1)], true).await;
    let Err(Error::Data { message, sqlstate: code, column: field, constraint: rule, killmail_ids }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!((code.as_deref(), field.as_deref(), rule.as_deref()), (Some(sqlstate), column, constraint), "{message}");
    // A violated rule of the row comes with the row; what a trigger raises or a type refuses does not.
    assert_eq!(!killmail_ids.is_empty(), ["23502", "23514"].contains(&sqlstate), "{message}");
    for table in ["killmails_raw", "killmails_enriched", "killmail_participants", "killmail_events"] {
        assert_eq!(open.rows(&format!("SELECT count(*) FROM {table}")).await, ["0"], "nothing of the call is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_constraint_of_any_table_names_itself() {
    for table in ["killmails_raw", "killmails_enriched", "killmail_participants"] {
        let open = open().await;
        open.execute(&format!("ALTER TABLE {table} ADD CONSTRAINT not_seven CHECK (killmail_id <> 7)")).await;
        refused(&open, "23514", None, Some("not_seven")).await;
        assert!(open.store.insert_kills(&[&kill(6, Form::Esi, 1)], true).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_constraint_binds_months_that_were_there_and_months_that_come() {
    let open = open().await;
    open.store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await.unwrap();
    open.execute("ALTER TABLE killmails_enriched ADD CONSTRAINT small CHECK (killmail_id < 10)").await;
    for time in ["2021-11-30T00:00:00Z", "2010-01-01T00:00:00Z"] {
        let answer = open.store.insert_kills(&[&dated(10, time)], true).await;
        let Err(Error::Data { constraint, .. }) = answer else { panic!("{time}: {answer:?}") };
        assert_eq!(constraint.as_deref(), Some("small"));
    }
    assert!(open.store.insert_kills(&[&dated(9, "2010-01-01T00:00:00Z")], true).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_trigger_raises_is_told() {
    for table in ["killmails_raw", "killmails_enriched", "killmail_participants"] {
        let open = open().await;
        open.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN IF NEW.killmail_id = 7 THEN RAISE EXCEPTION 'seven is not wanted'; END IF; RETURN NEW; END $$",
        )
        .await;
        open.execute(&format!("CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"))
            .await;
        let answer = open.store.insert_kills(&[&kill(7, Form::Esi, 1)], true).await;
        assert!(answer.unwrap_err().to_string().contains("seven is not wanted"));
        refused(&open, "P0001", None, None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_that_must_not_be_empty_is_named() {
    for (table, column) in [("killmails_raw", "killmail_hash"), ("killmails_enriched", "region_id")] {
        let open = open().await;
        open.execute(&format!("ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL")).await;
        refused(&open, "23502", Some(column), None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_postgres_cannot_hold_is_refused() {
    let open = open().await;
    let mut nul = kill(7, Form::Esi, 1);
    nul.raw = bytes::Bytes::from_static(b"{\"name\": \"\0\"}");
    let answer = open.store.insert_kills(&[&kill(6, Form::Esi, 1), &nul], true).await;
    assert!(matches!(answer, Err(Error::Data { .. })), "{answer:?}");
    assert_eq!(open.store.count_kills().await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_bad_kills_in_a_batch_become_dead_letters_and_the_rest_is_stored() {
    let open = open().await;
    open.execute("ALTER TABLE killmails_enriched ADD CONSTRAINT refused CHECK (killmail_id NOT IN (107, 142, 199))")
        .await;
    pipeline::three_of_a_hundred_are_refused(&open.store, &open, "23514").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kill_that_a_rule_refuses_is_named_at_once() {
    for (table, rule) in [
        ("killmails_raw", "CHECK (killmail_id % 2 = 0)"),
        ("killmails_enriched", "CHECK (killmail_id % 2 = 0)"),
        ("killmail_participants", "CHECK (killmail_id % 2 = 0)"),
        // The rule sees a row as its table has it: ISK, not cents.
        ("killmails_enriched", "CHECK (killmail_id % 2 = 0 OR total_value < 1234)"),
        ("killmails_raw", "FOREIGN KEY (killmail_id) REFERENCES known"),
        ("killmails_enriched", "FOREIGN KEY (killmail_id) REFERENCES known"),
        ("killmail_participants", "FOREIGN KEY (killmail_id) REFERENCES known"),
    ] {
        let open = open().await;
        open.execute("CREATE TABLE known (id bigint PRIMARY KEY); INSERT INTO known VALUES (2), (4), (6)").await;
        open.execute(&format!("ALTER TABLE {table} ADD CONSTRAINT even {rule}")).await;
        let kills: Vec<_> = (1..=6).map(|id| kill(id, Form::Package, 2)).collect();
        let answer = open.store.insert_kills(&kills.iter().collect::<Vec<_>>(), true).await;
        let Err(Error::Data { mut killmail_ids, .. }) = answer else { panic!("{table}: {answer:?}") };
        killmail_ids.sort_unstable();
        killmail_ids.dedup();
        assert_eq!(killmail_ids, [1, 3, 5], "{table} {rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_that_takes_what_must_be_unique_is_refused_and_named() {
    let (one, other) = ("2021-11-30T00:00:00Z", "2021-11-30T00:00:01Z");
    for (table, columns) in [
        ("killmails_raw", "killmail_time"),
        ("killmails_enriched", "killmail_time"),
        ("killmail_participants", "character_id, killmail_time"),
    ] {
        let open = open().await;
        open.execute(&format!("ALTER TABLE {table} ADD CONSTRAINT single UNIQUE ({columns})")).await;
        assert!(open.store.insert_kills(&[&dated(1, one)], true).await.is_ok());
        assert_eq!(
            open.store.insert_kills(&[&dated(1, one)], true).await,
            Ok(vec![Change::Same]),
            "not against itself"
        );
        let answer = open.store.insert_kills(&[&dated(2, other), &dated(3, one), &dated(1, one)], true).await;
        let Err(Error::Data { sqlstate, killmail_ids, .. }) = answer else { panic!("{table}: {answer:?}") };
        assert_eq!((sqlstate.as_deref(), killmail_ids), (Some("23505"), vec![3]), "{table}");
        // Of two in one call it cannot be said which is to go.
        let answer = open.store.insert_kills(&[&dated(4, other), &dated(5, other)], true).await;
        let Err(Error::Data { killmail_ids, .. }) = answer else { panic!("{table}: {answer:?}") };
        assert!(killmail_ids.is_empty(), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_of_one_month_binds_the_kills_of_that_month_alone() {
    let (november, december) = ("2021-11-30T00:00:00Z", "2021-12-01T00:00:00Z");
    for rule in ["ADD CONSTRAINT low CHECK (killmail_id < 5)", "ALTER COLUMN region_id SET NOT NULL"] {
        let open = open().await;
        open.store.insert_kills(&[&dated(1, december)], true).await.unwrap();
        open.execute(&format!("TRUNCATE killmails_enriched; ALTER TABLE killmails_enriched_2021_12 {rule}")).await;
        let answer = open.store.insert_kills(&[&dated(7, november), &dated(8, december)], true).await;
        let Err(Error::Data { mut killmail_ids, .. }) = answer else { panic!("{rule}: {answer:?}") };
        killmail_ids.dedup();
        assert_eq!(killmail_ids, [8], "{rule}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_from_one_table_of_kills_to_another_names_nobody() {
    let open = open().await;
    open.execute(
        "ALTER TABLE killmail_participants ADD FOREIGN KEY (killmail_id, killmail_time) REFERENCES killmails_enriched",
    )
    .await;
    open.store.insert_kills(&[&kill(1, Form::Esi, 1)], true).await.unwrap();
    // The richer copy takes the row away that is referred to; kill 2 has done nothing.
    let answer = open.store.insert_kills(&[&kill(1, Form::Package, 1), &kill(2, Form::Esi, 1)], true).await;
    let Err(Error::Data { sqlstate, killmail_ids, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((sqlstate.as_deref(), killmail_ids), (Some("23503"), vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_that_cannot_be_asked_still_names_the_kill_that_broke_it() {
    let open = open().await;
    open.execute(
        "CREATE FUNCTION seldom(id bigint) RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN IF current_query() NOT LIKE 'WITH%' THEN RAISE 'not now'; END IF; RETURN id <> 7; END $$",
    )
    .await;
    open.execute("ALTER TABLE killmails_enriched ADD CONSTRAINT moody CHECK (seldom(killmail_id))").await;
    refused(&open, "23514", None, Some("moody")).await;
}
