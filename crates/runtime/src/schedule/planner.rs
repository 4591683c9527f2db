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

/// How late a tick may be fired without counting as missed: more than it takes another scheduler to take over.
const ON_TIME: Duration = Duration::from_secs(30);
/// The most ticks of one entry that are fired at a time; the rest follow at once, after others had their turn.
const MOST_AT_ONCE: usize = 100;
/// As far as missed ticks are counted.
const MOST_COUNTED: usize = 10_000;
/// How soon an entry that waits for its earlier run, or was refused, is looked at again.
const LOOK_AGAIN: i64 = 1000;

/// What is written down of an entry: up to where its ticks are settled, and of which [`When`](super::When) they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// The last settled tick, or the moment from which the entry counts.
    pub last: Tick,
    /// The fingerprint of when it was due.
    pub of: u64,
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
    /// The last settled tick once this is done.
    pub last: Tick,
}

/// Entries, and up to where their ticks are settled.
#[derive(Debug, Default)]
pub struct Planner {
    entries: BTreeMap<String, Planned>,
    /// When to look at which entry, in milliseconds since 1970.
    agenda: BTreeSet<(i64, String)>,
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
        let (last, begun) = match known {
            Some(known) if known.of == of => (known.last, None),
            // Its old last tick may lie ahead, where clocks were wrong; that is no reason to wait for it.
            _ => {
                let last = begins(&entry, here);
                (last, Some(Known { last, of }))
            }
        };
        self.remove(entry.id.as_str());
        let planned = Planned {
            entry: Arc::new(entry),
            last,
            paused: false,
            not_before: None,
            waits: false,
            at: None,
        };
        let id = planned.entry.id.clone();
        self.entries.insert(id.clone(), planned);
        self.look_later(&id);
        begun
    }

    /// Takes an entry away.
    pub fn remove(&mut self, id: &str) {
        if let Some(planned) = self.entries.remove(id)
            && let Some(at) = planned.at
        {
            self.agenda.remove(&(at, id.to_owned()));
        }
    }

    /// A paused entry lets its ticks go.
    pub fn pause(&mut self, id: &str, paused: bool) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.paused = paused;
        }
    }

    /// The ids of all entries.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
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

    /// The first of it, once it is so many ticks or more.
    #[must_use]
    pub fn plan_some(&self, now: i64, most: usize) -> Vec<Due> {
        let due = self.agenda.iter().take_while(|(at, _)| *at <= now);
        let due = due.filter_map(|(_, id)| self.entries.get(id)?.due(now));
        let mut ticks = 0;
        let enough = |due: &Due| {
            let more = ticks < most;
            ticks += due.fire.len().max(1);
            more
        };
        due.take_while(enough).collect()
    }

    /// The ticks of an entry up to this one have been fired or let go.
    pub fn settled(&mut self, id: &str, last: Tick) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.last = planned.last.max(last);
            planned.waits = false;
            planned.not_before = None;
            self.look_later(id);
        }
    }

    /// The entry's earlier run goes on: it is looked at again in a moment, and then its last tick counts.
    pub fn waits(&mut self, id: &str, now: i64) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.waits = true;
            planned.not_before = Some(now + LOOK_AGAIN);
            self.look_later(id);
        }
    }

    /// The broker did not take all of it: it is looked at again in a moment.
    pub fn refused(&mut self, id: &str, now: i64) {
        if let Some(planned) = self.entries.get_mut(id) {
            planned.not_before = Some(now + LOOK_AGAIN);
            self.look_later(id);
        }
    }

    /// When the next one is due, in milliseconds since 1970.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        self.agenda.first().map(|(at, _)| *at)
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
        planned.at = planned.next_look();
        if let Some(at) = planned.at {
            self.agenda.insert((at, id.to_owned()));
        }
    }
}

/// From when an entry counts that is first seen here. What is meant for now may have passed by a moment when it is.
fn begins(entry: &Entry, here: Tick) -> Tick {
    let just_passed = |moment: &Tick| *moment > here.back(ON_TIME);
    let moment = entry.when.moment().filter(just_passed);
    moment.map_or(here, |moment| here.min(Tick::at(moment.seconds() - 1)))
}

impl Planned {
    fn next_look(&self) -> Option<i64> {
        let next = self.entry.when.next(self.last)?;
        let at = next.seconds().saturating_mul(1000) + self.offset();
        Some(self.not_before.map_or(at, |until| until.max(at)))
    }

    fn offset(&self) -> i64 {
        i64::try_from(self.entry.offset().as_millis()).unwrap_or(i64::MAX)
    }

    fn due(&self, now: i64) -> Option<Due> {
        // Jitter moves all of an entry's ticks by the same time: it is as if it lived a little later.
        let upto = Tick::at(now.saturating_sub(self.offset()).div_euclid(1000));
        if upto <= self.last {
            return None;
        }
        if self.paused {
            return Some(self.let_go(upto));
        }
        if self.waits {
            return self.the_last_one(upto);
        }
        let late = upto.back(ON_TIME).max(self.last);
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
                let from = upto.back(window).max(self.last).min(late);
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

    fn let_go(&self, upto: Tick) -> Due {
        self.due_upto(upto)
    }

    fn due_upto(&self, last: Tick) -> Due {
        Due {
            entry: Arc::clone(&self.entry),
            fire: Vec::new(),
            missed: 0,
            overlapped: 0,
            last,
        }
    }

    fn count(&self, after: Tick, upto: Tick) -> usize {
        let ticks = self.entry.when.between(after, upto);
        ticks.take(MOST_COUNTED).count()
    }
}

#[cfg(test)]
mod tests;
