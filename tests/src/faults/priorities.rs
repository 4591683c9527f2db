//! Two busy workers and an idle one: an urgent message starts on the idle one soon, whoever received it first.

use std::time::Duration;

use futures_util::future::join_all;
use sapari_fault_worker::{Jot, Nap, QUEUE, now_us};
use sapari_runtime::queue::Priority;
use tokio::time::interval;

use super::ground::{Client, Ground};
use crate::processes::support::{PATIENCE, Process};

/// All tries, by this many at once: no more than a busy worker has room for, so that none is sent past it because it is full.
const TRIES: usize = 200;
const AT_ONCE: usize = 2;
const SOON: Duration = Duration::from_secs(1);
/// Longer than the tries take.
const BUSY_MS: u64 = 110_000;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_message_starts_on_the_idle_worker_whoever_received_it_first() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let alone = || async { ground.start(&["--slots", "1"]).ready().await };
    let _busy: [Process; 2] = [alone().await, alone().await];
    let naps = (0..2).map(|_| Nap { millis: BUSY_MS });
    let naps = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<_> = naps.iter().map(|nap| nap.id().clone()).collect();
    ground.begun(&ids, 2).await;
    let idle = alone().await;

    let kicking = join_all((0..AT_ONCE).map(|_| kick_in_turn(&client, TRIES / AT_ONCE)));
    let kicked = tokio::select! {
        kicked = kicking => kicked.concat(),
        () = watch_consumers(&client) => unreachable!("it watches for ever"),
    };
    let notes = ground.notes();
    let idle_pid = u32::try_from(idle.pid().as_raw()).expect("a process id");
    let mut took: Vec<Duration> = kicked
        .iter()
        .map(|(id, at_us)| {
            let mut notes = notes.iter();
            let begun = notes.find(|note| note.id == *id).expect("it ran");
            assert_eq!(begun.pid, idle_pid, "the others are busy");
            Duration::from_micros(u64::try_from(begun.at_us - at_us).expect("a short test"))
        })
        .collect();
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100];
    println!(
        "{TRIES} urgent messages beside two busy workers started after p50 {:?}, p90 {:?}, p99 {:?}, most {:?}",
        at(50),
        at(90),
        at(99),
        at(100)
    );
    let ended = notes
        .iter()
        .any(|note| note.moment == "ended" && ids.iter().any(|id| id.as_str() == note.id));
    assert!(!ended, "the busy ones were busy all the while");
    assert_eq!(took.len(), TRIES);
    assert!(at(99) < SOON, "p99 {:?}", at(99));
}

/// Kicks one after the other, and returns ids and when each was kicked.
async fn kick_in_turn(client: &Client, tries: usize) -> Vec<(String, u128)> {
    let mut kicked = Vec::new();
    for _ in 0..tries {
        let at_us = now_us();
        let urgent = client.tasks.kick(Jot::default()).priority(Priority::Urgent);
        let urgent = urgent.await.expect("kicked");
        urgent.output().within(PATIENCE).await.expect("done");
        kicked.push((urgent.id().to_string(), at_us));
    }
    kicked
}

/// Fails when a busy worker's consumers are not there for a moment.
async fn watch_consumers(client: &Client) {
    let mut looks = interval(LOOK_AGAIN);
    loop {
        looks.tick().await;
        let depth = client.broker.depth(QUEUE).await.expect("it answers");
        assert_eq!(depth.consumers, [3; 4], "every worker on every level");
    }
}
