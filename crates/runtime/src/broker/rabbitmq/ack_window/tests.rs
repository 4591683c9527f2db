//! The ack window by table and by property: a broker is played by a set of what it still holds unacked.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

fn window(prefetch: u16, tags: u64) -> (AckWindow, Instant) {
    let mut window = AckWindow::new(prefetch);
    (1..=tags).for_each(|tag| window.delivered(tag));
    (window, Instant::now())
}

#[test]
fn a_single_message_is_acked_at_once() {
    let (mut window, now) = window(100, 1);
    assert_eq!(window.due(), Due::Never);
    window.finished(1, now);
    assert_eq!(window.due(), Due::Now);
    let settling = window.take(now);
    assert_eq!((settling.up_to, settling.count), (Some(1), 1));
    assert_eq!((window.due(), window.is_empty()), (Due::Never, true));
}

#[test]
fn the_finished_prefix_is_one_ack() {
    let (mut window, now) = window(40, 20);
    for tag in [3, 2, 5, 10, 9, 8, 7, 6, 4] {
        window.finished(tag, now);
    }
    assert_eq!(window.due(), Due::At(now + LINGER), "the first still runs");
    window.finished(1, now);
    assert_eq!(window.due(), Due::Now);
    let settling = window.take(now);
    assert_eq!((settling.up_to, settling.count), (Some(10), 10));
    assert!(settling.singly.is_empty());
}

#[test]
fn the_first_goes_at_once_and_those_after_it_are_collected() {
    let (mut window, now) = window(100, 90);
    window.finished(1, now);
    assert_eq!(window.due(), Due::Now);
    window.take(now);
    (2..=3).for_each(|tag| window.finished(tag, now + MS));
    assert_eq!(window.due(), Due::At(now + PACE));
    (4..=26).for_each(|tag| window.finished(tag, now + MS));
    assert_eq!(window.due(), Due::Now, "a quarter of the window is enough");
    assert_eq!(window.take(now + MS).up_to, Some(26));
}

#[test]
fn what_finished_behind_a_slow_head_is_acked_singly_when_it_has_waited() {
    let (mut window, now) = window(100, 5);
    window.finished(3, now);
    window.finished(5, now + 20 * MS);
    assert_eq!(window.due(), Due::At(now + LINGER));
    let settling = window.take(now + LINGER);
    assert_eq!((settling.up_to, settling.singly), (None, vec![3]));
    assert_eq!(window.due(), Due::At(now + 20 * MS + LINGER));
}

#[test]
fn a_slow_head_does_not_fill_the_prefetch_window_with_what_is_finished() {
    let (mut window, now) = window(100, 100);
    (2..50).for_each(|tag| window.finished(tag, now));
    assert_eq!(window.due(), Due::At(now + LINGER));
    (50..=51).for_each(|tag| window.finished(tag, now));
    assert_eq!(window.due(), Due::Now);
    assert_eq!(window.take(now).singly.len(), 50);
}

#[test]
fn a_head_that_runs_for_ever_does_not_make_the_window_grow() {
    let (mut window, now) = window(10, 1);
    for tag in 2..10_000 {
        window.delivered(tag);
        window.finished(tag, now);
        if window.due().by(now) {
            window.take(now);
        }
        assert!(window.places.len() <= 10);
    }
}

#[test]
fn the_last_of_a_prefix_is_never_one_that_the_broker_forgot() {
    let (mut window, now) = window(100, 3);
    window.finished(2, now);
    assert_eq!(window.take(now + LINGER).singly, [2]);
    window.finished(1, now);
    let settling = window.take(now + LINGER);
    assert_eq!((settling.up_to, settling.count), (Some(1), 1));
}

#[test]
fn one_that_is_handed_back_goes_before_an_ack_that_would_take_it_along() {
    let (mut window, now) = window(100, 3);
    window.returned(2);
    assert_eq!(window.due(), Due::Now);
    window.finished(1, now);
    window.finished(3, now);
    let settling = window.take(now);
    let expected = Settling {
        hand_back: vec![2],
        up_to: Some(3),
        singly: vec![],
        count: 3,
    };
    assert_eq!(settling, expected);
}

#[test]
fn nothing_lingers_in_a_hurry() {
    let (mut window, now) = window(100, 3);
    window.finished(2, now);
    window.hurry();
    assert!(window.due().by(now));
    assert_eq!(window.take(now).singly, [2]);
}

#[test]
fn what_never_came_or_was_settled_is_left_alone() {
    let (mut window, now) = window(100, 2);
    window.finished(7, now);
    window.finished(0, now);
    assert_eq!(window.due(), Due::Never);
    window.finished(1, now);
    window.finished(1, now);
    window.returned(1);
    assert_eq!(window.take(now).count, 1);
    window.finished(1, now);
    assert!(window.is_empty());
}

