//! Limits: how much of a kind may run at once, or start within a time, across all workers. Places are leased: those of a
//! worker that died come back by themselves.

use std::time::Duration;

use async_trait::async_trait;

use super::LedgerError;

/// One limit as the ledger counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What is counted together: a task, or a task and a key.
    pub name: String,
    /// How it is counted.
    pub kind: GateKind,
}

/// How a gate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateKind {
    /// At most so many at once.
    AtOnce(u32),
    /// At most so many starts in any such time.
    Rate {
        /// How many.
        starts: u32,
        /// In which time.
        per: Duration,
    },
}

/// What became of a wish to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// Passed: leave when done.
    Passed,
    /// Not now.
    Wait {
        /// Worth another try after this long at the latest.
        after: Duration,
        /// Which of the gates asked for is closed: of several, the one that opens last.
        gate: usize,
    },
}

/// How much may run.
#[async_trait]
pub trait Limits {
    /// Passes all gates or none, as `token`, for as long as `lease`. Passing again with the same token renews.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn enter(
        &self,
        gates: &[Gate],
        token: &str,
        lease: Duration,
    ) -> Result<Entry, LedgerError>;

    /// Renews the places that these tokens hold.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn stay(&self, places: &[(Gate, String)], lease: Duration) -> Result<(), LedgerError>;

    /// Leaves, and tells whoever waits for a place.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn leave(&self, gates: &[Gate], token: &str) -> Result<(), LedgerError>;
}
