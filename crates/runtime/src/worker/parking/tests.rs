//! Whose turn it is, in which order, and how many there may be.

use async_trait::async_trait;
use futures_util::FutureExt;

use super::*;
use crate::broker::{Headers, Lost, Receipt};
use crate::ledger::GateKind;
use crate::queue::Queue;

const QUEUE: Queue = Queue::named("q").levels(4);

struct Nothing;

#[async_trait]
impl Receipt for Nothing {
    async fn ack(self: Box<Self>) -> Result<(), Lost> {
        Ok(())
    }
    async fn hand_back(self: Box<Self>) -> Result<(), Lost> {
        Ok(())
    }
}

fn delivery(name: &str, level: u8) -> Delivery {
    let level = QUEUE.level_numbered(level);
    Delivery::new(
        name.into(),
        Box::new(Headers::new()),
        level,
        false,
        Box::new(Nothing),
    )
}

fn room(level: u8, gate: &str) -> Room {
    Room::of(QUEUE, QUEUE.level_numbered(level), gate)
}

fn wait(level: u8, gate: &str, seconds: u64) -> Wait {
    Wait {
        gate: gate.to_owned(),
        room: room(level, gate),
        time: Duration::from_secs(seconds),
    }
}

fn gates(names: &[&str]) -> Vec<Gate> {
    let gate = |name: &&str| Gate {
        name: (*name).to_owned(),
        kind: GateKind::AtOnce(1),
    };
    names.iter().map(gate).collect()
}

fn taken(parking: &Arc<Parking>) -> Option<String> {
    parking
        .take_due()
        .map(|taken| String::from_utf8(taken.delivery.body).expect("text"))
}

fn park(parking: &Parking, name: &str, level: u8, on: &str, seconds: u64) {
    let wait = wait(level, on, seconds);
    let parked = parking.park(delivery(name, level), wait, Place::Arrived);
    parked.expect("room");
}

