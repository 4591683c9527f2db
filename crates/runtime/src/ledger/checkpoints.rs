//! Checkpoints: what the finished steps of a message's pipelines came to, until the message has come to its end; and how the last run of a
//! pipeline went. Bytes and the seam only: what they mean is the pipeline's to say.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::LedgerError;
use crate::message::MessageId;

/// How the last whole run of a pipeline went, for people: one that came to its output, ended by no step before its end, and in which
/// nothing was resumed. Others say little of how long it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended, in seconds since 1970.
    pub at: f64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The steps that decided that, the first one first.
    pub critical_path: Vec<String>,
    /// How long each step took, in seconds; those that were not run are left out.
    pub steps: BTreeMap<String, f64>,
}

/// What finished steps came to.
#[async_trait]
pub trait Checkpoints {
    /// Keeps what a step of the message came to; replaces what was there. All that is kept of the message then stays for
    /// `kept`.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn keep_step(
        &self,
        id: &MessageId,
        step: &str,
        bytes: &[u8],
        kept: Duration,
    ) -> Result<(), LedgerError>;

    /// What is kept of the message, by step; it stays for `kept` from now on.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn kept_steps(
        &self,
        id: &MessageId,
        kept: Duration,
    ) -> Result<BTreeMap<String, Vec<u8>>, LedgerError>;

    /// Removes all that is kept of the message; it may be nothing.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn forget_steps(&self, id: &MessageId) -> Result<(), LedgerError>;

    /// Writes down how a run of the pipeline went, in place of the one before.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn keep_last_run(
        &self,
        pipeline: &str,
        run: &LastRun,
        kept: Duration,
    ) -> Result<(), LedgerError>;

    /// How the last run of the pipeline went, if that is known.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn last_run(&self, pipeline: &str) -> Result<Option<LastRun>, LedgerError>;
}
