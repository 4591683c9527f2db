//! Which ticks are to be fired now: pure, the clock is handed in. Asking changes nothing, so that a wake-up too many, too late or
//! too early does no harm: a tick is due until it is [`settled`](Planner::settled), and never again. What a clock that was put
//! back shows again is before the last settled tick, and so not due.
//!
//! The rule for what was missed: a tick up to half a minute late is simply late, and is fired. Older ones are missed, and the entry
//! says what becomes of them. While a tick waits for an earlier run to end, neither age counts: the last one due is fired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Missed};
use super::when::Tick;
use crate::queue::Queue;

/// How late a tick may be fired without counting as missed: more than it takes another scheduler to take over. What is exactly so late
/// is on time.
const ON_TIME: Duration = Duration::from_secs(30);
const ONE_SECOND: Duration = Duration::from_secs(1);
/// The most ticks of one entry that are fired at a time; the rest follow at once, after others had their turn.
const MOST_AT_ONCE: usize = 100;
/// As far as missed ticks are counted.
const MOST_COUNTED: usize = 1000;
/// So many counted ticks are as much work as one that is fired.
const COUNTED_PER_FIRED: usize = 20;
/// What is settled so far ahead was settled by a clock that was wrong: to wait for it would be silence for a day and more. Should one
/// of those ticks be fired a second time, its message has the id and the kick of the first.
const FAR_AHEAD: i64 = 24 * 3600;
/// How soon an entry that waits for its earlier run, or was refused, is looked at again.
const LOOK_AGAIN: i64 = 1000;

/// What is written down of an entry: up to where its ticks are settled, and of which [`When`](super::When) they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The last settled tick, or the moment from which the entry counts.
    pub last: Tick,
    /// The fingerprint of when it was due.
    pub of: u64,
    /// Whether a tick after it waits for an earlier run to end: it does so under the next leader, too.
    pub waits: bool,
}

/// Ticks of one entry that are to be settled now.
#[derive(Debug, Clone)]
pub struct Due {
    /// The entry.
    pub entry: Arc<Entry>,
    /// What is to be fired, the earliest first; nothing when all of it is only let go.
    pub fire: Vec<Tick>,
    /// How many are let go because they were missed, as far as they are counted.
    pub missed: usize,
    /// How many are let go because an earlier run went on.
    pub overlapped: usize,
    /// The last settled tick before.
    pub since: Tick,
    /// The last settled tick once this is done.
    pub last: Tick,
    /// The ticks after `since` whose messages are in the broker already.
    pub arrived: BTreeSet<Tick>,
}

impl Due {
    /// Whether this tick is neither settled nor fired, whatever stands for it elsewhere.
    #[must_use]
    pub fn was_never_fired(&self, tick: Tick) -> bool {
        tick > self.since && !self.arrived.contains(&tick)
    }
}

/// Entries, and up to where their ticks are settled.
#[derive(Debug, Default)]
pub struct Planner {
    entries: BTreeMap<String, Planned>,
    /// When to look at which entry, in milliseconds since 1970.
    agenda: BTreeSet<(i64, String)>,
    /// Ticks that are not settled although their messages are in the broker, by entry; none of an entry that is not there.
    arrived: BTreeMap<String, BTreeSet<Tick>>,
    /// Entries of which something was not taken. They are looked at again later than they are due.
    refused: BTreeSet<String>,
}

#[derive(Debug)]
struct Planned {
    entry: Arc<Entry>,
    last: Tick,
    paused: bool,
    /// Not to be looked at before then.
    not_before: Option<i64>,
    /// Whether it waits for an earlier run.
    waits: bool,
    /// The tick after `last`: kept, because to walk a pattern is the dearest of all this, and firing waits for it.
    next: Option<Tick>,
    /// Its place in the agenda.
    at: Option<i64>,
}

