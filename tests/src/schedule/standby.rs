//! Those who stand by: they leave the broker alone while somebody leads, say one thing at a time, and take over.

use std::time::Duration;

use nix::sys::signal::Signal;
use sapari_runtime::host::connect_broker;
use sapari_tasks::Role;

use super::fleet::{Fleet, add_entries};
use super::gallery::{Gallery, now};
use crate::conformance::{server, through};
use crate::processes::support::{
    Ended, PATIENCE, Process, Space, broker_place, broker_url, json, result_url, within,
};
use crate::proxy::{Proxy, Towards};

/// How many connections a scheduler has to the broker beside the baton's: one to publish, one to consume.
const USUAL: u64 = 2;

async fn state(scheduler: &Process) -> String {
    let page = scheduler.health().await.get("/readyz").await;
    let state = json(&page.body)["scheduler"].clone();
    state.as_str().unwrap_or_default().to_owned()
}

async fn until_state(scheduler: &Process, wanted: &str) {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    within(wanted, async {
        while state(scheduler).await != wanted {
            looks.tick().await;
        }
    })
    .await;
}

/// How many log lines have this message.
fn said(ended: &Ended, message: &str) -> usize {
    let lines = ended.stderr.iter();
    lines
        .filter(|line| json(line)["message"] == message)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_a_leader_the_broker_is_left_alone_and_after_it_is_taken_at_once() {
    let proxy = Proxy::before(&broker_place()).await;
    let space = Space::new().with("SAPARI_LOG_FORMAT", "json");
    let broker = space.broker().await;
    let queue = Role::Render.queue();
    broker.declare(queue).await.expect("declared");
    let ledger = space.results().await.ledger();
    add_entries(&*ledger, 1, |_| ("every", "1s".to_owned())).await;
    let gallery = Gallery::open(&broker, queue).await;
    let leader = Fleet::start(&space, 1).await;
    leader.leader().await;
    // A try that is refused closes its connection, so that each one is seen here.
    let through = through(&broker_url(), proxy.port());
    let space = space.with("SAPARI_BROKER_URL", &through);
    let standby = space.start("sapari-scheduler", &[]);
    until_state(&standby, "stands by").await;
    let from = now() / 1000;
    let seconds =
        |many: i64| gallery.until(move |shots| shots.keys().any(|(_, tick)| *tick >= from + many));
    within("five seconds of ticks", seconds(5)).await;
    assert_eq!(proxy.accepted(), USUAL, "it tried although somebody leads");

    leader.stop().await;
    let ended = now();
    within("the other's lead", until_state(&standby, "leads")).await;
    let took = now() - ended;
    assert!(
        took < 2_000,
        "it saw within half a second that nobody leads: {took} ms"
    );
    assert_eq!(
        proxy.accepted(),
        USUAL + 1,
        "and its first try was the last"
    );
    within("its ticks", seconds(5 + 4)).await;
    assert!(gallery.shots().values().all(|times| times.len() == 1));
    standby.signal(Signal::SIGTERM);
    assert_eq!(standby.ended().await.code, Some(0));
    broker.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_try_leaves_no_connection_behind() {
    let proxy = Proxy::before(&broker_place()).await;
    let space = Space::new();
    let (holding, through) = (space.broker().await, through(&broker_url(), proxy.port()));
    let refused = connect_broker(&through, space.namespace(), "tests", PATIENCE).await;
    let refused = refused.expect("RabbitMQ is up");
    let (mut first, mut second) = (holding.baton(), refused.baton());
    assert!(first.take().await.expect("it answers"));
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    for number in 1..=3 {
        assert!(!second.take().await.expect("it answers"));
        assert_eq!(proxy.accepted(), USUAL + number);
        within("the end of its connection", async {
            while proxy.standing() > USUAL {
                looks.tick().await;
            }
        })
        .await;
    }
    first.let_go().await;
    within("the baton", async {
        while !second.take().await.expect("it answers") {
            looks.tick().await;
        }
    })
    .await;
    second.let_go().await;
    refused.close().await;
    holding.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_all_are_away_and_none_stands_by() {
    let proxy = Proxy::before(&server(&result_url())).await;
    let through = through(&result_url(), proxy.port());
    let space = Space::new()
        .with("SAPARI_LOG_FORMAT", "json")
        .with("SAPARI_RESULT_URL", &through);
    let leader = space.start("sapari-scheduler", &[]);
    until_state(&leader, "leads").await;
    let standby = space.start("sapari-scheduler", &[]);
    until_state(&standby, "stands by").await;
    proxy.refuse();
    let both = [leader, standby];
    for scheduler in &both {
        until_state(scheduler, "away").await;
    }
    let since = now();
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    within("three seconds of it", async {
        while now() < since + 3_000 {
            looks.tick().await;
            for scheduler in &both {
                assert_eq!(state(scheduler).await, "away");
            }
        }
    })
    .await;
    proxy.resume();
    for scheduler in &both {
        scheduler.health().await.until_ready().await;
    }
    let mut stood_by = 0;
    for scheduler in both {
        scheduler.signal(Signal::SIGTERM);
        let ended = scheduler.ended().await;
        assert_eq!(ended.code, Some(0));
        stood_by += said(&ended, "this scheduler stands by");
    }
    // One at the beginning, at most both after Redis is back.
    assert!((1..=3).contains(&stood_by), "said {stood_by} times");
}

/// Redis does not answer the leader, and answers the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_lost_only_redis_is_followed() {
    let proxy = Proxy::before(&server(&result_url())).await;
    let through = through(&result_url(), proxy.port());
    let space = Space::new();
    let ledger = space.results().await.ledger();
    add_entries(&*ledger, 1, |_| ("every", "1s".to_owned())).await;
    let broker = space.broker().await;
    let queue = Role::Render.queue();
    broker.declare(queue).await.expect("declared");
    let gallery = Gallery::open(&broker, queue).await;
    let space = space.with("SAPARI_RESULT_URL", &through);
    let leader = space.start("sapari-scheduler", &[]);
    until_state(&leader, "leads").await;
    let space = space.with("SAPARI_RESULT_URL", &result_url());
    let standby = space.start("sapari-scheduler", &[]);
    until_state(&standby, "stands by").await;
    proxy.stall(Towards::Server);
    let lost = now();
    within("its giving up", until_state(&leader, "away")).await;
    let gave_up = now() - lost;
    within("the other's lead", until_state(&standby, "leads")).await;
    let followed = now() - lost;
    // Half a second between two looks, one and a half without an answer; and a try that was refused is made again after one, or two.
    assert!(
        gave_up < 3_000 && followed < 6_000,
        "{gave_up}, {followed} ms"
    );
    proxy.resume();
    until_state(&leader, "stands by").await;
    let from = now() / 1000;
    let five = gallery.until(|shots| shots.keys().any(|(_, tick)| *tick >= from + 5));
    within("five seconds of ticks", five).await;
    assert!(gallery.shots().values().all(|times| times.len() == 1));
    for scheduler in [leader, standby] {
        scheduler.signal(Signal::SIGTERM);
        assert_eq!(scheduler.ended().await.code, Some(0));
    }
    broker.close().await;
}
