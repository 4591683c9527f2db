//! What a leader leaves behind when it dies, under paused time: stubs, keys of runs, ticks that wait.

use sapari_runtime::duration::seconds;
use sapari_runtime::message::MessageId;
use sapari_runtime::ping::Ping;
use sapari_runtime::schedule::{Overlap, Timetable};
use tokio::task::LocalSet;

use super::world::{T, World, every_second, fired, fired_by_one_that_died, stubs};

/// Every so often, and what becomes of a tick while an earlier run goes on.
fn every(time: u64, overlap: Overlap) -> Timetable {
    let timetable = Timetable::in_utc().every(seconds(time), Ping {});
    timetable.overlap(overlap)
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
            let timetable = || every(10, Overlap::Skip);
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
            for (period, back, upto, expected) in [(10, 45, 46, 20), (60, 155, 181, 180)] {
                let timetable = || every(period, Overlap::Skip);
                let (world, gallery) = World::new().await;
                let first = world.start(timetable(), None);
                world.until(1).await;
                first.stop().await;
                let id = format!("cron:ping:{}", T + i64::try_from(period).expect("small"));
                let id: MessageId = id.parse().expect("an id");
                let ledger = world.results.ledger();
                let taken = ledger.reserve("schedule ping", &id, seconds(100_000)).await;
                taken.expect("answers");
                world.until(back).await;
                let second = world.start(timetable(), None);
                world.until(upto).await;
                second.stop().await;
                assert_eq!(fired(&gallery), [expected], "every {period} s");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn of_the_ticks_that_wait_the_last_is_fired_when_the_run_ends_while_nobody_leads() {
    LocalSet::new()
        .run_until(async {
            // One that waits for long enough to count as missed otherwise; and several.
            for (period, stopped, ended, expected) in [(60, 125, 155, 120), (5, 22, 23, 25)] {
                let timetable = || every(period, Overlap::QueueOne);
                let (world, gallery) = World::new().await;
                let first = world.start(timetable(), None);
                world.until(stopped).await;
                first.stop().await;
                let run = i64::try_from(period).expect("small");
                world.ends(run).await;
                world.until(ended + 3).await;
                let second = world.start(timetable(), None);
                world.until(ended + 4).await;
                second.stop().await;
                assert_eq!(fired(&gallery), [run, expected], "every {period} s");
            }
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_waits_for_an_earlier_run_is_not_missed_while_nobody_leads() {
    LocalSet::new()
        .run_until(async {
            let timetable = || every(60, Overlap::QueueOne);
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
