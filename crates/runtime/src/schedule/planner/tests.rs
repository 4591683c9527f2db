//! What is fired, by table: after an hour away, through clocks that jump, while an earlier run goes on.

use super::*;
use crate::duration::{hours, minutes, seconds};
use crate::message::Args;
use crate::queue::Queue;
use crate::schedule::When;

/// A full hour, in seconds since 1970.
const T: i64 = 1_800_000_000;

fn entry(every: Duration) -> Entry {
    let when = When::every(every).expect("a period");
    Entry::named("e", when, "t", Queue::named("q"), Args::default()).expect("an entry")
}

fn known(entry: &Entry, last: i64) -> Option<Known> {
    Some(Known {
        last: Tick::at(last),
        of: entry.when.fingerprint(),
    })
}

/// A planner whose entry was settled up to `T`.
fn since_t(entry: Entry) -> Planner {
    let mut planner = Planner::new();
    let known = known(&entry, T);
    assert_eq!(planner.put(entry, known, T * 1000), None);
    planner
}

/// Settles all that is due at so many seconds after `T`: what was fired, how many were missed.
fn settle(planner: &mut Planner, after: i64) -> (Vec<i64>, usize) {
    let (mut fired, mut missed) = (Vec::new(), 0);
    for _ in 0..1000 {
        let due = planner.plan((T + after) * 1000);
        if due.is_empty() {
            return (fired, missed);
        }
        for due in due {
            fired.extend(due.fire.iter().map(|tick| tick.seconds() - T));
            missed += due.missed;
            planner.settled(due.entry.id(), due.last);
        }
    }
    panic!("it never comes to an end");
}

#[test]
fn restarted_after_an_hour_away_each_policy_does_what_it_says() {
    let quarter = [900, 1800, 2700, 3600];
    let table: [(&str, Missed, i64, &[i64], usize); 8] = [
        ("skip", Missed::Skip, 3640, &[], 4),
        (
            "skip, but one is due anyway",
            Missed::Skip,
            3620,
            &[3600],
            3,
        ),
        ("run once", Missed::RunOnce, 3640, &[3600], 3),
        (
            "run once, and one is due anyway",
            Missed::RunOnce,
            3620,
            &[3600],
            3,
        ),
        (
            "run all",
            Missed::RunAll { window: hours(2) },
            3640,
            &quarter,
            0,
        ),
        (
            "run all with a window",
            Missed::RunAll {
                window: minutes(31),
            },
            3640,
            &quarter[1..],
            1,
        ),
        (
            "run all with no window",
            Missed::RunAll {
                window: Duration::ZERO,
            },
            3640,
            &[],
            4,
        ),
        (
            "run all, the last on time",
            Missed::RunAll { window: hours(1) },
            3600,
            &quarter,
            0,
        ),
    ];
    for (name, missed, now, fired, lost) in table {
        let mut planner = since_t(entry(minutes(15)).missed(missed));
        let found = settle(&mut planner, now);
        assert_eq!(found, (fired.to_vec(), lost), "{name}");
        assert_eq!(settle(&mut planner, now), (vec![], 0), "{name}: not again");
    }
}

#[test]
fn a_tick_is_due_until_it_is_settled_whoever_asks_how_often() {
    let planner = since_t(entry(seconds(60)));
    for _ in 0..3 {
        let due = planner.plan((T + 60) * 1000);
        assert_eq!(due.len(), 1);
        assert_eq!(due[0].fire, [Tick::at(T + 60)]);
    }
    assert!(
        planner.plan((T + 60) * 1000 - 1).is_empty(),
        "not too early"
    );
    assert_eq!(planner.next(), Some((T + 60) * 1000));
}

#[test]
fn what_another_scheduler_needs_a_moment_to_take_over_is_late_and_not_missed() {
    let mut planner = since_t(entry(seconds(1)));
    let fired = settle(&mut planner, 12);
    assert_eq!(fired, ((1..=12).collect(), 0));
}

#[test]
fn a_clock_that_jumps_makes_no_double_and_no_storm() {
    let mut planner = since_t(entry(seconds(1)));
    assert_eq!(settle(&mut planner, 5).0, [1, 2, 3, 4, 5]);
    // Put back by a minute: what it shows again was fired.
    for second in -55..=5 {
        assert_eq!(settle(&mut planner, second), (vec![], 0), "at {second}");
    }
    assert_eq!(settle(&mut planner, 6).0, [6]);
    // Put forward by an hour: half a minute's worth at most.
    let (fired, missed) = settle(&mut planner, 3606);
    assert_eq!((fired.len(), missed), (30, 3570));
    assert_eq!(settle(&mut planner, 3606), (vec![], 0));
    // And back again: all that was settled stays so, and somebody can be told.
    assert_eq!(settle(&mut planner, 7), (vec![], 0));
    assert_eq!(planner.ahead((T + 7) * 1000), 1);
    assert_eq!(settle(&mut planner, 3607).0, [3607]);
}

