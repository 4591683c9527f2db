//! The width by table and by property: a level is played by what is settled, and by what waits.

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn width(few: u16, many: u16) -> (Width, Instant) {
    let now = Instant::now();
    let mut width = Width::fixed(few, now);
    width.may_grow_to(many);
    (width, now)
}

/// Tasks that take this long, one after the other in `slots`, settled as they end for so long.
fn run(width: &mut Width, now: &mut Instant, task: Duration, slots: usize, lasting: Duration) {
    let end = *now + lasting;
    while *now < end {
        *now += task;
        width.settled(slots, *now);
    }
}

#[test]
fn it_is_as_wide_as_what_is_finished_within_a_moment() {
    let micros = Duration::from_micros;
    let table = [
        // A task, slots, few, many: and how wide it becomes.
        (micros(400), 1, 2, 601, 75),
        (micros(20), 1, 2, 601, 601),
        (micros(3000), 1, 2, 601, 10),
        (micros(10_000), 1, 2, 601, 2),
        (Duration::from_secs(60), 1, 2, 601, 2),
        (micros(2000), 16, 144, 616, 144),
        (micros(200), 16, 144, 616, 616),
        (micros(20), 1, 65, 65, 65),
    ];
    for (task, slots, few, many, expected) in table {
        let (mut width, mut now) = width(few, many);
        run(&mut width, &mut now, task, slots, 500 * MS);
        assert_eq!(width.now(), expected, "{slots} slots, {task:?}");
    }
}

#[test]
fn a_burst_after_a_long_silence_is_measured_by_itself() {
    let (mut width, mut now) = width(2, 601);
    now += Duration::from_secs(3600);
    run(&mut width, &mut now, MS / 10, 1, 50 * MS);
    assert_eq!(width.now(), 300);
}

#[test]
fn one_that_waits_narrows_it_at_once_and_for_longer_each_time() {
    let (mut width, mut now) = width(2, 601);
    for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
        run(&mut width, &mut now, MS / 10, 1, 200 * MS);
        assert!(width.is_wide(), "before a rest of {rest} s");
        width.waited(now);
        assert_eq!(width.now(), 2);
        let rest = Duration::from_secs(rest);
        run(&mut width, &mut now, MS / 10, 1, rest - 20 * MS);
        assert!(!width.is_wide(), "within a rest of {rest:?}");
        run(&mut width, &mut now, MS / 10, 1, 20 * MS);
    }
    now += 2 * LONGEST_REST;
    run(&mut width, &mut now, MS / 10, 1, 200 * MS);
    width.waited(now);
    run(&mut width, &mut now, MS / 10, 1, FIRST_REST + LOOK);
    assert!(width.is_wide(), "what was calm for long is forgiven");
}

#[derive(Debug, Clone)]
enum Event {
    Settled(usize),
    Waited,
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let event = prop_oneof![
        8 => (1..200_usize).prop_map(Event::Settled),
        1 => Just(Event::Waited),
    ];
    prop::collection::vec((0..30_u64, event), 0..2000)
}

proptest! {
    #[test]
    fn it_never_goes_to_and_fro(few in 1..200_u16, more in 0..600_u16, events in events()) {
        let (mut width, begun) = width(few, few + more);
        let (mut now, mut narrowed, mut changes) = (begun, None::<Instant>, 0);
        for (millis, event) in events {
            now += Duration::from_millis(millis);
            let before = width.now();
            match event {
                Event::Settled(count) => width.settled(count, now),
                Event::Waited => width.waited(now),
            }
            prop_assert!((few..=few + more).contains(&width.now()));
            if width.now() > before {
                prop_assert!(width.now() >= before.saturating_mul(2).min(few + more));
                let rested = narrowed.is_none_or(|at| now - at >= FIRST_REST);
                prop_assert!(rested, "wider {:?} after", narrowed.map(|at| now - at));
            }
            if width.now() < before {
                prop_assert_eq!(width.now(), few);
                narrowed = Some(now);
                changes += 1;
            }
        }
        // Rests of 1, 2, 4 .. 60 seconds, and one before the first.
        let seconds = (now - begun).as_secs_f64();
        prop_assert!(f64::from(changes) <= 2.0 + (seconds + 1.0).log2().min(7.0) + seconds / 60.0);
    }
}
