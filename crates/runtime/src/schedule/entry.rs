//! One entry of a timetable: a task with its args, when it is due, and what to do when it could not be fired on time or its
//! last run still goes on. A value, checked when it is made.

use std::fmt;
use std::time::Duration;

use super::when::{BadWhen, When};
use crate::hash;
use crate::message::{Args, ArgsError, MessageId};
use crate::queue::{Priority, Queue};
use crate::schedule::Tick;
use crate::task::Task;

/// The longest id of an entry, in bytes: with a tick behind it, it is the id of a message.
const LONGEST_ID: usize = 100;

/// What becomes of ticks that could not be fired on time, because no scheduler ran or the broker was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// They are not made up for.
    #[default]
    Skip,
    /// One run stands for all of them; a tick that is due anyway is that run.
    RunOnce,
    /// Each of them that is not older than the window.
    RunAll {
        /// How old.
        window: Duration,
    },
}

/// What becomes of a tick while the run of an earlier one is still queued or running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlap {
    /// Both run.
    #[default]
    Allow,
    /// It is not fired.
    Skip,
    /// It is fired once the earlier one has ended; of several, the last.
    QueueOne,
}

/// One entry of a timetable.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(crate) id: String,
    pub(crate) when: When,
    pub(crate) task: String,
    pub(crate) queue: Queue,
    pub(crate) priority: Priority,
    pub(crate) args: Args,
    pub(crate) expires: Option<Duration>,
    pub(crate) jitter: Duration,
    pub(crate) missed: Missed,
    pub(crate) overlap: Overlap,
    /// Since when it is to be fired, if that is written: when it was added.
    pub(crate) since: Option<Tick>,
}

/// An entry that cannot be meant.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BadEntry {
    /// Its id.
    #[error("{0:?} is no id of an entry: 1 to 100 letters, digits, dots, dashes and underscores")]
    Id(String),
    /// When it is due.
    #[error("entry {id}: {source}")]
    When {
        /// The entry.
        id: String,
        /// What is wrong.
        source: BadWhen,
    },
    /// The args have no form in JSON.
    #[error("entry {id}: {source}")]
    Args {
        /// The entry.
        id: String,
        /// What is wrong.
        source: ArgsError,
    },
    /// What is written of it.
    #[error("entry {id}: {why}")]
    Written {
        /// The entry.
        id: String,
        /// What is wrong, and what to write.
        why: String,
    },
    /// Two entries have one id.
    #[error("two entries are called {0}: give one of them a name of its own")]
    Twice(String),
}

impl Entry {
    /// A task with its args, when it is due, under an id that is unique among all entries.
    ///
    /// # Errors
    /// [`BadEntry`]: a bad id, or args without a form in JSON.
    #[allow(clippy::needless_pass_by_value)] // There is no use for the task afterwards.
    pub fn new<T: Task>(id: impl Into<String>, when: When, task: T) -> Result<Self, BadEntry> {
        let id = id.into();
        let args = match Args::of(&task) {
            Ok(args) => args,
            Err(source) => return Err(BadEntry::Args { id, source }),
        };
        let entry = Self::named(id, when, T::NAME, T::QUEUE, args)?;
        Ok(Self {
            priority: T::POLICY.default_priority(),
            expires: T::POLICY.expires,
            ..entry
        })
    }

    /// The same for a task that is only known by name.
    ///
    /// # Errors
    /// [`BadEntry::Id`].
    pub fn named(
        id: impl Into<String>,
        when: When,
        task: impl Into<String>,
        queue: Queue,
        args: Args,
    ) -> Result<Self, BadEntry> {
        let id = id.into();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !(1..=LONGEST_ID).contains(&id.len()) || !id.chars().all(fits) {
            return Err(BadEntry::Id(id));
        }
        // What comes once is not meant to be lost because nobody ran at that moment.
        let missed = if when.is_once() {
            Missed::RunOnce
        } else {
            Missed::default()
        };
        Ok(Self {
            id,
            when,
            task: task.into(),
            queue,
            priority: Priority::default(),
            args,
            expires: None,
            jitter: Duration::ZERO,
            missed,
            overlap: Overlap::default(),
            since: None,
        })
    }

