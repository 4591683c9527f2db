//! A scheduler in this process under paused time: overlap, pauses, entries that come and go, and a state file between two lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sapari_runtime::duration::seconds;
use sapari_runtime::ledger::{Run, Schedules};
use sapari_runtime::message::MessageId;
use sapari_runtime::ping::Ping;
use sapari_runtime::schedule::{Missed, Overlap, StateFile, Timetable};
use sapari_runtime::task::Task as _;
use sapari_runtime::upkeep::TAKEN_UP_WITHIN;
use sapari_runtime::vitals::Vitals;
use tokio::task::LocalSet;

use super::world::{ELSEWHERE, T, World, every_second, fired};

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

/// Those that are due with the first tick of a queue do not wait until it is made.
#[tokio::test(start_paused = true)]
async fn a_queue_is_made_before_anything_is_due_there() {
    LocalSet::new()
        .run_until(async {
            let (world, _gallery) = World::new().await;
            // Always due, so that nothing but a pause between two ticks is left for it.
            let running = world.start(every_second(), None);
            world.until(2).await;
            let queue = ELSEWHERE.name();
            let entry = format!(r#"{{"task":"ping","queue":"{queue}","every":"1h"}}"#);
            let ledger = world.results.ledger();
            assert!(world.broker.depth(ELSEWHERE).await.is_err());
            ledger.add_entry("later", &entry).await.expect("answers");
            world.until(5).await;
            let depth = world.broker.depth(ELSEWHERE).await.expect("it is there");
            assert_eq!(depth.ready.iter().sum::<u64>(), 0, "and empty");
            running.stop().await;
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
