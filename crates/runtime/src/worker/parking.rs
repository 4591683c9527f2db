//! Deliveries over a limit: they wait here without a slot, in their order, and keep their place before those that come later.
//! Bounded; what finds no room comes back through the delay ladder. It asks no ledger: it only says whose turn it may be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::broker::Delivery;
use crate::ledger::Gate;
use crate::queue::Level;

/// The most that wait on each level.
pub(super) const PER_LEVEL: usize = 128;
/// How long a delivery that could start waits for a slot here before it goes back, for a worker that has one.
const HOLD: Duration = Duration::from_millis(400);
/// How long one behind another waits if nobody tells it that its turn has come.
const BEHIND: Duration = Duration::from_secs(2);

/// Deliveries over a limit.
#[derive(Default)]
pub(super) struct Parking {
    // A std mutex: held for one operation on the lists, never across an await.
    lists: Mutex<Lists>,
    changed: Notify,
}

#[derive(Default)]
struct Lists {
    waiting: VecDeque<Parked>,
    /// The gates of those that are having their turn: nobody of their kind may overtake them.
    trying: Vec<Vec<String>>,
}

/// A delivery that is about to start, and its turn if it waited here for a place in a limit.
pub(super) struct Taken {
    pub(super) delivery: Delivery,
    pub(super) turn: Option<Turn>,
}

impl From<Delivery> for Taken {
    fn from(delivery: Delivery) -> Self {
        Self {
            delivery,
            turn: None,
        }
    }
}

/// The turn of a delivery that waited: its kind waits until this is dropped.
pub(super) struct Turn {
    parking: Arc<Parking>,
    gates: Vec<String>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lists = self.parking.lock();
        if let Some(place) = lists.trying.iter().position(|gates| *gates == self.gates) {
            lists.trying.swap_remove(place);
        }
        drop(lists);
        self.parking.changed.notify_one();
    }
}

struct Parked {
    delivery: Delivery,
    /// The names of its gates: those that share one wait for each other.
    gates: Vec<String>,
    due: Instant,
}

impl Parked {
    fn shares_a_gate(&self, gates: &[String]) -> bool {
        self.gates.iter().any(|gate| gates.contains(gate))
    }
}

fn names(gates: &[Gate]) -> Vec<String> {
    gates.iter().map(|gate| gate.name.clone()).collect()
}

impl Parking {
    /// Parks a delivery until `wait` has passed; gives it back when there is no room. `first` says that it was here before:
    /// it goes before its kind.
    pub(super) fn park(
        &self,
        delivery: Delivery,
        gates: &[Gate],
        wait: Duration,
        first: bool,
    ) -> Result<(), Delivery> {
        let mut lists = self.lock();
        let waiting = &mut lists.waiting;
        let level = delivery.level;
        let on_level = waiting
            .iter()
            .filter(|parked| parked.delivery.level == level)
            .count();
        if on_level >= PER_LEVEL {
            return Err(delivery);
        }
        let parked = Parked {
            delivery,
            gates: names(gates),
            due: Instant::now() + wait,
        };
        let after = |other: &Parked| match first {
            true => other.delivery.level <= level,
            false => other.delivery.level < level,
        };
        let place = waiting.iter().position(after).unwrap_or(waiting.len());
        waiting.insert(place, parked);
        drop(lists);
        self.changed.notify_one();
        Ok(())
    }

    /// How long a delivery of this level and these gates has to wait because others wait before it; none when none do.
    pub(super) fn queue_behind(&self, level: Level, gates: &[Gate]) -> Option<Duration> {
        let gates = names(gates);
        let lists = self.lock();
        let before =
            |parked: &Parked| parked.delivery.level >= level && parked.shares_a_gate(&gates);
        let waits = lists.waiting.iter().any(before) || lists.tries_any(&gates);
        waits.then_some(BEHIND)
    }

    /// The first whose turn it may be, highest level first.
    pub(super) fn take_due(self: &Arc<Self>) -> Option<Taken> {
        let mut lists = self.lock();
        let place = lists.first_due(Instant::now())?;
        let parked = lists.waiting.remove(place)?;
        lists.trying.push(parked.gates.clone());
        drop(lists);
        let turn = Turn {
            parking: Arc::clone(self),
            gates: parked.gates,
        };
        Some(Taken {
            delivery: parked.delivery,
            turn: Some(turn),
        })
    }

    /// The level of the first whose turn it may be.
    pub(super) fn level_due(&self) -> Option<Level> {
        let lists = self.lock();
        let place = lists.first_due(Instant::now())?;
        lists.waiting.get(place).map(|parked| parked.delivery.level)
    }

    /// A place may have become free: the first of each kind may try.
    pub(super) fn try_again(&self) {
        let mut lists = self.lock();
        let now = Instant::now();
        let mut seen: Vec<String> = Vec::new();
        for parked in &mut lists.waiting {
            if !parked.shares_a_gate(&seen) {
                parked.due = parked.due.min(now);
            }
            seen.extend(parked.gates.iter().cloned());
        }
        drop(lists);
        self.changed.notify_one();
    }

