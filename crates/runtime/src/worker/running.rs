//! What runs in this process now: each attempt under the id of its message, so that a copy that comes meanwhile is recognised,
//! a cancel finds its attempt, and the keeper knows whose claims to renew. Other processes are the ledger's business.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::{Busy, Gate, Progress, Run};
use crate::message::MessageId;
use crate::stop::Stop;
use crate::vitals::StuckMark;

/// How long after its last moment an attempt counts as stuck: what ends a little late is not.
const MARGIN: Duration = Duration::from_secs(2);

/// The attempts of this process. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Running {
    // A std mutex: held for one operation on the map, never across an await.
    attempts: Arc<Mutex<HashMap<MessageId, Arc<Underway>>>>,
}

/// One attempt that is under way, from its admission to its ack.
pub(crate) struct Underway {
    /// How the ledger knows it.
    pub(crate) run: Run,
    /// The task's name.
    pub(crate) task: String,
    /// Which attempt, 1 the first.
    pub(crate) attempt: u32,
    /// Since when, in seconds since 1970.
    pub(crate) since: f64,
    /// How it is asked to end.
    pub(crate) stop: Stop,
    /// The limits in which it has a place.
    pub(crate) gates: Vec<Gate>,
    /// How long its result and its progress are kept.
    pub(crate) kept: Duration,
    began: Instant,
    tidy_up: Duration,
    /// While its handler is at work: by when that is to be asked to end.
    handling_until: Mutex<Option<Instant>>,
    /// Whether it waits to be alone in this process, and has not begun.
    waiting: AtomicBool,
    /// Whether the ledger has its claim.
    claimed: AtomicBool,
    /// Whether the message had a start before, of which a copy that comes back as it is tells nothing.
    ran_before: AtomicBool,
    /// Whether outputs of its steps are kept.
    keeps_steps: AtomicBool,
    /// Whether some of them lie in the depot, or may.
    in_depot: AtomicBool,
    /// Whether it is known what the attempts before it left.
    looked: AtomicBool,
    stuck: AtomicBool,
    /// How many slots it was given.
    slots: AtomicU32,
    /// Held while it is stuck, so that the process says so.
    mark: Mutex<Option<StuckMark>>,
    progress: Mutex<Option<Progress>>,
}

/// An attempt's place in the table, until this is dropped.
pub(crate) struct Place {
    running: Running,
    /// The attempt.
    pub(crate) underway: Arc<Underway>,
}

impl Underway {
    /// `tidy_up` is how long its handler may take once it was asked to end.
    pub(crate) fn new(run: Run, task: &str, attempt: u32, stop: Stop, tidy_up: Duration) -> Self {
        Self {
            run,
            task: task.to_owned(),
            attempt,
            since: crate::message::unix_seconds(),
            stop,
            gates: Vec::new(),
            kept: Duration::ZERO,
            began: Instant::now(),
            tidy_up,
            handling_until: Mutex::default(),
            waiting: AtomicBool::new(false),
            claimed: AtomicBool::new(false),
            ran_before: AtomicBool::new(false),
            keeps_steps: AtomicBool::new(false),
            in_depot: AtomicBool::new(false),
            looked: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            slots: AtomicU32::new(1),
            mark: Mutex::default(),
            progress: Mutex::default(),
        }
    }

    /// The ledger has its claim now, so that it must hear of its end.
    pub(crate) fn note_claimed(&self) {
        self.claimed.store(true, Ordering::Release);
    }

    /// The ledger knows of a start before this one: what that left must be cleared at the end.
    pub(crate) fn note_ran_before(&self) {
        self.ran_before.store(true, Ordering::Release);
    }

    pub(crate) fn ran_before(&self) -> bool {
        self.ran_before.load(Ordering::Acquire)
    }

    /// Outputs of its steps are kept, so that its end must clear them.
    pub(crate) fn note_kept(&self) {
        self.keeps_steps.store(true, Ordering::Release);
    }