#[tokio::test(start_paused = true)]
async fn whoever_came_first_on_the_highest_level_goes_first() {
    let parking = Arc::new(Parking::default());
    park(&parking, "a", 0, "x", 5);
    park(&parking, "b", 0, "x", 0);
    park(&parking, "c", 0, "y", 0);
    park(&parking, "d", 3, "z", 0);
    assert_eq!(taken(&parking).as_deref(), Some("d"));
    assert_eq!(taken(&parking).as_deref(), Some("c"), "b waits behind a");
    assert_eq!(taken(&parking), None);
    parking.try_again();
    assert_eq!(taken(&parking).as_deref(), Some("a"));
    assert_eq!(taken(&parking).as_deref(), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_one_that_has_its_turn() {
    let parking = Arc::new(Parking::default());
    park(&parking, "a", 0, "x", 0);
    park(&parking, "b", 0, "x", 0);
    let turn = parking.take_due().expect("a");
    assert_eq!(taken(&parking), None);
    let (level, x) = (turn.delivery.level, gates(&["x"]));
    assert!(parking.line_before(level, &x).is_some());
    drop(turn);
    assert_eq!(taken(&parking).as_deref(), Some("b"));
    assert!(parking.line_before(level, &x).is_none());
}

#[tokio::test(start_paused = true)]
async fn one_that_tried_in_vain_keeps_its_place() {
    let parking = Arc::new(Parking::default());
    park(&parking, "a", 0, "x", 0);
    park(&parking, "b", 0, "x", 0);
    let Taken { delivery, turn } = parking.take_due().expect("a");
    let place = turn.as_ref().expect("its turn").place_before("x");
    assert_eq!(place, Place::Back);
    let back = parking.park(delivery, wait(0, "x", 0), place);
    back.expect("there is always room for it");
    drop(turn);
    assert_eq!(taken(&parking).as_deref(), Some("a"));
    let level = QUEUE.level_numbered(0);
    assert!(parking.line_before(level, &gates(&["y", "x"])).is_some());
    assert!(parking.line_before(level, &gates(&["y"])).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_line_is_that_of_the_closed_gate_and_of_no_other() {
    let parking = Arc::new(Parking::default());
    park(&parking, "a", 0, "key a", 9);
    let level = QUEUE.level_numbered(0);
    let other = gates(&["task", "key b"]);
    assert!(parking.line_before(level, &other).is_none());
    let same = gates(&["task", "key a"]);
    let before = parking.line_before(level, &same).map(|gate| &*gate.name);
    assert_eq!(before, Some("key a"));

    parking.try_again();
    let Taken { delivery, turn } = parking.take_due().expect("a");
    let place = turn.as_ref().expect("its turn").place_before("task");
    assert_eq!(place, Place::Moved);
    park(&parking, "b", 0, "task", 0);
    let moved = parking.park(delivery, wait(0, "task", 0), place);
    moved.expect("room");
    drop(turn);
    assert_eq!(taken(&parking).as_deref(), Some("a"), "it waited longer");
}

#[tokio::test(start_paused = true)]
async fn it_is_told_when_a_turn_comes_and_when_it_was_missed() {
    let parking = Arc::new(Parking::default());
    assert!(parking.due().now_or_never().is_none());
    park(&parking, "a", 0, "x", 5);
    park(&parking, "b", 0, "x", 0);
    let begun = Instant::now();
    parking.due().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    for (name, missed) in [(b"a", HOLD), (b"b", HOLD * 2)] {
        let overdue = parking.overdue().await;
        assert_eq!(overdue.delivery.body, name);
        assert_eq!(begun.elapsed(), Duration::from_secs(5) + missed);
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_bounded_and_one_crowd_leaves_room_for_others() {
    let parking = Arc::new(Parking::default());
    let full = |level, gate: &str| {
        let arrives = delivery("more", level);
        parking
            .park(arrives, wait(level, gate, 0), Place::Arrived)
            .is_err()
    };
    for gate in ["x", "y", "z", "u"] {
        for _ in 0..PER_LINE {
            park(&parking, "a", 0, gate, 0);
        }
        assert!(full(0, gate));
    }
    assert!(full(0, "v"), "the level is full");
    park(&parking, "c", 1, "x", 0);
    for place in [Place::Fetched, Place::Back] {
        let parked = parking.park(delivery("d", 0), wait(0, "x", 0), place);
        parked.expect("who fetches counts, and who was here has a place");
    }
    let moved = parking.park(delivery("e", 0), wait(0, "x", 0), Place::Moved);
    assert!(moved.is_err());
    assert_eq!(parking.count(room(0, "x")), PER_LINE + 2);
    assert_eq!(parking.clear().len(), PER_LEVEL + 3);
    assert!(full(2, "x"), "nothing parks after the end");
}

#[tokio::test(start_paused = true)]
async fn what_comes_again_goes_before_what_has_not_been_here() {
    let parking = Arc::new(Parking::default());
    park(&parking, "c", 0, "x", 0);
    for name in ["a", "b"] {
        let mut again = delivery(name, 0);
        again.redelivered = true;
        let parked = parking.park(again, wait(0, "x", 0), Place::Arrived);
        parked.expect("room");
    }
    for name in ["a", "b", "c"] {
        assert_eq!(taken(&parking).as_deref(), Some(name));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_room_gave_goes_back_to_it_in_order() {
    let parking = Arc::new(Parking::default());
    let from = room(0, "x");
    park(&parking, "z", 0, "x", 0);
    for name in ["a", "b"] {
        let fetched = delivery(name, 0).out_of(from);
        let parked = parking.park(fetched, wait(0, "x", 0), Place::Fetched);
        parked.expect("room");
    }
    let back = parking.take_all_of(from);
    let names: Vec<&[u8]> = back.iter().map(|delivery| &*delivery.body).collect();
    assert_eq!(names, [b"a", b"b"]);
    assert_eq!(taken(&parking).as_deref(), Some("z"));
}
