//! Limits and unique kicks count over processes, and what a killed worker held comes back after its lease.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use nix::sys::signal::Signal;
use sapari_fault_worker::{Ask, Nap, Note, PAIRS, Pair, QUEUE, now_us};
use sapari_runtime::broker::conformance::{ack, parcel};
use sapari_runtime::broker::{Destination, Room};
use sapari_runtime::message::MessageId;
use sapari_runtime::queue::Priority;
use tokio::time::timeout;

use super::ground::{Client, Ground, drained};
use super::tally::{Fault, Tally};
use crate::processes::support::PATIENCE;
use crate::servers;

const LEASE: [&str; 2] = ["--lease", "2s"];
/// So many wait for a limit of two.
const CROWD: usize = 600;
/// What two workers hold of a crowd: two lines, each of which is half gone before more is fetched.
const IN_TWO_WORKERS: usize = 100;
/// From a handler's end to its stored result, on a busy machine: so long an attempt is in flight.
const SETTLING: Duration = Duration::from_millis(500);
/// The lease, and some looks at the limit, which are a second apart.
const SOON_AFTER: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_with_both_places_of_a_limit_others_go_on_after_the_lease() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let first = ground.start(&LEASE).ready().await;
    let naps = (0..5).map(|_| Pair { millis: 1500 });
    let all = client.tasks.kick_all(naps).await.expect("kicked");
    let ids: Vec<_> = all.iter().map(|handle| handle.id().clone()).collect();
    ground.begun(&ids, 2).await;
    let other = ground.start(&LEASE).ready().await;
    first.signal(Signal::SIGKILL);
    let killed_us = now_us();
    first.ended().await;
    for handle in &all {
        handle.output().within(PATIENCE).await.expect("done");
    }
    let pid = u32::try_from(other.pid().as_raw()).expect("a process id");
    drained(other).await;
    client.all_settled().await;

    let notes = ground.notes();
    let mut by_other = notes.iter().filter(|note| note.pid == pid);
    let waited = by_other
        .next()
        .expect("it ran some")
        .at_us
        .saturating_sub(killed_us);
    println!("the places of a killed worker were free after {waited} us");
    assert!(waited < SOON_AFTER.as_micros(), "{waited} us");
    assert!(most_at_once(&notes, pid) <= 2, "{notes:?}");
    assert_eq!(
        ground.runs(&ids),
        ids.len() + 2,
        "the two that were killed ran again"
    );
}

/// Far more than fit into two workers: they wait in a room on the broker, and the death of a worker changes nothing of that.
#[tokio::test(flavor = "multi_thread")]
async fn worker_killed_hundreds_over_a_limit_keep_their_order_and_leave_no_room_behind() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let first = ground.start(&LEASE).ready().await;
    let other = ground.start(&LEASE).ready().await;
    let pairs = (0..CROWD).map(|_| Pair { millis: 20 });
    let all = client.tasks.kick_all(pairs).await.expect("kicked");
    let ids: Vec<MessageId> = all.iter().map(|handle| handle.id().clone()).collect();
    in_rooms(&client, |waiting| waiting > CROWD as u64 / 4).await;
    ground.begun(&ids, CROWD / 3).await;
    let pid = u32::try_from(first.pid().as_raw()).ok();
    let at_us = now_us();
    first.signal(Signal::SIGKILL);
    first.ended().await;
    let until_us = now_us();
    for handle in &all {
        handle.output().within(PATIENCE).await.expect("done");
    }
    in_rooms(&client, |waiting| waiting == 0).await;
    drained(other).await;
    client.all_settled().await;
    in_rooms(&client, |waiting| waiting == 0).await;

    let notes = ground.notes();
    let fault = Fault {
        at_us,
        until_us,
        pid,
    };
    let tally = Tally::of(&notes, &[fault], SETTLING);
    let moved = displaced(&ids, &notes);
    println!(
        "{CROWD} over a limit of 2: ran {}, again {}, in flight at the kill {}; started {} places from their own at most, {} in the middle",
        tally.ran,
        tally.again,
        tally.in_flight,
        moved[CROWD - 1],
        moved[CROWD / 2],
    );
    assert_eq!((tally.ran, tally.unkilled.len()), (CROWD, 0));
    assert!(
        tally.again <= tally.in_flight,
        "more than the kill explains"
    );
    let order = in_order(&ids, &notes);
    assert!(moved[CROWD / 2] <= IN_TWO_WORKERS, "{order:?}");
}

