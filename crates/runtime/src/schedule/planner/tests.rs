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
        waits: false,
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
fn one_that_is_exactly_as_old_as_the_window_is_in_it() {
    for (window, fired) in [
        (1840, [1800, 2700, 3600].to_vec()),
        (1839, [2700, 3600].to_vec()),
    ] {
        let window = seconds(window);
        let mut planner = since_t(entry(minutes(15)).missed(Missed::RunAll { window }));
        assert_eq!(settle(&mut planner, 3640).0, fired, "{window:?}");
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
    assert_eq!(
        (fired.len(), missed),
        (31, MOST_COUNTED),
        "as far as it is counted"
    );
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
    assert_eq!((fired.len(), missed), (31, MOST_COUNTED));
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
    let table = [(0, true), (-1, true), (-30, true), (-31, false), (5, true)];
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

fn once(moment: i64) -> Entry {
    let when = When::at(Tick::at(T + moment));
    Entry::named("e", when, "t", Queue::named("q"), Args::default()).expect("an entry")
}

#[test]
fn what_has_arrived_is_settled_and_neither_fired_nor_missed() {
    let arrived = |settled: &[i64]| {
        let mut planner = since_t(entry(seconds(10)));
        for second in settled {
            planner.arrived("e", Tick::at(T + second));
        }
        planner
    };
    let mut planner = arrived(&[0, -10]);
    assert!(!planner.has_arrived(), "those are settled");
    planner.arrived("other", Tick::at(T + 10));
    assert!(!planner.has_arrived(), "that is of no entry");
    for (settled, now, fired, missed) in [
        (&[10][..], 15, &[][..], 0),
        (&[10], 25, &[20], 0),
        (&[20], 25, &[10], 0),
        (&[10, 20], 60, &[30, 40, 50, 60], 0),
        (&[20], 60, &[30, 40, 50, 60], 1),
        (&[10, 60], 60, &[30, 40, 50], 1),
    ] {
        let mut planner = arrived(settled);
        assert_eq!(
            settle(&mut planner, now),
            (fired.to_vec(), missed),
            "{settled:?} at {now}"
        );
        assert!(!planner.has_arrived(), "{settled:?} at {now}");
        assert_eq!(
            planner.get("e").expect("it is there").1,
            Tick::at(T + now / 10 * 10)
        );
    }
    let once_more = Missed::RunOnce;
    let mut planner = since_t(entry(seconds(10)).missed(once_more));
    planner.arrived("e", Tick::at(T + 20));
    let due = planner.plan((T + 25) * 1000).remove(0);
    let never = [0, 10, 20, 30].map(|second| due.was_never_fired(Tick::at(T + second)));
    assert_eq!(never, [false, true, false, true]);
}

#[test]
fn what_is_refused_is_looked_at_later_and_stays_overdue() {
    let mut planner = since_t(entry(seconds(10)));
    let due = (T + 10) * 1000;
    assert_eq!(planner.earliest(), Some(due));
    planner.refused("e", due + 90_000);
    assert_eq!(
        (planner.next(), planner.earliest()),
        (Some(due + 91_000), Some(due))
    );
    planner.waits("e", due + 91_000);
    assert_eq!(
        planner.earliest(),
        planner.next(),
        "it is not late, it waits"
    );
    planner.refused("e", due + 92_000);
    planner.settled("e", Tick::at(T + 100));
    assert_eq!(planner.earliest(), Some((T + 110) * 1000));
}

#[test]
fn what_waits_or_has_arrived_is_known_after_an_entry_is_written_anew_for_the_same_times() {
    let mut planner = since_t(entry(seconds(10)));
    planner.arrived("e", Tick::at(T + 10));
    let waits = planner.waits("e", T * 1000).expect("it is new");
    assert!(waits.waits && waits.last == Tick::at(T));
    assert_eq!(planner.waits("e", T * 1000), None, "it is written down");
    let last = planner.get("e").map(|(entry, last)| Known {
        last,
        of: entry.when.fingerprint(),
        waits: false,
    });
    planner.put(entry(seconds(10)), last, T * 1000);
    assert!(planner.has_arrived());
    let due = planner.plan((T + 95) * 1000);
    assert_eq!(
        (due[0].fire.as_slice(), due[0].overlapped),
        (&[Tick::at(T + 90)][..], 8)
    );
    planner.put(entry(seconds(7)), last, T * 1000);
    assert!(!planner.has_arrived(), "other times, other ticks");
}

#[test]
fn once_is_not_lost_when_nobody_ran_or_while_it_is_paused() {
    let mut planner = Planner::new();
    let added = Entry {
        since: Some(Tick::at(T)),
        ..once(5)
    };
    planner.put(added, None, (T + 7200) * 1000);
    planner.pause("e", true);
    assert_eq!(
        (planner.next(), settle(&mut planner, 7200)),
        (None, (vec![], 0))
    );
    planner.pause("e", false);
    assert_eq!(settle(&mut planner, 7200), (vec![5], 0));
    assert!(planner.is_over("e"));
    let mut planner = Planner::new();
    planner.put(once(-60), None, T * 1000);
    assert!(
        planner.is_over("e"),
        "its time had passed when it was added"
    );
}

#[test]
fn an_added_entry_counts_from_when_it_was_added() {
    let all = Missed::RunAll { window: hours(1) };
    let added = Entry {
        since: Some(Tick::at(T)),
        ..entry(minutes(15)).missed(all)
    };
    let mut planner = Planner::new();
    planner.put(added, None, (T + 2000) * 1000);
    assert_eq!(settle(&mut planner, 2000), (vec![900, 1800], 0));
}

#[test]
fn what_was_settled_more_than_a_day_ahead_is_not_waited_for() {
    for (ahead, fired) in [(23, vec![]), (25, vec![10])] {
        let mut planner = Planner::new();
        let known = known(&entry(seconds(10)), T + ahead * 3600);
        planner.put(entry(seconds(10)), known, T * 1000);
        assert_eq!(settle(&mut planner, 10).0, fired, "{ahead} hours");
    }
}

#[test]
fn no_time_is_so_late_that_it_becomes_early() {
    let last = entry(seconds(60)).jitter(Duration::MAX);
    let mut planner = Planner::new();
    planner.put(last, None, T * 1000);
    planner.put(once(i64::MAX - T).jitter(hours(1)), None, T * 1000);
    assert!(planner.next().is_none_or(|at| at > T * 1000));
}
