//! How this process is: one value in which its parts note what they know, and which another thread can look at while the
//! event loop stands still. Noting is cheap and never waits. What it means for health is `verdict`'s to say; a port that
//! answers with it is the host's.

mod census;
mod scheduler;
mod verdict;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

pub use census::{Census, LevelCensus};
pub use scheduler::{SchedulerState, Stand};
pub use verdict::Verdict;

use crate::broker::{Broker, Connections, LevelLiveness, Liveness};
use crate::message::MessageId;
use crate::queue::Queue;

/// How often the event loop says that it turns.
const TICK: Duration = Duration::from_millis(250);

/// How this process is. Cheap to clone: clones share it. For one worker.
#[derive(Debug, Clone, Default)]
pub struct Vitals {
    noted: Arc<Noted>,
}

#[derive(Debug)]
struct Noted {
    from: Instant,
    /// Milliseconds after `from` at which the event loop was last seen to turn.
    turned: AtomicU64,
    working: OnceLock<Working>,
    draining: AtomicBool,
    // A std mutex: held for one map operation, never across an await.
    stuck: Mutex<BTreeMap<u64, Stuck>>,
    // Another: held for one assignment.
    census: Mutex<Option<Census>>,
    // As the census.
    scheduler: Mutex<Option<SchedulerState>>,
    marks: AtomicU64,
}

/// A worker that takes messages: what can be asked about it.
#[derive(Debug)]
pub(crate) struct Working {
    pub(crate) queue: Queue,
    pub(crate) slots: u16,
    /// How many slots have an attempt.
    pub(crate) in_use: Arc<AtomicU32>,
    pub(crate) liveness: Liveness,
    pub(crate) broker: Arc<dyn Broker>,
}

#[derive(Debug)]
struct Stuck {
    task: String,
    id: MessageId,
    since: Instant,
}

/// A handler counts as stuck until this is dropped.
#[derive(Debug)]
#[must_use = "the handler counts as stuck only while this is held"]
pub struct StuckMark {
    vitals: Vitals,
    number: u64,
}

/// How the process is at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// How long ago the event loop was last seen to turn.
    pub loop_age: Duration,
    /// Whether it takes no more messages because it ends.
    pub draining: bool,
    /// Its worker; none while it starts.
    pub worker: Option<WorkerSnapshot>,
    /// Handlers that did not end when they should have, the longest first.
    pub stuck: Vec<StuckHandler>,
    /// What waits in its queue; none unless this is the worker that counts it.
    pub census: Option<Census>,
    /// Its scheduler; none in a worker, and while it starts.
    pub scheduler: Option<SchedulerState>,
}

/// A worker at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerSnapshot {
    /// What it consumes.
    pub queue: Queue,
    /// How many attempts can run at once.
    pub slots: u16,
    /// How many run.
    pub in_use: usize,
    /// Its levels, highest first.
    pub levels: Vec<LevelLiveness>,
    /// Its connections to the broker.
    pub connections: Connections,
}

/// A handler that did not end when it should have.
#[derive(Debug, Clone, PartialEq)]
pub struct StuckHandler {
    /// Which task.
    pub task: String,
    /// Of which message.
    pub id: MessageId,
    /// How long ago it was noted.
    pub noted_for: Duration,
}

impl Default for Noted {
    fn default() -> Self {
        Self {
            from: Instant::now(),
            turned: AtomicU64::new(0),
            working: OnceLock::new(),
            draining: AtomicBool::new(false),
            stuck: Mutex::default(),
            census: Mutex::default(),
            scheduler: Mutex::default(),
            marks: AtomicU64::new(0),
        }
    }
}