    pub(crate) fn keeps_steps(&self) -> bool {
        self.keeps_steps.load(Ordering::Acquire)
    }

    /// An output is on its way into the depot, or was found to lie there.
    pub(crate) fn note_in_depot(&self) {
        self.in_depot.store(true, Ordering::Release);
    }

    /// What earlier attempts left has been read.
    pub(crate) fn note_looked(&self) {
        self.looked.store(true, Ordering::Release);
    }

    /// Whether its end must clear the depot as well: asking an object store for nothing would cost each message a request.
    pub(crate) fn may_be_in_depot(&self, ran_before: bool) -> bool {
        let looked = self.looked.load(Ordering::Acquire);
        self.in_depot.load(Ordering::Acquire) || (ran_before && !looked)
    }

    /// It has so many slots.
    pub(crate) fn note_slots(&self, slots: u32) {
        self.slots.store(slots, Ordering::Release);
    }

    /// Takes the slots that it was given, for others; nothing the second time.
    pub(crate) fn take_slots(&self) -> u32 {
        self.slots.swap(0, Ordering::AcqRel)
    }

    /// Its handler begins, and may take so long.
    pub(crate) fn note_handling(&self, limit: Duration) {
        *self.handling() = Some(Instant::now() + limit.min(CENTURY));
    }

    /// Its handler has ended. However long settling takes, nothing is stuck.
    pub(crate) fn note_handled(&self) {
        *self.handling() = None;
        self.stuck.store(false, Ordering::Release);
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn handling(&self) -> MutexGuard<'_, Option<Instant>> {
        self.handling_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// It waits to be alone, or does not any more.
    pub(crate) fn note_waiting(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Release);
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Acquire)
    }

    /// Marks it as stuck if it is past its last moment; true the first time.
    pub(crate) fn found_stuck(&self, now: Instant) -> bool {
        self.last_moment().is_some_and(|last| now > last)
            && !self.stuck.swap(true, Ordering::AcqRel)
    }

    /// Keeps the mark by which the process says that it is stuck, until it ends.
    pub(crate) fn note_stuck(&self, mark: StuckMark) {
        *self.mark.lock().unwrap_or_else(PoisonError::into_inner) = Some(mark);
    }

    /// When its handler must have ended: its own time, or the time to tidy up after it was asked to end. None while it has none
    /// at work.
    fn last_moment(&self) -> Option<Instant> {
        let by_itself = (*self.handling())?;
        let asked = self
            .stop
            .asked_at()
            .map_or(by_itself, |asked| asked.min(by_itself));
        Some(asked + self.tidy_up.min(CENTURY) + MARGIN)
    }

    /// How long it has been under way.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Keeps what it says of itself until somebody writes it down; the last word counts.
    pub(crate) fn say(&self, progress: Progress) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    pub(crate) fn said(&self) -> Option<Progress> {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn busy(&self) -> Busy {
        Busy {
            id: self.run.id.clone(),
            task: self.task.clone(),
            attempt: self.attempt,
            since: self.since,
            stuck: self.is_stuck(),
        }
    }
}

