//! The ledger: what all workers and callers must agree on while work is under way. Who runs what, what was cancelled, which
//! kicks are one, how much may run at once, what finished steps came to, who is alive, what the clock has fired. It stands beside the result store and lives in the same server.
//!
//! It promises no durability of its own: a ledger that was lost costs a second run at worst, never a message.

mod cancels;
mod checkpoints;
#[cfg(feature = "testing")]
pub mod conformance;
mod limits;
pub(crate) mod memory;
pub(crate) mod redis;
mod registry;
mod rooms;
mod runs;
mod schedules;
mod uniques;

use std::fmt;

pub use cancels::{Cancel, CancelAnswer, Cancels, News};
pub use checkpoints::{Checkpoints, LastRun};
pub use limits::{Entry, Gate, GateKind, Limits};
pub use registry::{Busy, Progress, Registry, WorkerReport};
pub use rooms::Rooms;
pub use runs::{LeftBehind, Run, Runs, Sighting, Standing, TOLD_FOR};
pub use schedules::{Leader, Schedules, Written};
pub use uniques::{Reserved, Uniques};

use crate::error::BoxError;

/// All parts of the ledger, and the bell that rings when one of them changed.
pub trait Ledger:
    Runs
    + Cancels
    + Uniques
    + Limits
    + Rooms
    + Registry
    + Checkpoints
    + Schedules
    + Send
    + Sync
    + fmt::Debug
    + 'static
{
}

impl<T> Ledger for T where
    T: Runs
        + Cancels
        + Uniques
        + Limits
        + Rooms
        + Registry
        + Checkpoints
        + Schedules
        + Send
        + Sync
        + fmt::Debug
        + 'static
{
}

/// The ledger could not say.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// It is on a server.
    #[error("the ledger at {place} cannot be reached; is the result store running?")]
    Away {
        /// Host and port, never the password.
        place: String,
        /// Why.
        source: BoxError,
    },
    /// It is a scheduler's state file.
    #[error(
        "the state file {path} cannot be read or written; is its directory this user's, and is there space?"
    )]
    File {
        /// The file.
        path: String,
        /// Why.
        source: BoxError,
    },
}