impl Noted {
    fn stuck(&self) -> MutexGuard<'_, BTreeMap<u64, Stuck>> {
        // Whole between any two operations, so a panic elsewhere leaves nothing half done.
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn scheduler(&self) -> MutexGuard<'_, Option<SchedulerState>> {
        let scheduler = self.scheduler.lock();
        scheduler.unwrap_or_else(PoisonError::into_inner)
    }

    fn census(&self) -> MutexGuard<'_, Option<Census>> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vitals {
    /// A process that starts, and whose event loop turned just now.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says four times a second that the event loop turns. Never returns: spawn it on the runtime that is to be watched.
    pub async fn keep_ticking(self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let turned = self.noted.from.elapsed().as_millis();
            let turned = u64::try_from(turned).unwrap_or(u64::MAX);
            self.noted.turned.store(turned, Ordering::Relaxed);
        }
    }

    /// The worker takes messages. The first one counts.
    pub(crate) fn working(&self, working: Working) {
        // An error is a second worker with the same vitals, which is what "the first one" says.
        let _ = self.noted.working.set(working);
    }

    /// The process takes no more messages, because it ends.
    pub fn draining(&self) {
        self.noted.draining.store(true, Ordering::Relaxed);
    }

    /// A handler did not end when it should have; it counts as stuck until the mark is dropped.
    pub fn stuck(&self, task: &str, id: &MessageId) -> StuckMark {
        let number = self.noted.marks.fetch_add(1, Ordering::Relaxed);
        let stuck = Stuck {
            task: task.to_owned(),
            id: id.clone(),
            since: Instant::now(),
        };
        self.noted.stuck().insert(number, stuck);
        StuckMark {
            vitals: self.clone(),
            number,
        }
    }

    /// What waits in the queue, as of now; none when this worker does not count it.
    pub(crate) fn counted(&self, census: Option<Census>) {
        *self.noted.census() = census;
    }

    /// How the scheduler of this process is, as of now; what it counts is noted for itself.
    pub(crate) fn schedules(&self, state: SchedulerState) {
        let mut noted = self.noted.scheduler();
        let stuck_runs = noted.as_ref().and_then(|before| before.stuck_runs);
        *noted = Some(SchedulerState {
            stuck_runs,
            ..state
        });
    }

    /// How many runs are stuck, as far as the scheduler of this process knows.
    pub(crate) fn stuck_runs(&self, many: Option<usize>) {
        if let Some(state) = &mut *self.noted.scheduler() {
            state.stuck_runs = many;
        }
    }

    /// How it is now. Never waits; any thread may ask.
    #[must_use]
    pub fn look(&self) -> Snapshot {
        let turned = Duration::from_millis(self.noted.turned.load(Ordering::Relaxed));
        Snapshot {
            loop_age: self.noted.from.elapsed().saturating_sub(turned),
            draining: self.noted.draining.load(Ordering::Relaxed),
            worker: self.noted.working.get().map(Working::look),
            stuck: self.noted.stuck().values().map(Stuck::look).collect(),
            census: self.noted.census().clone(),
            scheduler: self.noted.scheduler().clone(),
        }
    }
}

impl Working {
    fn look(&self) -> WorkerSnapshot {
        WorkerSnapshot {
            queue: self.queue,
            slots: self.slots,
            in_use: self.in_use.load(Ordering::Relaxed) as usize,
            levels: self.liveness.look(),
            connections: self.broker.connections(),
        }
    }
}

impl Stuck {
    fn look(&self) -> StuckHandler {
        StuckHandler {
            task: self.task.clone(),
            id: self.id.clone(),
            noted_for: self.since.elapsed(),
        }
    }
}

impl Drop for StuckMark {
    fn drop(&mut self) {
        self.vitals.noted.stuck().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::seconds;

    #[tokio::test(start_paused = true)]
    async fn the_loop_ages_until_it_ticks() {
        let vitals = Vitals::new();
        tokio::time::advance(seconds(5)).await;
        assert_eq!(vitals.look().loop_age, seconds(5));
        let ticking = tokio::spawn(vitals.clone().keep_ticking());
        tokio::time::sleep(seconds(1)).await;
        assert!(vitals.look().loop_age <= TICK);
        ticking.abort();
        tokio::time::advance(seconds(9)).await;
        assert!(vitals.look().loop_age >= seconds(9));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_is_stuck_until_its_mark_is_dropped() {
        let (vitals, id) = (Vitals::new(), MessageId::new());
        let first = vitals.stuck("cut", &id);
        tokio::time::advance(seconds(2)).await;
        let second = vitals.stuck("copy", &MessageId::new());
        let stuck = vitals.look().stuck;
        assert_eq!((stuck[0].task.as_str(), &stuck[0].id), ("cut", &id));
        assert_eq!(stuck[0].noted_for, seconds(2));
        drop(first);
        assert_eq!(vitals.look().stuck[0].task, "copy");
        drop(second);
        assert!(vitals.look().stuck.is_empty());
    }
}