#[test]
fn a_year_away_is_no_storm_either() {
    let all = Missed::RunAll {
        window: hours(24 * 366),
    };
    let planner = since_t(entry(seconds(1)).missed(all));
    let due = planner.plan((T + 365 * 24 * 3600) * 1000);
    assert_eq!(due[0].fire.len(), MOST_AT_ONCE, "a hundred at a time");
    let mut planner = since_t(entry(seconds(1)).missed(Missed::RunOnce));
    let (fired, missed) = settle(&mut planner, 365 * 24 * 3600);
    assert_eq!((fired.len(), missed), (30, MOST_COUNTED));
}

#[test]
fn while_an_earlier_run_goes_on_the_last_tick_waits() {
    let mut planner = since_t(entry(seconds(10)));
    planner.waits("e", (T + 10) * 1000);
    assert!(planner.plan((T + 10) * 1000 + 999).is_empty(), "it waits");
    for second in [11, 19] {
        let due = planner.plan((T + second) * 1000);
        assert_eq!(due[0].fire, [Tick::at(T + 10)]);
        planner.waits("e", (T + second) * 1000);
    }
    let due = planner.plan((T + 95) * 1000);
    assert_eq!(
        (due[0].fire.as_slice(), due[0].overlapped),
        (&[Tick::at(T + 90)][..], 8)
    );
    planner.settled("e", due[0].last);
    assert_eq!(planner.next(), Some((T + 100) * 1000));
}

#[test]
fn a_paused_entry_lets_its_ticks_go_and_does_not_make_up_for_them() {
    let all = Missed::RunAll { window: hours(2) };
    let mut planner = since_t(entry(seconds(10)).missed(all));
    planner.pause("e", true);
    assert_eq!(settle(&mut planner, 3600), (vec![], 0));
    planner.pause("e", false);
    assert_eq!(settle(&mut planner, 3605), (vec![], 0));
    assert_eq!(settle(&mut planner, 3610), (vec![3610], 0));
}

#[test]
fn one_that_is_new_or_whose_times_changed_counts_from_now() {
    let mut planner = Planner::new();
    let begun = planner.put(entry(seconds(10)), None, (T + 3) * 1000);
    assert_eq!(begun, known(&entry(seconds(10)), T + 3));
    assert_eq!(settle(&mut planner, 10), (vec![10], 0));
    let old = known(&entry(seconds(10)), T + 10);
    let changed = entry(seconds(7));
    let begun = planner.put(changed.clone(), old, (T + 3600) * 1000);
    assert_eq!(begun, known(&changed, T + 3600));
    planner.remove("e");
    assert_eq!((planner.ids().count(), planner.next()), (0, None));
}

#[test]
fn jitter_moves_when_it_is_fired_and_not_its_tick() {
    let entry = entry(seconds(60)).jitter(seconds(30));
    let offset = i64::try_from(entry.offset().as_millis()).expect("small");
    assert!(offset > 0);
    let planner = since_t(entry);
    assert!(planner.plan((T + 60) * 1000 + offset - 1).is_empty());
    let due = planner.plan((T + 60) * 1000 + offset);
    assert_eq!(due[0].fire, [Tick::at(T + 60)]);
}

#[test]
fn once_for_now_is_fired_although_now_has_passed() {
    let table = [(0, true), (-1, true), (-29, true), (-30, false), (5, true)];
    for (moment, comes) in table {
        let when = When::at(Tick::at(T + moment));
        let once = Entry::named("e", when, "t", Queue::named("q"), Args::default());
        let mut planner = Planner::new();
        planner.put(once.expect("an entry"), None, T * 1000 + 700);
        let expected = if comes { vec![moment] } else { vec![] };
        assert_eq!(settle(&mut planner, 6), (expected, 0), "{moment}");
    }
}

#[test]
fn once_is_made_up_for_and_then_over() {
    let when = When::at(Tick::at(T + 5));
    let once = Entry::named("e", when, "t", Queue::named("q"), Args::default());
    let mut planner = since_t(once.expect("an entry"));
    assert_eq!(settle(&mut planner, 7200), (vec![5], 0));
    assert_eq!(planner.next(), None);
}