impl Planner {
    /// Nothing planned yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry, or replaces the one of its id. One of which nothing is known, or whose times have changed, counts from
    /// `now`, or from just before its only tick if that has just passed; that is returned, to be written down before the first tick.
    pub fn put(&mut self, entry: Entry, known: Option<Known>, now: i64) -> Option<Known> {
        let of = entry.when.fingerprint();
        let here = Tick::at(now.div_euclid(1000));
        let counts = |known: &Known| known.of == of && known.last <= here.forward(FAR_AHEAD);
        let known = known.filter(counts);
        let begun = match known {
            Some(_) => None,
            // Its old last tick may lie ahead, where clocks were wrong; that is no reason to wait for it.
            None => Some(Known {
                last: begins(&entry, here),
                of,
                waits: false,
            }),
        };
        let counts_from = known.or(begun).expect("one of the two");
        let id = entry.id.clone();
        let before = self.take_out(&id);
        let before = before.filter(|it| begun.is_none() && it.entry.when.fingerprint() == of);
        if before.is_none() {
            self.arrived.remove(&id);
        }
        let planned = Planned {
            entry: Arc::new(entry),
            last: counts_from.last,
            paused: before.as_ref().is_some_and(|it| it.paused),
            not_before: before.as_ref().and_then(|it| it.not_before),
            waits: before.map_or(counts_from.waits, |it| it.waits),
            next: None,
            at: None,
        };
        self.entries.insert(id.clone(), planned);
        self.look_later(&id);
        begun
    }

    /// Takes an entry away.
    pub fn remove(&mut self, id: &str) {
        self.take_out(id);
        self.arrived.remove(id);
    }

    fn take_out(&mut self, id: &str) -> Option<Planned> {
        self.refused.remove(id);
        let planned = self.entries.remove(id)?;
        if let Some(at) = planned.at {
            self.agenda.remove(&(at, id.to_owned()));
        }
        Some(planned)
    }

    /// A paused entry lets its ticks go; one that comes only once is held until it goes on.
    pub fn pause(&mut self, id: &str, paused: bool) {
        if let Some(planned) = self.entries.get_mut(id)
            && planned.paused != paused
        {
            planned.paused = paused;
            self.look_later(id);
        }
    }

    /// The message of a tick is in the broker: the tick is not fired any more, only settled. Nothing, when it is settled already, or of
    /// no entry.
    pub fn arrived(&mut self, id: &str, tick: Tick) {
        let unsettled = |planned: &Planned| planned.last < tick;
        if self.entries.get(id).is_some_and(unsettled) {
            self.arrived.entry(id.to_owned()).or_default().insert(tick);
        }
    }

    /// Whether there are ticks whose messages are in the broker and that are not settled.
    #[must_use]
    pub fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Whether an entry will never be due again.
    #[must_use]
    pub fn is_over(&self, id: &str) -> bool {
        let over = |planned: &Planned| planned.entry.when.is_once() && planned.next.is_none();
        self.entries.get(id).is_some_and(over)
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The ids of all entries.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The queues that entries fire into.
    #[must_use]
    pub fn queues(&self) -> BTreeSet<Queue> {
        let queues = self.entries.values().map(|planned| planned.entry.queue);
        queues.collect()
    }

    /// An entry, and up to where its ticks are settled.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<(&Arc<Entry>, Tick)> {
        let planned = self.entries.get(id)?;
        Some((&planned.entry, planned.last))
    }

    /// What is due at `now`, in milliseconds since 1970; the earliest first.
    #[must_use]
    pub fn plan(&self, now: i64) -> Vec<Due> {
        self.plan_some(now, usize::MAX)
    }

    /// The first of it, once it is as much work as firing so many ticks.
    #[must_use]
    pub fn plan_some(&self, now: i64, most: usize) -> Vec<Due> {
        let due = self.agenda.iter().take_while(|(at, _)| *at <= now);
        let due = due.filter_map(|(_, id)| self.due(id, now));
        let mut work = 0;
        let enough = |due: &Due| {
            let more = work < most;
            work += due.fire.len().max(1) + due.missed / COUNTED_PER_FIRED;
            more
        };
        due.take_while(enough).collect()
    }