/// A single broker before version 4 forgets young queues when it is killed: what is said to be stored must not be in one.
#[tokio::test(flavor = "multi_thread")]
async fn broker_killed_just_after_a_room_was_made_what_waits_there_is_not_lost() {
    let mut broker = servers::broker().await;
    let ground = Ground::on(&broker.url()).await;
    let client = ground.client().await;
    broker.remember_queues().await;
    let room = Room::of(QUEUE, QUEUE.level(Priority::Normal), PAIRS);
    let mut sent = parcel(QUEUE, room.level().number(), Duration::ZERO);
    sent.to = Destination::Aside(room);
    client.broker.publish(sent.clone()).await.expect("stored");
    broker.kill().await;
    broker.start().await;

    let client = ground.client().await;
    in_rooms(&client, |waiting| waiting == 1).await;
    let first = client.broker.take_aside(room).await.expect("answers");
    let first = first.expect("it is there");
    assert_eq!(first.body, sent.body);
    ack(first).await.expect("acked");
    in_rooms(&client, |waiting| waiting == 0).await;
}

/// Waits until so many wait in the room of the limit.
async fn in_rooms(client: &Client, expected: impl Fn(u64) -> bool) {
    let room = Room::of(QUEUE, QUEUE.level(Priority::Normal), PAIRS);
    let counting = async {
        loop {
            let counts = client.broker.count_aside(&[room].into()).await;
            let counts = counts.expect("the broker answers");
            if expected(counts.get(&room).copied().unwrap_or_default()) {
                return;
            }
        }
    };
    timeout(PATIENCE, counting).await.expect("in time");
}

/// Which number was kicked as what, and by which worker it was started, in the order of the starts.
fn in_order(ids: &[MessageId], notes: &[Note]) -> Vec<(usize, u32)> {
    let mut started: Vec<(usize, u32)> = Vec::new();
    for note in notes.iter().filter(|note| note.moment == "begun") {
        let number = ids.iter().position(|id| id.as_str() == note.id);
        let number = number.expect("it was kicked here");
        if !started.iter().any(|(other, _)| *other == number) {
            started.push((number, note.pid));
        }
    }
    started
}

/// By how many places each started too early or too late, the least first.
fn displaced(ids: &[MessageId], notes: &[Note]) -> Vec<usize> {
    let started = in_order(ids, notes).into_iter().enumerate();
    let mut moved: Vec<usize> = started
        .map(|(place, (number, _))| place.abs_diff(number))
        .collect();
    moved.sort_unstable();
    moved
}

fn most_at_once(notes: &[Note], pid: u32) -> usize {
    let (mut now, mut most) = (HashSet::new(), 0);
    for note in notes.iter().filter(|note| note.pid == pid) {
        match &*note.moment {
            "begun" => now.insert(&note.id),
            _ => now.remove(&note.id),
        };
        most = most.max(now.len());
    }
    most
}

/// Two workers and this process are three clients that kick the same work.
#[tokio::test(flavor = "multi_thread")]
async fn unique_kicks_of_several_processes_are_one_message() {
    let ground = Ground::shared();
    let client = ground.client().await;
    let workers = [ground.worker().await, ground.worker().await];
    let asks = (0..20).map(|_| Ask {
        key: "mine".to_owned(),
    });
    let asks = client.tasks.kick_all(asks).await.expect("kicked");
    let answers = asks.iter().map(|ask| ask.output().within(PATIENCE));
    let answers = join_all(answers.map(IntoFuture::into_future)).await;
    let answers: Vec<(String, bool)> = answers.into_iter().map(|it| it.expect("done")).collect();
    let nap = client.tasks.kick(Nap { millis: 3000 });
    let mine = nap.unique_for(PATIENCE).by("mine").await.expect("asked");
    assert!(!mine.is_new(), "theirs still runs");
    let mine = mine.handle();
    let new = answers.iter().filter(|(_, is_new)| *is_new).count();
    assert_eq!(new, 1, "{answers:?}");
    assert!(
        answers.iter().all(|(id, _)| id == mine.id().as_str()),
        "{answers:?}"
    );
    let asked_by: HashSet<u32> = ground.notes().iter().map(|note| note.pid).collect();
    assert_eq!(asked_by.len(), 2, "both workers have asked");
    assert!(mine.output().within(PATIENCE).await.expect("done"));

    let again = client.tasks.kick(Nap { millis: 0 });
    let again = again.unique_for(PATIENCE).by("mine").await.expect("asked");
    assert!(again.is_new(), "the first one has ended");
    again
        .handle()
        .output()
        .within(PATIENCE)
        .await
        .expect("done");
    for worker in workers {
        drained(worker).await;
    }
    client.all_settled().await;
    assert_eq!(ground.runs(&[mine.id().clone()]), 1);
}
