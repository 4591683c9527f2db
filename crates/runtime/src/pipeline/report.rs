//! What a run came to, step by step: for the handler, for tests, and for the task's output. Values only.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::usage::Spent;
use crate::error::TaskResult;

/// A step that failed and was passed over, as it may stand in a task's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// The step.
    pub step: String,
    /// Its error and the causes, as one sentence.
    pub error: String,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// It came to its output.
    Done,
    /// An earlier attempt had finished it, and its output was kept.
    Resumed,
    /// It had nothing to do, or lacked something that it needs.
    Skipped,
    /// It failed.
    Failed,
    /// Its last attempt took longer than its timeout.
    TimedOut,
    /// It was dropped before its end.
    Cancelled,
    /// The run ended before its turn came.
    NotBegun,
}

impl StepOutcome {
    /// The word for it on spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Resumed => "resumed",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::TimedOut => "timeout",
            Self::Cancelled => "cancelled",
            Self::NotBegun => "not_begun",
        }
    }
}

/// What became of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step.
    pub id: &'static str,
    /// What became of it.
    pub outcome: StepOutcome,
    /// How often it was tried in this run; of a step over a list, the most that an item was.
    pub attempts: u32,
    /// How long it took, pauses between its attempts included. Of a resumed step, how long it took when it was run.
    pub took: Duration,
    /// What it has spent. Of a resumed step, what it had spent when it was run.
    pub spent: Spent,
    /// Why it failed or was skipped.
    pub reason: Option<String>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report<Out> {
    /// What [`run`](super::Pipeline::run) would have returned.
    pub output: TaskResult<Out>,
    /// Every step, in the order of the builder.
    pub steps: Vec<StepReport>,
    /// What all steps have spent together, the earlier attempts at this message included.
    pub spent: Spent,
    /// The steps that decided how long it took.
    pub critical_path: Vec<&'static str>,
    /// The step that ended it early, if one did.
    pub ended_by: Option<&'static str>,
    /// How long it took.
    pub took: Duration,
}

impl<Out> Report<Out> {
    /// Every step that failed, in the order of the builder; also where the pipeline came to its output all the same.
    #[must_use]
    pub fn failures(&self) -> Vec<StepFailure> {
        failures(&self.steps)
    }

    /// What became of the step with this id.
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&StepReport> {
        self.steps.iter().find(|step| step.id == id)
    }

    /// What became of the step with this id; a word for tests to compare.
    #[must_use]
    pub fn outcome(&self, id: &str) -> Option<StepOutcome> {
        self.step(id).map(|step| step.outcome)
    }
}

fn failures(steps: &[StepReport]) -> Vec<StepFailure> {
    let failed =
        |step: &&StepReport| matches!(step.outcome, StepOutcome::Failed | StepOutcome::TimedOut);
    let failure = |step: &StepReport| StepFailure {
        step: step.id.to_owned(),
        error: step.reason.clone().unwrap_or_default(),
    };
    steps.iter().filter(failed).map(failure).collect()
}