    fn due(&self, id: &str, now: i64) -> Option<Due> {
        static NONE: BTreeSet<Tick> = BTreeSet::new();
        let arrived = self.arrived.get(id).unwrap_or(&NONE);
        self.entries.get(id)?.due(now, arrived)
    }

    /// The ticks of an entry up to this one have been fired or let go.
    pub fn settled(&mut self, id: &str, last: Tick) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.last = planned.last.max(last);
            planned.waits = false;
            planned.not_before = None;
            let last = planned.last;
            self.refused.remove(id);
            self.look_later(id);
            if let Some(arrived) = self.arrived.get_mut(id) {
                arrived.retain(|tick| *tick > last);
                if arrived.is_empty() {
                    self.arrived.remove(id);
                }
            }
        }
    }

    /// The entry's earlier run goes on: it is looked at again in a moment, and then its last tick counts. Gives what is to be written
    /// down of it, if that is new.
    pub fn waits(&mut self, id: &str, now: i64) -> Option<Known> {
        let planned = self.entries.get_mut(id)?;
        let is_new = !std::mem::replace(&mut planned.waits, true);
        self.refused.remove(id);
        planned.not_before = Some(now + LOOK_AGAIN);
        let known = Known {
            last: planned.last,
            of: planned.entry.when.fingerprint(),
            waits: true,
        };
        self.look_later(id);
        is_new.then_some(known)
    }

    /// The broker did not take all of it: it is looked at again in a moment.
    pub fn refused(&mut self, id: &str, now: i64) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.not_before = Some(now + LOOK_AGAIN);
            self.refused.insert(id.to_owned());
            self.look_later(id);
        }
    }

    /// When to look again, in milliseconds since 1970.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// When the earliest tick is or was due, in milliseconds since 1970, also of entries that are refused. One that waits for an earlier
    /// run is not late.
    #[must_use]
    pub fn earliest(&self) -> Option<i64> {
        let refused = self.refused.iter().filter_map(|id| self.entries.get(id));
        let due = refused.filter_map(Planned::due_at);
        due.chain(self.next()).min()
    }

    /// How many entries have a last tick that lies well ahead of `now`: clocks were wrong, now or then.
    #[must_use]
    pub fn ahead(&self, now: i64) -> usize {
        let ahead = |it: &&Planned| it.last.seconds() * 1000 > now + 60_000;
        self.entries.values().filter(ahead).count()
    }

    fn look_later(&mut self, id: &str) {
        let Some(planned) = self.entries.get_mut(id) else {
            return;
        };
        if let Some(at) = planned.at {
            self.agenda.remove(&(at, id.to_owned()));
        }
        planned.next = planned.entry.when.next(planned.last);
        planned.at = planned.next_look();
        if let Some(at) = planned.at {
            self.agenda.insert((at, id.to_owned()));
        }
    }
}

/// From when an entry counts that is first seen here: from when it was added, if that is known. What is meant for now may have passed by
/// a moment when it is.
fn begins(entry: &Entry, here: Tick) -> Tick {
    let since = entry.since.map_or(here, |since| since.min(here));
    let just_passed = |moment: &Tick| *moment >= since.back(ON_TIME);
    let moment = entry.when.moment().filter(just_passed);
    moment.map_or(since, |moment| since.min(moment.back(ONE_SECOND)))
}

impl Planned {
    /// When its next tick is due.
    fn due_at(&self) -> Option<i64> {
        let next = self.next.filter(|_| !self.is_held())?;
        let at = next.seconds().saturating_mul(1000);
        Some(at.saturating_add(self.offset()))
    }

    fn next_look(&self) -> Option<i64> {
        let at = self.due_at()?;
        Some(self.not_before.map_or(at, |until| until.max(at)))
    }

    fn offset(&self) -> i64 {
        i64::try_from(self.entry.offset().as_millis()).unwrap_or(i64::MAX)
    }

