//! Entries that are added at run time: `tasks.schedule("report", Report { .. }).cron("0 0 8 * * MON").await?`. They are written into the
//! ledger, where every scheduler finds them; firing is the leader's.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::entry::{BadEntry, Entry, Missed, Overlap};
use super::when::{BadWhen, Tick, When};
use super::written::WrittenEntry;
use crate::client::Tasks;
use crate::ledger::LedgerError;
use crate::queue::Priority;
use crate::task::Task;

/// An entry that was not added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// It cannot be meant.
    #[error(transparent)]
    Bad(#[from] BadEntry),
    /// The ledger could not be reached.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// An entry on its way to the ledger, not written until it is awaited.
#[must_use = "an entry is added when it is awaited"]
pub struct Adding<'a> {
    tasks: &'a Tasks,
    entry: Result<Entry, BadEntry>,
}

impl Tasks {
    /// Adds an entry to what the schedulers fire, or replaces the added one of its id. Say when with `cron`, `every` or `at`; without
    /// any it is fired once, now. All schedulers know of it within a second.
    pub fn schedule<T: Task>(&self, id: impl Into<String>, task: T) -> Adding<'_> {
        let now = When::at(Tick::before(SystemTime::now()));
        Adding {
            tasks: self,
            entry: Entry::new(id, now, task),
        }
    }

    /// Removes an added entry. Whether there was one.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn unschedule(&self, id: &str) -> Result<bool, LedgerError> {
        self.ledger().remove_entry(id).await
    }
}

impl Adding<'_> {
    /// At the times of a cron pattern, by UTC unless [`tz`](Self::tz) follows.
    pub fn cron(self, pattern: &str) -> Self {
        self.when(When::cron(pattern, "UTC"))
    }

    /// The pattern goes by the clocks of a zone.
    pub fn tz(self, zone: &str) -> Self {
        let when = self.entry.as_ref().ok().map(|entry| entry.when.clone());
        match when {
            Some(when) => self.when(when.in_zone(zone)),
            None => self,
        }
    }

    /// Every so often, counted from 1970.
    pub fn every(self, time: Duration) -> Self {
        self.when(When::every(time))
    }

    /// Once.
    pub fn at(self, tick: Tick) -> Self {
        self.when(Ok(When::at(tick)))
    }

    /// As [`Entry::missed`].
    pub fn missed(self, missed: Missed) -> Self {
        self.change(|entry| Ok(entry.missed(missed)))
    }

    /// As [`Entry::overlap`].
    pub fn overlap(self, overlap: Overlap) -> Self {
        self.change(|entry| Ok(entry.overlap(overlap)))
    }

    /// As [`Entry::jitter`].
    pub fn jitter(self, most: Duration) -> Self {
        self.change(|entry| Ok(entry.jitter(most)))
    }

    /// As [`Entry::priority`].
    pub fn priority(self, priority: Priority) -> Self {
        self.change(|entry| Ok(entry.priority(priority)))
    }

    fn when(self, when: Result<When, BadWhen>) -> Self {
        self.change(|entry| match when {
            Ok(when) => Ok(entry.due(when)),
            Err(source) => Err(BadEntry::When {
                id: entry.id,
                source,
            }),
        })
    }

    fn change(mut self, change: impl FnOnce(Entry) -> Result<Entry, BadEntry>) -> Self {
        self.entry = self.entry.and_then(change);
        self
    }

    async fn add(self) -> Result<(), ScheduleError> {
        let mut entry = self.entry?;
        entry.since = Some(Tick::before(SystemTime::now()));
        let written = WrittenEntry::from(&entry).json();
        Ok(self.tasks.ledger().add_entry(entry.id(), &written).await?)
    }
}

impl<'a> IntoFuture for Adding<'a> {
    type Output = Result<(), ScheduleError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.add())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::broker::memory::MemoryBroker;
    use crate::duration::minutes;
    use crate::ping::Ping;
    use crate::result::memory::MemoryResults;

    #[tokio::test]
    async fn an_entry_is_written_and_taken_back() {
        let broker = Arc::new(MemoryBroker::new());
        let tasks = Tasks::new(broker, Arc::new(MemoryResults::new()));
        let adding = tasks.schedule("report", Ping {});
        let adding = adding.cron("0 0 8 * * MON").tz("Europe/Lisbon");
        adding
            .missed(Missed::RunOnce)
            .jitter(minutes(1))
            .await
            .expect("added");
        let written = tasks.ledger().written().await.expect("answers");
        let json = &written.added["report"];
        let entry = WrittenEntry::read("report", json).expect("an entry");
        // Names become numbers: the pattern is the same.
        assert_eq!(entry.cron.as_deref(), Some("0 0 8 * * 1"));
        assert_eq!(entry.tz.as_deref(), Some("Europe/Lisbon"));
        assert_eq!(entry.missed.as_deref(), Some("run-once"));
        assert!(tasks.unschedule("report").await.expect("answers"));
        assert!(!tasks.unschedule("report").await.expect("answers"));
    }

    #[tokio::test]
    async fn what_cannot_be_meant_is_not_written() {
        let broker = Arc::new(MemoryBroker::new());
        let tasks = Tasks::new(broker, Arc::new(MemoryResults::new()));
        let said = [
            tasks.schedule("a b", Ping {}).await,
            tasks
                .schedule("a", Ping {})
                .cron("nonsense")
                .tz("UTC")
                .await,
            tasks.schedule("a", Ping {}).every(Duration::ZERO).await,
        ];
        for said in said {
            assert!(matches!(said, Err(ScheduleError::Bad(_))), "{said:?}");
        }
        let written = tasks.ledger().written().await.expect("answers");
        assert!(written.added.is_empty());
    }
}
