//! One scheduler among others: who leads, what its health page says, what a fired message carries, and what becomes of ticks while the
//! broker is away.

use sapari_tasks::Role;

use super::fleet::{Fleet, add_entries};
use super::gallery::{Gallery, Shots, now};
use crate::conformance::through;
use crate::processes::support::{Space, broker_place, broker_url, json, within};
use crate::proxy::Proxy;

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_the_other_stands_by_and_both_say_so() {
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let schedulers = [(); 2].map(|()| space.start("sapari-scheduler", &[]));
    let mut states = Vec::new();
    for scheduler in &schedulers {
        let health = scheduler.health().await;
        health.until_ready().await;
        let state = json(&health.get("/readyz").await.body)["scheduler"].clone();
        let leads = if state == "leads" { 1.0 } else { 0.0 };
        let page = health.get("/metrics").await;
        assert_eq!(
            page.metric("taskiq_scheduler_leading"),
            Some(leads),
            "{page:?}"
        );
        states.push(state.as_str().expect("a word").to_owned());
    }
    states.sort_unstable();
    assert_eq!(states, ["leads", "stands by"]);
}

/// Somebody made it first, and of another kind: the broker refuses ours.
async fn take_the_name(queue: &str) -> lapin::Connection {
    let connection =
        lapin::Connection::connect(&broker_url(), lapin::ConnectionProperties::default()).await;
    let connection = connection.expect("RabbitMQ is up: scripts/services up starts it");
    let channel = connection.create_channel().await.expect("a channel");
    let exclusive = lapin::options::QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    let made = channel.queue_declare(queue.into(), exclusive, Default::default());
    made.await.expect("it was not there");
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_cannot_be_made_holds_up_its_own_entries_only() {
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let broker = space.broker().await;
    let queue = Role::Render.queue();
    broker.declare(queue).await.expect("declared");
    let taken = take_the_name(&format!("{}.email.0", space.namespace())).await;
    let ledger = space.results().await.ledger();
    let entry = r#"{"task":"ping","queue":"email","every":"1s"}"#;
    ledger.add_entry("stuck", entry).await.expect("answers");
    add_entries(&*ledger, 1, |_| ("every", "1s".to_owned())).await;
    let gallery = Gallery::open(&broker, queue).await;
    let fleet = Fleet::start(&space, 1).await;
    within("ticks beside it", gallery.until(|shots| shots.len() >= 4)).await;
    fleet.stop().await;
    let mut ticks: Vec<i64> = gallery.shots().keys().map(|(_, tick)| *tick).collect();
    ticks.dedup();
    let last = ticks.last().expect("some");
    assert_eq!(
        last - ticks[0],
        i64::try_from(ticks.len()).expect("few") - 1,
        "each second: {ticks:?}"
    );
    let closed = taken.close(200, "given back".into()).await;
    closed.expect("the connection lives");
}

#[tokio::test(flavor = "multi_thread")]
async fn ticks_that_come_while_the_broker_is_away_are_fired_when_it_is_back() {
    let proxy = Proxy::before(&broker_place()).await;
    let through = through(&broker_url(), proxy.port());
    let space = Space::new()
        .with("SAPARI_LOG_FORMAT", "json")
        .with("SAPARI_BROKER_URL", &through);
    let broker = space.broker().await;
    let ledger = space.results().await.ledger();
    add_entries(&*ledger, 5, |_| ("every", "1s".to_owned())).await;
    broker
        .declare(Role::Render.queue())
        .await
        .expect("declared");
    let gallery = Gallery::open(&broker, Role::Render.queue()).await;
    let fleet = Fleet::start(&space, 1).await;
    within("the first ticks", gallery.until(|shots| shots.len() >= 10)).await;
    proxy.refuse();
    let cut = now() / 1000;
    within("three ticks that cannot be fired", async {
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
        while now() / 1000 < cut + 4 {
            looks.tick().await;
        }
    })
    .await;
    proxy.resume();
    let after = |shots: &Shots| shots.keys().filter(|(_, tick)| *tick == cut + 6).count() == 5;
    within("ticks after it is back", gallery.until(after)).await;
    fleet.stop().await;
    let shots = gallery.shots();
    for tick in cut - 1..=cut + 6 {
        for number in 0..5 {
            let times = shots.get(&(format!("drill-{number}"), tick)).map(Vec::len);
            assert_eq!(times, Some(1), "drill-{number} at {tick}, cut at {cut}");
        }
    }
    broker.close().await;
}
