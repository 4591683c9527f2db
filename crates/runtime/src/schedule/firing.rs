//! When an entry is really fired: its ticks, each later by what its jitter comes to. For people who look ahead; it knows nothing of pauses,
//! of what was missed, and of runs that go on.

use std::fmt;

use jiff::Timestamp;

use super::entry::Entry;
use super::when::Tick;

/// A tick of an entry, and the moment at which it is fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Firing {
    /// Milliseconds since 1970.
    at: i64,
    tick: Tick,
}

impl Firing {
    /// The tick that it is for, which is part of the message's id.
    #[must_use]
    pub fn tick(self) -> Tick {
        self.tick
    }
}

impl Entry {
    /// What is fired after a moment, in milliseconds since 1970 like [`Clock::now`](super::Clock::now), the earliest first. Of an entry that
    /// was added, no tick from before that.
    pub fn firings(&self, after: i64) -> impl Iterator<Item = Firing> {
        let offset = i64::try_from(self.offset().as_millis()).unwrap_or(i64::MAX);
        // Jitter moves all ticks by the same time: it is as if the entry lived a little later.
        let from = Tick::at(after.saturating_sub(offset).div_euclid(1000));
        // What comes only once may be meant for just that second.
        let since = self.since.filter(|_| !self.when.is_once());
        let from = since.map_or(from, |since| from.max(since));
        let ticks = std::iter::successors(self.when.next(from), |tick| self.when.next(*tick));
        ticks.map(move |tick| Firing {
            at: tick.seconds().saturating_mul(1000).saturating_add(offset),
            tick,
        })
    }
}

/// The moment in UTC, as RFC 3339 has it; with thousandths of a second where jitter makes some.
impl fmt::Display for Firing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.at) {
            Ok(time) => time.fmt(f),
            Err(_) => write!(f, "{} ms since 1970", self.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::{minutes, seconds};
    use crate::message::Args;
    use crate::queue::Queue;
    use crate::schedule::When;

    fn entry() -> Entry {
        let when = When::every(seconds(60)).expect("a period");
        Entry::named("often", when, "t", Queue::named("q"), Args::default()).expect("an entry")
    }

    fn told(entry: &Entry, after: i64) -> Vec<(String, i64)> {
        let firings = entry.firings(after).take(2);
        let told = firings.map(|it| (it.to_string(), it.tick().seconds()));
        told.collect()
    }

    #[test]
    fn without_jitter_a_tick_is_fired_when_it_is_due() {
        let expected = |seconds: [i64; 2]| {
            seconds
                .map(|tick| (Tick::at(tick).to_string(), tick))
                .to_vec()
        };
        assert_eq!(told(&entry(), 0), expected([60, 120]));
        assert_eq!(told(&entry(), 59_999), expected([60, 120]));
        assert_eq!(told(&entry(), 60_000), expected([120, 180]));
    }

    /// The next one may be of a tick that has passed.
    #[test]
    fn with_jitter_it_is_fired_later_by_as_much_as_the_scheduler_waits() {
        let entry = entry().jitter(minutes(10));
        let offset = i64::try_from(entry.offset().as_millis()).expect("small");
        assert!(
            offset > 60_000 && offset % 1000 != 0,
            "{offset}: choose another id"
        );
        let now = 6_000_000;
        let firings: Vec<Firing> = entry.firings(now).take(3).collect();
        for firing in &firings {
            assert_eq!(firing.at, firing.tick.seconds() * 1000 + offset);
        }
        assert!(firings[0].at > now && firings[0].at <= now + 60_000);
        assert_eq!(firings[1].at, firings[0].at + 60_000);
        let mut added = entry.clone();
        added.since = Some(Tick::at(now / 1000));
        let first = added.firings(now).next().expect("without end");
        assert!(first.tick.seconds() > now / 1000, "{first:?}");
        let said = firings[0].to_string();
        assert!(
            said.starts_with("1970-01-01T01:4") && said.contains('.'),
            "{said}"
        );
    }
}
