//! Schedules: who leads the schedulers, up to where the ticks of each entry are settled, and the entries that are added at run
//! time. Writing down is fenced: each lead has a number, and what a leader of a smaller one says is refused. Entries are bytes
//! here; what they mean is `schedule`'s to say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;
use crate::schedule::Known;

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The process.
    pub who: String,
    /// The number of its lead: larger than those of all before it.
    pub number: u64,
    /// What is left of its lease. One that lives renews it long before it ends.
    pub left: Duration,
}

/// What is written of entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The entries that were added at run time, by id.
    pub added: BTreeMap<String, String>,
    /// The entries of the leader's own timetable, by id, for people to read.
    pub posted: BTreeMap<String, String>,
    /// The ids of those that are paused.
    pub paused: BTreeSet<String>,
    /// Grows with each change of what was added or paused.
    pub version: u64,
}

/// Who leads, what is settled, what was added.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// Takes the lead, whoever has it: the caller holds the broker's baton, so nobody else fires. Returns its number.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn take_lead(&self, who: &str, lease: Duration) -> Result<u64, LedgerError>;

    /// Renews the lead of this number, and tells the version of what is written; nothing when somebody else has taken it.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn keep_lead(
        &self,
        who: &str,
        number: u64,
        lease: Duration,
    ) -> Result<Option<u64>, LedgerError>;

    /// Nobody leads any more, if this number did.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn give_up_lead(&self, number: u64) -> Result<(), LedgerError>;

    /// Who leads, if somebody has said so within its lease.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn leader(&self) -> Result<Option<Leader>, LedgerError>;

    /// Writes down up to where entries are settled. `false`, and nothing is written, when a larger number has led since.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn settle_ticks(
        &self,
        number: u64,
        settled: &[(String, Known)],
    ) -> Result<bool, LedgerError>;

    /// Up to where all entries are settled, by id.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn settled_ticks(&self) -> Result<BTreeMap<String, Known>, LedgerError>;

    /// Adds an entry, or replaces the added one of its id.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn add_entry(&self, id: &str, entry: &str) -> Result<(), LedgerError>;

    /// Removes an added entry, and forgets where it was settled and that it was paused. Whether there was one.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn remove_entry(&self, id: &str) -> Result<bool, LedgerError>;

    /// The same if the entry is still written like this: one that was added anew meanwhile stays.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn remove_entry_as(&self, id: &str, entry: &str) -> Result<bool, LedgerError>;

    /// Pauses or resumes an entry, of whatever kind.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn pause_entry(&self, id: &str, paused: bool) -> Result<(), LedgerError>;

    /// Replaces the entries that are shown as the leader's own timetable.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn post_timetable(&self, entries: &[(String, String)]) -> Result<(), LedgerError>;

    /// All that is written of entries.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn written(&self) -> Result<Written, LedgerError>;
}