    /// Due at another time. What comes only once is made up for when it was missed.
    #[must_use]
    pub fn due(self, when: When) -> Self {
        let missed = match (when.is_once(), self.when.is_once()) {
            (true, false) => Missed::RunOnce,
            (false, true) => Missed::default(),
            _ => self.missed,
        };
        Self {
            when,
            missed,
            ..self
        }
    }

    /// How much its runs matter beside others.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Fires it later than its ticks by a time below this: always the same for one entry, another one for the next, so that
    /// many entries with one pattern do not all come at once.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = most;
        self
    }

    /// What becomes of ticks that could not be fired on time.
    #[must_use]
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// What becomes of a tick while an earlier run goes on.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When it is due.
    #[must_use]
    pub fn when(&self) -> &When {
        &self.when
    }

    /// The name of its task.
    #[must_use]
    pub fn task(&self) -> &str {
        &self.task
    }

    /// Where its task waits.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// What becomes of missed ticks, and of those that come while an earlier run goes on.
    #[must_use]
    pub fn policies(&self) -> (Missed, Overlap) {
        (self.missed, self.overlap)
    }

    /// The id of the message for a tick, whoever fires it.
    #[must_use]
    pub fn message_id(&self, tick: Tick) -> MessageId {
        let id = format!("cron:{}:{}", self.id, tick.seconds());
        MessageId::try_from(id).expect("an entry's id is short and printable")
    }

    /// The tick of a message that was fired for this entry.
    pub(crate) fn tick_of(&self, id: &MessageId) -> Option<Tick> {
        let (entry, tick) = entry_and_tick(id.as_str())?;
        (entry == self.id).then_some(tick)
    }

    /// How much later than its ticks it is fired: what its jitter comes to.
    #[must_use]
    pub fn offset(&self) -> Duration {
        let most = u64::try_from(self.jitter.as_millis()).unwrap_or(u64::MAX);
        match most {
            0 => Duration::ZERO,
            most => Duration::from_millis(hash::stable(self.id.as_bytes()) % most),
        }
    }
}

/// The entry and the tick that a message was fired for, by its id.
pub(crate) fn entry_and_tick(id: &str) -> Option<(&str, Tick)> {
    let (entry, tick) = id.strip_prefix("cron:")?.rsplit_once(':')?;
    Some((entry, Tick::at(tick.parse().ok()?)))
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::RunOnce => f.write_str("run-once"),
            Self::RunAll { window } => write!(f, "run-all:{}s", window.as_secs()),
        }
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Skip => "skip",
            Self::QueueOne => "queue-one",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::{minutes, seconds};

    const QUEUE: Queue = Queue::named("q");

    fn entry(id: &str) -> Result<Entry, BadEntry> {
        let when = When::every(seconds(60)).expect("a period");
        Entry::named(id, when, "t", QUEUE, Args::default())
    }

    #[test]
    fn an_id_is_a_part_of_the_messages_id() {
        let entry = entry("cleanup_expired.exports-2").expect("an id");
        let id = entry.message_id(Tick::at(1_700_000_000));
        assert_eq!(id.as_str(), "cron:cleanup_expired.exports-2:1700000000");
        assert_eq!(entry.tick_of(&id), Some(Tick::at(1_700_000_000)));
        for other in [
            "cron:other:1700000000",
            "cron:cleanup_expired.exports-2:now",
            "x",
        ] {
            let other = MessageId::try_from(other.to_owned()).expect("an id");
            assert_eq!(entry.tick_of(&other), None, "{other}");
        }
    }

    #[test]
    fn what_is_no_part_of_one_is_refused() {
        for id in ["", "a b", "a:b", "é", "a\n", &"x".repeat(101)] {
            assert!(matches!(entry(id), Err(BadEntry::Id(_))), "{id:?}");
        }
    }

    #[test]
    fn jitter_is_the_same_for_one_entry_and_another_for_the_next() {
        let offset = |id: &str| {
            let entry = entry(id).expect("an id").jitter(minutes(5));
            assert!(entry.offset() < minutes(5));
            entry.offset()
        };
        assert_eq!(offset("a"), offset("a"));
        assert_ne!(offset("a"), offset("b"));
        assert_eq!(entry("a").expect("an id").offset(), Duration::ZERO);
    }
}
