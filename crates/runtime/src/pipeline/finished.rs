//! What a run came to, before the type of its output is known again: for the span, the report, and the record of the last run.

use std::time::Duration;

use super::report::{Report, StepOutcome, StepReport};
use super::usage::Spent;
use super::work::Value;
use crate::error::TaskResult;
use crate::ledger::LastRun;
use crate::message::unix_seconds;

/// What a run came to, whatever the type of its output.
pub(super) struct Finished {
    pub(super) result: TaskResult<Value>,
    pub(super) steps: Vec<StepReport>,
    pub(super) spent: Spent,
    pub(super) critical_path: Vec<&'static str>,
    pub(super) ended_by: Option<&'static str>,
    /// The task was asked to end before all had begun.
    pub(super) stopped: bool,
    pub(super) took: Duration,
}

impl Finished {
    /// The word for it on the span.
    pub(super) fn word(&self) -> &'static str {
        match &self.result {
            Ok(_) if self.ended_by.is_some() => "ended",
            Ok(_) => "done",
            Err(_) if self.stopped => "stopped",
            Err(_) => "failed",
        }
    }

    pub(super) fn failed_steps(&self) -> Vec<&'static str> {
        let failed = |step: &&StepReport| {
            matches!(step.outcome, StepOutcome::Failed | StepOutcome::TimedOut)
        };
        self.steps
            .iter()
            .filter(failed)
            .map(|step| step.id)
            .collect()
    }

    /// Whether it came to its output, not by an early end, and without what an attempt before it had finished.
    pub(super) fn is_whole(&self) -> bool {
        let mut steps = self.steps.iter();
        let came = self.result.is_ok() && self.ended_by.is_none();
        came && steps.all(|step| step.outcome != StepOutcome::Resumed)
    }

    pub(super) fn last_run(&self) -> LastRun {
        let ran = |step: &&StepReport| step.outcome == StepOutcome::Done;
        let steps = self.steps.iter().filter(ran);
        LastRun {
            at: unix_seconds(),
            seconds: self.took.as_secs_f64(),
            critical_path: self.critical_path.iter().map(ToString::to_string).collect(),
            steps: steps
                .map(|step| (step.id.to_owned(), step.took.as_secs_f64()))
                .collect(),
        }
    }

    pub(super) fn into_report<Out>(self, typed: impl FnOnce(Value) -> Out) -> Report<Out> {
        Report {
            output: self.result.map(typed),
            steps: self.steps,
            spent: self.spent,
            critical_path: self.critical_path,
            ended_by: self.ended_by,
            took: self.took,
        }
    }
}
