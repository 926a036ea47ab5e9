//! The generator, through the engine's contract.

use broadside::killmail::{Form, Kill, wire};
use broadside::sources::generator;
use broadside_engine::{Demand, testing::contract};

use crate::file::resources;

fn id(kill: &Kill) -> i64 {
    wire::decode(&kill.raw).unwrap().killmail_id.get()
}

#[tokio::test]
async fn a_bounded_generator_gives_its_count_and_ends() {
    let resources = resources().await;
    for form in [generator::Form::Package, generator::Form::Esi, generator::Form::Feed] {
        let config = generator::Config { count: Some(777), form, ..generator::Config::default() };
        let ids = contract::source(&*config.build(&resources).unwrap(), id).await;
        assert_eq!(ids.len(), 777);
        assert!(ids.is_sorted());
    }
}

#[tokio::test]
async fn kills_come_in_the_form_that_was_asked_for() {
    let resources = resources().await;
    for (form, expected) in [
        (generator::Form::Package, Form::Package),
        (generator::Form::Esi, Form::Esi),
        (generator::Form::Feed, Form::Feed),
    ] {
        let config = generator::Config { form, ..generator::Config::default() };
        let mut source = config.build(&resources).unwrap().build(0).await.unwrap();
        let mut demand = Demand::of(5);
        source.pull(&mut demand).await.unwrap();
        for message in demand.into_messages() {
            assert_eq!(wire::decode(&message.payload.raw).unwrap().form, expected);
            assert!(!message.payload.redelivers);
        }
    }
}

#[tokio::test]
async fn a_slow_generator_returns_when_it_is_interrupted() {
    let config = generator::Config { rate: Some(0.001), ..generator::Config::default() };
    let factory = config.build(&resources().await).unwrap();
    // The first kill is due at once, the next in a quarter of an hour.
    let mut demand = Demand::of(1);
    factory.build(0).await.unwrap().pull(&mut demand).await.unwrap();
    assert_eq!(demand.into_messages().len(), 1);
    contract::source_is_interruptible(&*factory).await;
}

#[tokio::test]
async fn a_new_incarnation_goes_on_with_fresh_ids() {
    let factory = generator::Config::default().build(&resources().await).unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut demand = Demand::of(10);
        factory.build(0).await.unwrap().pull(&mut demand).await.unwrap();
        ids.extend(demand.into_messages().iter().map(|message| id(&message.payload)));
    }
    assert_eq!(ids.len(), 30);
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
}
