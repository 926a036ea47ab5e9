//! The simulator's numbered files and killmails, read by those that read the real ones.

use std::time::Duration;

use broadside::clients::esi::{Ask, Esi};
use broadside::killmail::{Form, wire};
use broadside::simulator::{Config, Simulator};

use crate::{factory, resources_at, source, take};

#[tokio::test]
async fn its_files_and_killmails_are_those_of_its_feed() {
    let config = Config { rate: 1e6, count: Some(20), wait_for_client: false, record: true, ..Config::default() };
    let simulator = Simulator::start(config).await.unwrap();
    let resources = resources_at(&crate::checkpoint(96_000_001, &[])).await;
    let factory = factory(&simulator.zkillboard_url(), &resources);
    let messages = take(&mut *source(&factory).await, 5).await;
    let kills: Vec<_> = messages.iter().map(|message| wire::decode(&message.payload.raw).unwrap()).collect();
    let ids: Vec<_> = kills.iter().map(|kill| kill.killmail_id.get()).collect();
    assert_eq!(ids, simulator.published()[..5]);
    let esi = Esi::new(&simulator.esi_url(), None).unwrap();
    let (id, hash) = (kills[0].killmail_id, kills[0].killmail_hash.unwrap());
    let detail = esi.killmail(id, hash, Ask::live(Duration::from_secs(5))).await.unwrap();
    let mail = wire::decode(&detail.body).unwrap();
    assert_eq!((mail.form, mail.killmail_id, mail.victim), (Form::Esi, id, kills[0].victim.clone()));
}
