//! A world of one process under paused time: a broker, a result store, a clock that can be set, and schedulers that run in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sapari_runtime::broker::conformance::message;
use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::broker::{Broker, Parcel};
use sapari_runtime::client::Tasks;
use sapari_runtime::duration::seconds;
use sapari_runtime::ledger::Schedules;
use sapari_runtime::message::{Message, MessageId, Route};
use sapari_runtime::ping::Ping;
use sapari_runtime::queue::Queue;
use sapari_runtime::result::Results;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::schedule::{Clock, Scheduler, Timetable};
use sapari_runtime::task::Task as _;
use sapari_runtime::vitals::Vitals;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::gallery::Gallery;

/// A full hour, in seconds since 1970: when the world of each test begins.
pub(super) const T: i64 = 1_800_000_000;

/// A broker, a result store, and a clock that follows the paused time, as far as it is not set.
pub(super) struct World {
    pub(super) broker: Arc<dyn Broker>,
    pub(super) results: Arc<dyn Results>,
    pub(super) begun: Instant,
    /// By how many seconds the clock was set.
    pub(super) set: Arc<AtomicI64>,
}

/// A scheduler that runs.
pub(super) struct Running {
    pub(super) shutdown: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl World {
    pub(super) async fn new() -> (Self, Gallery) {
        let broker: Arc<dyn Broker> = Arc::new(MemoryBroker::new());
        broker.declare(Ping::QUEUE).await.expect("declared");
        let gallery = Gallery::open(&broker, Ping::QUEUE).await;
        let results = Arc::new(MemoryResults::new());
        let begun = Instant::now();
        let world = Self {
            broker,
            results,
            begun,
            set: Arc::default(),
        };
        (world, gallery)
    }

    pub(super) fn start(&self, timetable: Timetable, book: Option<Arc<dyn Schedules>>) -> Running {
        self.start_noting(timetable, book, &Vitals::new())
    }

    pub(super) fn start_noting(
        &self,
        timetable: Timetable,
        book: Option<Arc<dyn Schedules>>,
        vitals: &Vitals,
    ) -> Running {
        let (begun, set) = (self.begun, Arc::clone(&self.set));
        let now = move || {
            let passed = i64::try_from(begun.elapsed().as_millis()).expect("short");
            (T + set.load(Ordering::Relaxed)) * 1000 + passed
        };
        let (broker, results) = (Arc::clone(&self.broker), Arc::clone(&self.results));
        let scheduler = Scheduler::new(timetable, find, broker, results).expect("it makes sense");
        let scheduler = scheduler.clock(Clock::of(now)).vitals(vitals.clone());
        let scheduler = match book {
            Some(book) => scheduler.book(book),
            None => scheduler,
        };
        let shutdown = CancellationToken::new();
        let task = spawn_local(scheduler.run(shutdown.clone()));
        Running { shutdown, task }
    }

    /// Lets the time pass until so many seconds after the beginning, and a little more.
    pub(super) async fn until(&self, after: u64) {
        sleep_until(self.begun + seconds(after) + Duration::from_millis(20)).await;
    }

    pub(super) fn tasks(&self) -> Tasks {
        Tasks::new(Arc::clone(&self.broker), Arc::clone(&self.results))
    }

    /// The run of a tick has come to its end.
    pub(super) async fn ends(&self, second: i64) {
        let id: MessageId = format!("cron:ping:{}", T + second).parse().expect("an id");
        let given = self.results.ledger().give_up("schedule ping", &id).await;
        given.expect("answers");
    }
}

impl Running {
    pub(super) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic");
    }
}

/// A queue that nobody has made.
pub(super) const ELSEWHERE: Queue = Queue::named("elsewhere");

pub(super) fn find(name: &str) -> Option<Queue> {
    let mut queues = [Ping::QUEUE, ELSEWHERE].into_iter();
    queues.find(|queue| queue.name() == name)
}

pub(super) fn every_second() -> Timetable {
    Timetable::in_utc().every(seconds(1), Ping {})
}

/// The seconds of all ticks that arrived, and that none came twice.
pub(super) fn fired(gallery: &Gallery) -> Vec<i64> {
    let shots = gallery.shots();
    assert!(shots.values().all(|times| times.len() == 1), "{shots:?}");
    let mut seconds: Vec<i64> = shots.keys().map(|(_, tick)| tick - T).collect();
    seconds.sort_unstable();
    seconds
}

/// As far as a leader comes that dies between firing and settling.
pub(super) async fn fired_by_one_that_died(world: &World, second: i64) {
    let mut baton = world.broker.baton();
    assert!(baton.take().await.expect("it answers"));
    let published = baton.publish(tick_of_ping(second)).await;
    published.expect("it takes it");
}

pub(super) async fn stubs(world: &World) -> usize {
    let mut baton = world.broker.baton();
    assert!(baton.take().await.expect("it answers"));
    baton.stubs().await.expect("it answers").len()
}

/// The message of a tick, as any leader would publish it.
pub(super) fn tick_of_ping(second: i64) -> Parcel {
    let message = Message {
        id: format!("cron:ping:{}", T + second).parse().expect("an id"),
        ..message()
    };
    let route = Route {
        queue: Ping::QUEUE,
        level: Ping::QUEUE.level_numbered(0),
        delay: Duration::ZERO,
    };
    Parcel::of(&message, route).expect("a small message")
}
