//! A scheduler in this process under paused time: overlap, pauses, entries that come and go, and a state file between two lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sapari_runtime::broker::conformance::message;
use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::broker::{Broker, Parcel};
use sapari_runtime::client::Tasks;
use sapari_runtime::duration::seconds;
use sapari_runtime::ledger::{Run, Schedules};
use sapari_runtime::message::{Message, MessageId, Route};
use sapari_runtime::ping::Ping;
use sapari_runtime::queue::Queue;
use sapari_runtime::result::Results;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::schedule::{Clock, Missed, Overlap, Scheduler, StateFile, Timetable};
use sapari_runtime::task::Task as _;
use sapari_runtime::upkeep::TAKEN_UP_WITHIN;
use sapari_runtime::vitals::Vitals;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::gallery::Gallery;

/// A full hour, in seconds since 1970: when the world of each test begins.
const T: i64 = 1_800_000_000;

/// A broker, a result store, and a clock that follows the paused time, as far as it is not set.
struct World {
    broker: Arc<dyn Broker>,
    results: Arc<dyn Results>,
    begun: Instant,
    /// By how many seconds the clock was set.
    set: Arc<AtomicI64>,
}

/// A scheduler that runs.
struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl World {
    async fn new() -> (Self, Gallery) {
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

    fn start(&self, timetable: Timetable, book: Option<Arc<dyn Schedules>>) -> Running {
        self.start_noting(timetable, book, &Vitals::new())
    }

    fn start_noting(
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
    async fn until(&self, after: u64) {
        sleep_until(self.begun + seconds(after) + Duration::from_millis(20)).await;
    }

    fn tasks(&self) -> Tasks {
        Tasks::new(Arc::clone(&self.broker), Arc::clone(&self.results))
    }

    /// The run of a tick has come to its end.
    async fn ends(&self, second: i64) {
        let id: MessageId = format!("cron:ping:{}", T + second).parse().expect("an id");
        let given = self.results.ledger().give_up("schedule ping", &id).await;
        given.expect("answers");
    }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic");
    }
}

fn find(name: &str) -> Option<Queue> {
    (name == Ping::QUEUE.name()).then_some(Ping::QUEUE)
}

fn every_second() -> Timetable {
    Timetable::in_utc().every(seconds(1), Ping {})
}

/// The seconds of all ticks that arrived, and that none came twice.
fn fired(gallery: &Gallery) -> Vec<i64> {
    let shots = gallery.shots();
    assert!(shots.values().all(|times| times.len() == 1), "{shots:?}");
    let mut seconds: Vec<i64> = shots.keys().map(|(_, tick)| tick - T).collect();
    seconds.sort_unstable();
    seconds
}

#[tokio::test(start_paused = true)]
async fn while_an_earlier_run_goes_on_ticks_are_skipped_or_the_last_one_waits() {
    LocalSet::new()
        .run_until(async {
            for (overlap, expected) in [
                (Overlap::Allow, vec![10, 20, 30]),
                (Overlap::Skip, vec![10, 30]),
                (Overlap::QueueOne, vec![10, 20]),
            ] {
                let (world, gallery) = World::new().await;
                let timetable = Timetable::in_utc().every(seconds(10), Ping {});
                let running = world.start(timetable.overlap(overlap), None);
                world.until(25).await;
                world.ends(10).await;
                world.until(35).await;
                running.stop().await;
                assert_eq!(fired(&gallery), expected, "{overlap}");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn entries_come_pause_and_go_while_it_runs() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let running = world.start(Timetable::in_utc(), None);
            world.until(2).await;
            let (tasks, ledger) = (world.tasks(), world.results.ledger());
            // As somebody writes it by hand: it counts from when it is seen.
            let queue = Ping::QUEUE.name();
            let entry = format!(r#"{{"task":"ping","queue":"{queue}","every":"1s"}}"#);
            ledger.add_entry("ping", &entry).await.expect("answers");
            ledger.add_entry("broken", "{}").await.expect("answers");
            world.until(5).await;
            ledger.pause_entry("ping", true).await.expect("answers");
            world.until(8).await;
            ledger.pause_entry("ping", false).await.expect("answers");
            world.until(10).await;
            assert!(tasks.unschedule("ping").await.expect("answers"));
            world.until(13).await;
            running.stop().await;
            // Heard within half a second, whatever it was.
            assert_eq!(fired(&gallery), [3, 4, 5, 9, 10]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn of_two_one_fires_and_the_other_takes_over_when_it_ends() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let first = world.start(every_second(), None);
            world.until(1).await;
            let second = world.start(every_second(), None);
            world.until(4).await;
            first.stop().await;
            world.until(8).await;
            second.stop().await;
            assert_eq!(fired(&gallery), (1..=8).collect::<Vec<_>>());
            let leader = world.results.ledger().leader().await.expect("answers");
            assert_eq!(leader, None, "the last one said goodbye");
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_state_file_remembers_what_was_fired_before_an_hour_away() {
    LocalSet::new()
        .run_until(async {
            let directory = sapari_services::Scratch::new(&std::env::temp_dir(), "schedule-state");
            let directory = directory.expect("writable");
            let file = || {
                let path = directory.dir().join("state.json");
                Some(Arc::new(StateFile::open(&path).expect("usable")) as Arc<dyn Schedules>)
            };
            let quarters = || {
                let timetable = Timetable::in_utc().every(seconds(900), Ping {});
                timetable.missed(Missed::RunOnce)
            };
            let (world, gallery) = World::new().await;
            let before = world.start(quarters(), file());
            world.until(901).await;
            before.stop().await;
            assert_eq!(fired(&gallery), [900]);
            world.until(901 + 3600).await;
            let after = world.start(quarters(), file());
            world.until(901 + 3605).await;
            after.stop().await;
            assert_eq!(
                fired(&gallery),
                [900, 4500],
                "one for the four that were missed"
            );
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_that_died_had_fired_is_settled_and_not_fired_again() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let first = world.start(every_second(), None);
            world.until(2).await;
            first.stop().await;
            fired_by_one_that_died(&world, 3).await;
            let second = world.start(every_second(), None);
            world.until(5).await;
            second.stop().await;
            assert_eq!(fired(&gallery), [1, 2, 3, 4, 5]);
            let settled = world.results.ledger().settled_ticks().await;
            let settled = settled.expect("answers");
            assert_eq!(settled["ping"].last.seconds(), T + 5);
        })
        .await;
}

/// As far as a leader comes that dies between firing and settling.
async fn fired_by_one_that_died(world: &World, second: i64) {
    let mut baton = world.broker.baton();
    assert!(baton.take().await.expect("it answers"));
    let published = baton.publish(tick_of_ping(second)).await;
    published.expect("it takes it");
}

async fn stubs(world: &World) -> usize {
    let mut baton = world.broker.baton();
    assert!(baton.take().await.expect("it answers"));
    baton.stubs().await.expect("it answers").len()
}

#[tokio::test(start_paused = true)]
async fn a_stub_that_tells_nothing_is_forgotten() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let first = world.start(every_second(), None);
            world.until(2).await;
            first.stop().await;
            // Its leader died after settling, and before forgetting.
            fired_by_one_that_died(&world, 2).await;
            assert_eq!(stubs(&world).await, 1);
            let second = world.start(every_second(), None);
            world.until(4).await;
            second.stop().await;
            assert_eq!(stubs(&world).await, 0);
            let ticks: Vec<i64> = gallery.shots().keys().map(|(_, tick)| tick - T).collect();
            assert_eq!(ticks, [1, 2, 3, 4]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ended_before_its_tick_was_settled_does_not_stop_the_next() {
    LocalSet::new()
        .run_until(async {
            let timetable = || {
                let every = Timetable::in_utc().every(seconds(10), Ping {});
                every.overlap(Overlap::Skip)
            };
            let (world, gallery) = World::new().await;
            let first = world.start(timetable(), None);
            world.until(11).await;
            first.stop().await;
            world.ends(10).await;
            world.until(21).await;
            fired_by_one_that_died(&world, 20).await;
            let second = world.start(timetable(), None);
            world.until(31).await;
            second.stop().await;
            assert_eq!(fired(&gallery), [10, 20, 30]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_taken_for_a_message_that_never_left_holds_up_nothing() {
    LocalSet::new()
        .run_until(async {
            // Found where the next tick is fired, and where all of it was missed.
            for (every, back, upto, expected) in [(10, 45, 46, 20), (60, 155, 181, 180)] {
                let timetable = || {
                    let every = Timetable::in_utc().every(seconds(every), Ping {});
                    every.overlap(Overlap::Skip)
                };
                let (world, gallery) = World::new().await;
                let first = world.start(timetable(), None);
                world.until(1).await;
                first.stop().await;
                let id = format!("cron:ping:{}", T + i64::try_from(every).expect("small"));
                let id: MessageId = id.parse().expect("an id");
                let ledger = world.results.ledger();
                let taken = ledger.reserve("schedule ping", &id, seconds(100_000)).await;
                taken.expect("answers");
                world.until(back).await;
                let second = world.start(timetable(), None);
                world.until(upto).await;
                second.stop().await;
                assert_eq!(fired(&gallery), [expected], "every {every} s");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_waits_for_an_earlier_run_is_not_missed_while_nobody_leads() {
    LocalSet::new()
        .run_until(async {
            let timetable = || {
                let every = Timetable::in_utc().every(seconds(60), Ping {});
                every.overlap(Overlap::QueueOne)
            };
            let (world, gallery) = World::new().await;
            let first = world.start(timetable(), None);
            world.until(125).await;
            first.stop().await;
            world.until(155).await;
            let second = world.start(timetable(), None);
            world.until(160).await;
            assert_eq!(fired(&gallery), [60], "the run of it goes on");
            world.ends(60).await;
            world.until(163).await;
            second.stop().await;
            assert_eq!(fired(&gallery), [60, 120]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_added_entry_takes_nothing_from_the_timetables_of_its_id() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let running = world.start(every_second(), None);
            world.until(2).await;
            let tasks = world.tasks();
            let add = tasks.schedule("ping", Ping {}).every(seconds(3600));
            add.await.expect("written");
            world.until(5).await;
            assert!(tasks.unschedule("ping").await.expect("answers"));
            world.until(8).await;
            running.stop().await;
            assert_eq!(fired(&gallery), (1..=8).collect::<Vec<_>>());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_once_is_fired_later_if_nobody_ran_and_taken_away() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let ledger = world.results.ledger();
            let entry = format!(
                r#"{{"task":"ping","queue":"{}","at":{},"since":{}}}"#,
                Ping::QUEUE.name(),
                T + 5,
                T + 1
            );
            ledger.add_entry("ping", &entry).await.expect("answers");
            world.until(3600).await;
            let running = world.start(Timetable::in_utc(), None);
            world.until(3601).await;
            running.stop().await;
            assert_eq!(fired(&gallery), [5]);
            let written = ledger.written().await.expect("answers");
            assert!(written.added.is_empty(), "{written:?}");
        })
        .await;
}

/// The message of a tick, as any leader would publish it.
fn tick_of_ping(second: i64) -> Parcel {
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

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_makes_no_double_and_no_storm() {
    LocalSet::new()
        .run_until(async {
            let (world, gallery) = World::new().await;
            let running = world.start(every_second(), None);
            world.until(3).await;
            world.set.store(3600, Ordering::Relaxed);
            world.until(6).await;
            // Half a minute's worth at most counts as late; the hour before it was missed.
            let ahead = fired(&gallery);
            assert_eq!(ahead[..3], [1, 2, 3]);
            assert!(ahead[3..].iter().all(|second| *second > 3570), "{ahead:?}");
            assert!(ahead.len() < 3 + 40, "{ahead:?}");
            world.set.store(-60, Ordering::Relaxed);
            world.until(20).await;
            assert_eq!(
                fired(&gallery),
                ahead,
                "what it shows again was fired, or let go"
            );
            running.stop().await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_counts_the_runs_that_nobody_takes_up() {
    LocalSet::new()
        .run_until(async {
            let (world, _gallery) = World::new().await;
            let vitals = Vitals::new();
            let running = world.start_noting(Timetable::in_utc(), None, &vitals);
            let counted = || vitals.look().scheduler.and_then(|it| it.stuck_runs);
            let ledger = world.results.ledger();
            let run = |token: &str| Run {
                id: MessageId::new(),
                kick: "k".to_owned(),
                is_new: true,
                hop: 0,
                token: token.to_owned(),
                worker: "render@gone:1".to_owned(),
                task: "cut".to_owned(),
            };
            let (first, lease) = (run("first"), seconds(30));
            ledger.begin(&first, lease, None).await.expect("answers");
            let after = lease.as_secs() + TAKEN_UP_WITHIN.as_secs();
            world.until(after - 1).await;
            assert_eq!(counted(), Some(0), "it may still be taken up");
            world.until(after + 60).await;
            assert_eq!(counted(), Some(1));
            let second = Run {
                token: "second".to_owned(),
                ..first
            };
            ledger.begin(&second, lease, None).await.expect("answers");
            world.until(after + 120).await;
            assert_eq!(counted(), Some(0), "somebody runs it");
            running.stop().await;
        })
        .await;
}