/// A limit without an end is as good as a century.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Running {
    /// A place for the attempt; none when another attempt at the same message is under way here.
    pub(crate) fn enter(&self, underway: Underway) -> Option<Place> {
        let underway = Arc::new(underway);
        match self.lock().entry(underway.run.id.clone()) {
            Entry::Occupied(_) => return None,
            Entry::Vacant(place) => place.insert(Arc::clone(&underway)),
        };
        Some(Place {
            running: self.clone(),
            underway,
        })
    }

    /// Asks the attempt at this message to end, if there is one and `meant` says that it is the one.
    pub(crate) fn cancel(&self, id: &MessageId, meant: impl Fn(&Run) -> bool) {
        let underway = self.lock().get(id).cloned();
        if let Some(underway) = underway.filter(|underway| meant(&underway.run)) {
            tracing::info!(task_id = %id, task = underway.task, "cancelled while it runs");
            underway.stop.cancel();
        }
    }

    /// Whether an attempt at this message is under way here.
    pub(crate) fn has(&self, id: &MessageId) -> bool {
        self.lock().contains_key(id)
    }

    /// All of them, now.
    pub(crate) fn all(&self) -> Vec<Arc<Underway>> {
        self.lock().values().cloned().collect()
    }

    /// What they have said of themselves since the last time, with how long to keep it.
    pub(crate) fn said(&self) -> Vec<(MessageId, Progress, Duration)> {
        let said = |underway: &Arc<Underway>| {
            Some((underway.run.id.clone(), underway.said()?, underway.kept))
        };
        self.lock().values().filter_map(said).collect()
    }

    /// Up to `most` of them for people, the longest first.
    pub(crate) fn busy(&self, most: usize) -> Vec<Busy> {
        let attempts = self.lock();
        let begun = attempts.values().filter(|underway| !underway.is_waiting());
        let mut all: Vec<Busy> = begun.map(|underway| underway.busy()).collect();
        drop(attempts);
        all.sort_by(|a, b| a.since.total_cmp(&b.since));
        all.truncate(most);
        all
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MessageId, Arc<Underway>>> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.running.lock().remove(&self.underway.run.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const TIDY_UP: Duration = Duration::from_secs(8);

    fn underway(id: &MessageId) -> Underway {
        let run = Run {
            id: id.clone(),
            kick: "k".to_owned(),
            is_new: false,
            hop: 0,
            token: "t".to_owned(),
            worker: "w".to_owned(),
            task: "task".to_owned(),
        };
        Underway::new(
            run,
            "task",
            1,
            Stop::under(&CancellationToken::new()),
            TIDY_UP,
        )
    }

    #[tokio::test]
    async fn a_message_is_under_way_once() {
        let (running, id) = (Running::default(), MessageId::new());
        let place = running.enter(underway(&id)).expect("free");
        assert!(running.enter(underway(&id)).is_none() && running.has(&id));
        assert!(running.enter(underway(&MessageId::new())).is_some());
        drop(place);
        assert!(!running.has(&id) && running.enter(underway(&id)).is_some());
    }

    #[tokio::test]
    async fn a_cancel_reaches_the_attempt_that_is_meant() {
        let (running, id) = (Running::default(), MessageId::new());
        let place = running.enter(underway(&id)).expect("free");
        running.cancel(&id, |run| run.kick == "other");
        assert!(!place.underway.stop.token().is_cancelled());
        running.cancel(&id, |run| run.kick == "k");
        assert!(place.underway.stop.token().is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_stuck_once_it_is_past_its_last_moment_and_says_so_once() {
        let alone = underway(&MessageId::new());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!alone.found_stuck(Instant::now()), "not begun");
        alone.note_handling(LIMIT);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(!alone.found_stuck(Instant::now()), "just in time");
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(alone.found_stuck(Instant::now()) && alone.is_stuck());
        assert!(!alone.found_stuck(Instant::now()), "said once");

        let asked = underway(&MessageId::new());
        asked.note_handling(LIMIT);
        asked.stop.cancel();
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!asked.found_stuck(Instant::now()));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(
            asked.found_stuck(Instant::now()),
            "asked at once, so its time is shorter"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_settles_is_not_stuck() {
        let settling = underway(&MessageId::new());
        settling.note_handling(LIMIT);
        tokio::time::advance(Duration::from_secs(21)).await;
        assert!(settling.found_stuck(Instant::now()));
        settling.note_handled();
        assert!(!settling.is_stuck(), "it has ended after all");
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(!settling.found_stuck(Instant::now()));
    }

    #[tokio::test]
    async fn the_last_word_is_told_once() {
        let (running, id) = (Running::default(), MessageId::new());
        let place = running.enter(underway(&id)).expect("free");
        for fraction in [0.1, 0.2] {
            place
                .underway
                .say(Progress::started(fraction, serde_json::Value::Null));
        }
        let said = running.said();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0].1.fraction(), Some(0.2));
        assert!(running.said().is_empty());
    }
}