/// One thing that happens to a window.
#[derive(Debug, Clone)]
enum Event {
    Delivered,
    /// One of those that are held, by chance.
    Finished(prop::sample::Index),
    Returned(prop::sample::Index),
    /// So many milliseconds pass.
    Passes(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Delivered),
        4 => any::<prop::sample::Index>().prop_map(Event::Finished),
        1 => any::<prop::sample::Index>().prop_map(Event::Returned),
        1 => (0u64..80).prop_map(Event::Passes),
    ]
}

/// A broker and a worker, to check the window against: it holds what is unacked and fails on an ack of what it does not know.
struct Model {
    window: AckWindow,
    prefetch: u64,
    now: Instant,
    delivered: u64,
    held: BTreeSet<u64>,
    /// What the broker waits to hear of, with the time at which it finished.
    unacked: BTreeMap<u64, Option<Instant>>,
    returned: BTreeSet<u64>,
    /// Since when nothing before it was held.
    at_the_front: BTreeMap<u64, Instant>,
}

impl Model {
    fn new(prefetch: u16) -> Self {
        Self {
            window: AckWindow::new(prefetch),
            prefetch: prefetch.into(),
            now: Instant::now(),
            delivered: 0,
            held: BTreeSet::new(),
            unacked: BTreeMap::new(),
            returned: BTreeSet::new(),
            at_the_front: BTreeMap::new(),
        }
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Delivered if (self.unacked.len() as u64) < self.prefetch => {
                self.delivered += 1;
                self.held.insert(self.delivered);
                self.unacked.insert(self.delivered, None);
                self.window.delivered(self.delivered);
            }
            Event::Finished(chance) => {
                if let Some(tag) = self.one_held(chance) {
                    self.unacked.insert(tag, Some(self.now));
                    self.window.finished(tag, self.now);
                }
            }
            Event::Returned(chance) => {
                if let Some(tag) = self.one_held(chance) {
                    self.returned.insert(tag);
                    self.window.returned(tag);
                }
            }
            Event::Passes(ms) => self.now += *ms as u32 * MS,
            Event::Delivered => {}
        }
    }

    fn one_held(&mut self, chance: &prop::sample::Index) -> Option<u64> {
        let tags: Vec<u64> = self.held.iter().copied().collect();
        let tag = (!tags.is_empty()).then(|| *chance.get(&tags))?;
        self.held.remove(&tag);
        Some(tag)
    }

    /// What the task that sends would do now.
    fn sends(&mut self) {
        if !self.window.due().by(self.now) {
            return;
        }
        let settling = self.window.take(self.now);
        let before = self.unacked.len();
        for tag in settling.hand_back {
            assert!(self.returned.remove(&tag), "{tag} was not handed back");
            self.unacked.remove(&tag).expect("the broker still has it");
        }
        if let Some(up_to) = settling.up_to {
            assert!(self.unacked.contains_key(&up_to), "unknown tag {up_to}");
            let rest = self.unacked.split_off(&(up_to + 1));
            let acked = std::mem::replace(&mut self.unacked, rest);
            assert!(acked.values().all(Option::is_some), "unfinished: {acked:?}");
        }
        for tag in settling.singly {
            let acked = self.unacked.remove(&tag).expect("acked twice");
            assert!(acked.is_some(), "{tag} is not finished");
        }
        assert_eq!(settling.count, before - self.unacked.len());
        assert!(settling.count > 0, "due, and nothing to send");
    }

    fn nobody_waits_for_long(&mut self) {
        assert!(self.returned.is_empty());
        let finished = self
            .unacked
            .iter()
            .filter_map(|(tag, at)| Some((*tag, (*at)?)));
        let finished: Vec<_> = finished.collect();
        for (tag, at) in &finished {
            assert!(*at + LINGER > self.now, "{tag} has waited for too long");
            if self.held.first().is_some_and(|held| tag < held) {
                let since = *self.at_the_front.entry(*tag).or_insert(self.now);
                assert!(
                    since + PACE > self.now,
                    "{tag} at the front has waited for too long"
                );
            }
        }
        assert!(
            self.held.is_empty() <= finished.is_empty(),
            "idle, and one waits"
        );
        let most = (self.prefetch / 2).max(1) as usize;
        assert!(
            finished.len() < most.max(2),
            "the window fills up with what is finished"
        );
        assert_eq!(self.window.is_empty(), finished.is_empty());
    }
}

proptest! {
    #[test]
    fn every_finished_tag_is_acked_once_and_none_before(
        prefetch in 1u16..40,
        events in prop::collection::vec(event(), 1..300),
    ) {
        let mut model = Model::new(prefetch);
        for event in &events {
            model.happens(event);
            model.sends();
            model.nobody_waits_for_long();
        }
        // All that is left finishes, and then the broker has nothing that it waits for.
        for tag in std::mem::take(&mut model.held) {
            model.unacked.insert(tag, Some(model.now));
            model.window.finished(tag, model.now);
        }
        model.sends();
        prop_assert!(model.unacked.is_empty());
        prop_assert_eq!(model.window.due(), Due::Never);
    }
}
