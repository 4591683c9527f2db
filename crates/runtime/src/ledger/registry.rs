//! The registry: who is alive, what it runs and how far that is, and which roles are paused. For people, and for whoever
//! rescues what is stuck; no delivery depends on it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LedgerError;
use crate::message::MessageId;

/// What a worker says of itself, every few seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Unique to the process.
    pub worker: String,
    /// The queue it serves; also the name of its role.
    pub queue: String,
    /// The host it runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it started, in seconds since 1970.
    pub started_at: f64,
    /// When it said this, in seconds since 1970.
    pub seen_at: f64,
    /// How many slots it has.
    pub slots: u32,
    /// How many of them are in use.
    pub in_use: u32,
    /// `running`, `paused` or `draining`.
    pub state: String,
    /// Messages that it brought to an end or sent on since it started.
    pub settled: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Messages settled per minute, lately.
    pub per_minute: f64,
    /// What it runs, longest first; not all of it if it is much.
    pub running: Vec<Busy>,
}

/// One running attempt, for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Busy {
    /// The message.
    pub id: MessageId,
    /// The task's name.
    pub task: String,
    /// Which attempt.
    pub attempt: u32,
    /// Since when, in seconds since 1970.
    pub since: f64,
    /// Whether it is past its deadline and does not answer.
    #[serde(default)]
    pub stuck: bool,
}

/// How far a task is, in TaskIQ's JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// TaskIQ's word for it: `STARTED` while it runs.
    pub state: String,
    /// What the task says of itself.
    pub meta: Value,
}

impl Progress {
    /// The progress of a running task: a fraction in 0..=1, and what the task adds to it.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // `json!` takes it by reference, but a caller has no further use for it.
    pub fn started(fraction: f64, detail: Value) -> Self {
        let fraction = if fraction.is_nan() {
            0.0
        } else {
            fraction.clamp(0.0, 1.0)
        };
        Self {
            state: "STARTED".to_owned(),
            meta: serde_json::json!({ "fraction": fraction, "detail": detail }),
        }
    }

    /// The fraction in 0..=1, if the task said one.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        self.meta.get("fraction")?.as_f64()
    }

    /// What the task added.
    #[must_use]
    pub fn detail(&self) -> Option<&Value> {
        self.meta.get("detail")
    }
}

/// Who is alive, how far things are, what is paused.
#[async_trait]
pub trait Registry {
    /// Keeps the report until `ttl` has passed.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn report(&self, report: &WorkerReport, ttl: Duration) -> Result<(), LedgerError>;

    /// The worker has ended.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn sign_off(&self, worker: &str) -> Result<(), LedgerError>;

    /// The workers that have reported lately, by queue and name.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn workers(&self) -> Result<Vec<WorkerReport>, LedgerError>;

    /// Pauses or resumes every worker of a queue, now and later.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn set_paused(&self, queue: &str, paused: bool) -> Result<(), LedgerError>;

    /// The queues that are paused.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn paused(&self) -> Result<BTreeSet<String>, LedgerError>;

    /// Keeps how far these tasks are, each for its time.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn set_progress(
        &self,
        progress: &[(MessageId, Progress, Duration)],
    ) -> Result<(), LedgerError>;

    /// How far a task is, if it said so.
    ///
    /// # Errors
    /// [`LedgerError`].
    async fn progress(&self, id: &MessageId) -> Result<Option<Progress>, LedgerError>;
}