    /// Returns when it may be somebody's turn. Cancel-safe.
    pub(super) async fn due(&self) {
        loop {
            let changed = self.changed.notified();
            let next = self.lock().next_due();
            match next {
                Some(due) if due <= Instant::now() => return,
                Some(due) => tokio::select! { () = changed => {}, () = sleep_until(due) => {} },
                None => changed.await,
            }
        }
    }

    /// For while no slot is free: takes out what could have started and waited too long. Never returns nothing; cancel-safe.
    pub(super) async fn overdue(self: &Arc<Self>) -> Taken {
        loop {
            let changed = self.changed.notified();
            let next = self.lock().next_due().map(|due| due + HOLD);
            match next {
                Some(at) if at <= Instant::now() => {
                    if let Some(taken) = self.take_due() {
                        return taken;
                    }
                    changed.await;
                }
                Some(at) => tokio::select! { () = changed => {}, () = sleep_until(at) => {} },
                None => changed.await,
            }
        }
    }

    /// Everything, for when the worker ends.
    pub(super) fn clear(&self) -> Vec<Delivery> {
        let waiting = std::mem::take(&mut self.lock().waiting);
        waiting.into_iter().map(|parked| parked.delivery).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lists {
    fn tries_any(&self, gates: &[String]) -> bool {
        self.trying
            .iter()
            .flatten()
            .any(|gate| gates.contains(gate))
    }

    /// The places of those that have nobody of their kind before them on their level, in order.
    fn firsts(&self) -> impl Iterator<Item = (usize, &Parked)> {
        let mut seen: Vec<(Level, &str)> = Vec::new();
        self.waiting.iter().enumerate().filter(move |(_, parked)| {
            let level = parked.delivery.level;
            let kinds = || parked.gates.iter().map(move |gate| (level, gate.as_str()));
            let behind = kinds().any(|kind| seen.contains(&kind)) || self.tries_any(&parked.gates);
            seen.extend(kinds());
            !behind
        })
    }

    /// The place of the first whose turn it may be.
    fn first_due(&self, now: Instant) -> Option<usize> {
        let due = self.firsts().find(|(_, parked)| parked.due <= now);
        due.map(|(place, _)| place)
    }

    /// When it may be somebody's turn.
    fn next_due(&self) -> Option<Instant> {
        self.firsts().map(|(_, parked)| parked.due).min()
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use futures_util::FutureExt;

    use super::*;
    use crate::broker::{Headers, Lost, Receipt};
    use crate::ledger::GateKind;
    use crate::queue::Queue;

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
        let level = Queue::named("q").levels(4).level_numbered(level);
        Delivery::new(
            name.into(),
            Box::new(Headers::new()),
            level,
            false,
            Box::new(Nothing),
        )
    }

    fn gate(name: &str) -> Vec<Gate> {
        let kind = GateKind::AtOnce(1);
        vec![Gate {
            name: name.to_owned(),
            kind,
        }]
    }

    fn taken(parking: &Arc<Parking>) -> Option<String> {
        parking
            .take_due()
            .map(|taken| String::from_utf8(taken.delivery.body).expect("text"))
    }

    fn park(parking: &Parking, name: &str, level: u8, on: &str, wait: u64) {
        let parked = parking.park(
            delivery(name, level),
            &gate(on),
            Duration::from_secs(wait),
            false,
        );
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
        let level = turn.delivery.level;
        assert!(parking.queue_behind(level, &gate("x")).is_some());
        drop(turn);
        assert_eq!(taken(&parking).as_deref(), Some("b"));
        assert!(parking.queue_behind(level, &gate("x")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_tried_in_vain_keeps_its_place() {
        let parking = Arc::new(Parking::default());
        park(&parking, "b", 0, "x", 0);
        let back = parking.park(delivery("a", 0), &gate("x"), Duration::ZERO, true);
        back.expect("room");
        assert_eq!(taken(&parking).as_deref(), Some("a"));
        let level = Queue::named("q").levels(4).level_numbered(0);
        assert!(parking.queue_behind(level, &gate("x")).is_some());
        assert!(parking.queue_behind(level, &gate("y")).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_told_when_a_turn_comes_and_when_it_was_missed() {
        let parking = Arc::new(Parking::default());
        assert!(parking.due().now_or_never().is_none());
        park(&parking, "a", 0, "x", 5);
        let begun = Instant::now();
        parking.due().await;
        assert_eq!(begun.elapsed(), Duration::from_secs(5));
        let overdue = parking.overdue().await;
        assert_eq!(overdue.delivery.body, b"a");
        assert_eq!(begun.elapsed(), Duration::from_secs(5) + HOLD);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded() {
        let parking = Arc::new(Parking::default());
        for _ in 0..PER_LEVEL {
            park(&parking, "a", 0, "x", 0);
        }
        let one_more = parking.park(delivery("b", 0), &gate("x"), Duration::ZERO, false);
        assert!(one_more.is_err());
        park(&parking, "c", 1, "x", 0);
        assert_eq!(parking.clear().len(), PER_LEVEL + 1);
    }
}