    fn due(&self, now: i64, arrived: &BTreeSet<Tick>) -> Option<Due> {
        // Jitter moves all of an entry's ticks by the same time: it is as if it lived a little later.
        let upto = Tick::at(now.saturating_sub(self.offset()).div_euclid(1000));
        if upto <= self.last || self.is_held() {
            return None;
        }
        let mut due = self.due_to_all(upto)?;
        let late = upto.back(ON_TIME + ONE_SECOND);
        let counted = |tick: &&Tick| **tick <= late && !due.fire.contains(tick);
        let not_missed = arrived.iter().filter(counted).count();
        due.missed = due.missed.saturating_sub(not_missed);
        due.fire.retain(|tick| !arrived.contains(tick));
        due.arrived.clone_from(arrived);
        Some(due)
    }

    /// Whether it is kept until it goes on: what comes only once is not let go by a pause.
    fn is_held(&self) -> bool {
        self.paused && self.entry.when.is_once()
    }

    /// What is due up to a tick, as if no message had arrived yet.
    fn due_to_all(&self, upto: Tick) -> Option<Due> {
        if self.paused {
            return Some(self.let_go(upto));
        }
        if self.waits {
            return self.the_last_one(upto);
        }
        if self.next == Some(upto) {
            return Some(self.just_one(upto));
        }
        let late = upto.back(ON_TIME + ONE_SECOND).max(self.last);
        let (mut fire, missed) = self.made_up_for(late, upto);
        fire.extend(self.entry.when.between(late, upto));
        let last = fire.get(MOST_AT_ONCE - 1).or(fire.last()).copied();
        fire.truncate(MOST_AT_ONCE);
        let last = last.or_else(|| (missed > 0).then_some(late))?;
        Some(Due {
            fire,
            missed,
            ..self.due_upto(last)
        })
    }

    /// Which ticks up to `late` are fired after all, and how many are not.
    fn made_up_for(&self, late: Tick, upto: Tick) -> (Vec<Tick>, usize) {
        let when = &self.entry.when;
        match self.entry.missed {
            Missed::Skip => (Vec::new(), self.count(self.last, late)),
            Missed::RunOnce => {
                let missed = self.count(self.last, late);
                // One that is due anyway stands for them.
                let stands = when.next(late).is_some_and(|tick| tick <= upto);
                match when.latest(self.last, late).filter(|_| !stands) {
                    Some(tick) => (vec![tick], missed.saturating_sub(1)),
                    None => (Vec::new(), missed),
                }
            }
            Missed::RunAll { window } => {
                let oldest = upto.back(window.saturating_add(ONE_SECOND));
                let from = oldest.max(self.last).min(late);
                let missed = self.count(self.last, from);
                let within = when.between(from, late).take(MOST_AT_ONCE);
                (within.collect(), missed)
            }
        }
    }

    fn the_last_one(&self, upto: Tick) -> Option<Due> {
        let tick = self.entry.when.latest(self.last, upto)?;
        Some(Due {
            fire: vec![tick],
            overlapped: self.count(self.last, tick).saturating_sub(1),
            ..self.due_upto(tick)
        })
    }

    fn just_one(&self, tick: Tick) -> Due {
        Due {
            fire: vec![tick],
            ..self.due_upto(tick)
        }
    }

    fn let_go(&self, upto: Tick) -> Due {
        self.due_upto(upto)
    }

    fn due_upto(&self, last: Tick) -> Due {
        Due {
            entry: Arc::clone(&self.entry),
            fire: Vec::new(),
            missed: 0,
            overlapped: 0,
            since: self.last,
            last,
            arrived: BTreeSet::new(),
        }
    }

    fn count(&self, after: Tick, upto: Tick) -> usize {
        let ticks = self.entry.when.between(after, upto);
        ticks.take(MOST_COUNTED).count()
    }
}

#[cfg(test)]
mod tests;
