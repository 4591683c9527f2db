//! A thousand delays at once, in no order: none comes early, and none late by more than the ladder's step and a busy machine explain.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sapari_fault_worker::{Jot, Note, now_us};
use sapari_runtime::message::MessageId;
use sapari_runtime::queue::Priority;
use uuid::Uuid;

use super::ground::{Client, Ground, drained};
use crate::processes::support::{Process, within};

const KICKS: usize = 1000;
const SHORTEST_MS: u64 = 100;
const LONGEST_MS: u64 = 60_000;
/// The ladder rounds up to its step of 0.1 s; the rest is the way through up to ten queues.
const LATE_P99: Duration = Duration::from_millis(1100);
/// What a worker may grow by while a thousand messages wait elsewhere.
const GROWTH_KB: u64 = 16 * 1024;

/// When and where a kick was due.
struct Due {
    id: MessageId,
    level: u8,
    due_us: u128,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_delays_in_any_order_none_early_none_late() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let worker = ground.worker().await;
    let before_kb = resident_kb(&worker);
    let due: Vec<Due> = stream::iter(0..KICKS)
        .map(|number| kick(&client, number))
        .buffer_unordered(100)
        .collect()
        .await;
    let waiting_kb = resident_kb(&worker);
    let ids: Vec<MessageId> = due.iter().map(|due| due.id.clone()).collect();
    let last = due.iter().max_by_key(|due| due.due_us).expect("a thousand");
    let last = client.tasks.handle::<Jot>(last.id.clone());
    // Longer than one event usually may take: the last delay alone is a minute.
    let ended = tokio::time::timeout(Duration::from_millis(2 * LONGEST_MS), last.output());
    ended.await.expect("in time").expect("done");
    within("all runs", ground.begun(&ids, KICKS)).await;
    let after_kb = resident_kb(&worker);
    drained(worker).await;
    client.all_settled().await;

    let late = lateness(&due, &ground.notes());
    let at = |part: usize| Duration::from_micros(late[(late.len() - 1) * part / 100]);
    println!(
        "{KICKS} delays: late p50 {:?}, p99 {:?}, most {:?}; worker RSS {before_kb} kB before, {waiting_kb} kB while they wait, {after_kb} kB after",
        at(50),
        at(99),
        at(100)
    );
    assert!(at(99) < LATE_P99, "p99 is late by {:?}", at(99));
    assert!(waiting_kb < before_kb + GROWTH_KB && after_kb < before_kb + GROWTH_KB);
}

async fn kick(client: &Client, number: usize) -> Due {
    let dice = u64::try_from(Uuid::new_v4().as_u128() >> 64).expect("64 bits");
    let delay = Duration::from_millis(SHORTEST_MS + dice % (LONGEST_MS - SHORTEST_MS));
    let priority = [
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Urgent,
    ][number % 4];
    let kicked_us = now_us();
    let kick = client
        .tasks
        .kick(Jot::default())
        .delay(delay)
        .priority(priority);
    let handle = kick.await.expect("kicked");
    Due {
        id: handle.id().clone(),
        level: priority.number(),
        due_us: kicked_us + delay.as_micros(),
    }
}

/// How late each began, sorted.
fn lateness(due: &[Due], notes: &[Note]) -> Vec<u64> {
    let begun = notes.iter().filter(|note| note.moment == "begun");
    let begun: HashMap<&str, &Note> = begun.map(|note| (&*note.id, note)).collect();
    let late = |due: &Due| {
        let note = begun[due.id.as_str()];
        assert_eq!(note.level, due.level, "it kept its level");
        let late = note.at_us.checked_sub(due.due_us);
        u64::try_from(late.expect("none is early")).expect("a test is short")
    };
    let mut late: Vec<u64> = due.iter().map(late).collect();
    late.sort_unstable();
    late
}

fn resident_kb(worker: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid()));
    let status = status.expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|text| text.parse().ok()).expect("a size")
}
