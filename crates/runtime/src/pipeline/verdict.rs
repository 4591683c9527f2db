//! What a pipeline comes to when all that could run has ended: its output, or the error that kept it from one, with every other error
//! beside it. Pure decisions over what became of the steps.

use std::time::Duration;

use tokio::time::Instant;

use super::checkpoint::Fingerprint;
use super::report::StepOutcome;
use super::work::{Need, Value};
use crate::error::{ErrorKind, TaskError, TaskResult};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing was left to run.
    Whole,
    /// The failure of this step ended it.
    Failed(usize),
    /// This step ended it, with the pipeline's output.
    Early(usize),
    /// The task was asked to end before all had begun.
    Stopped,
}

/// A step that has ended.
pub(super) struct Ended {
    pub(super) outcome: StepOutcome,
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) attempts: u32,
    pub(super) value: Option<Value>,
    /// What its output is to those who take it.
    pub(super) fingerprint: Fingerprint,
    /// The pipeline's output, when the step ends it.
    pub(super) ends_with: Option<Value>,
    pub(super) error: Option<TaskError>,
    /// Why it failed or was skipped.
    pub(super) reason: Option<String>,
}

impl Ended {
    pub(super) fn now(outcome: StepOutcome) -> Self {
        Self {
            outcome,
            at: Instant::now(),
            took: Duration::ZERO,
            attempts: 0,
            value: None,
            fingerprint: Fingerprint::of_bytes(b""),
            ends_with: None,
            error: None,
            reason: None,
        }
    }

    pub(super) fn is_snooze(&self) -> bool {
        let error = self.error.as_ref();
        error.is_some_and(|error| matches!(error.kind(), ErrorKind::Snooze(_)))
    }

    /// The error, if it failed.
    fn take_failure(&mut self) -> Option<TaskError> {
        let failed = self.outcome != StepOutcome::Skipped;
        failed.then(|| self.error.take())?
    }
}

/// The pipeline's output, or why there is none.
pub(super) fn result_of<'n>(
    ended: &mut [Option<Ended>],
    end: End,
    (output, name, needs): (
        usize,
        impl Fn(usize) -> &'static str,
        impl Fn(usize) -> &'n [Need],
    ),
) -> TaskResult<Value> {
    match end {
        End::Early(step) => {
            let ended = ended[step].as_mut();
            let output = ended.and_then(|ended| ended.ends_with.take());
            return Ok(output.expect("what ended it early has the output"));
        }
        End::Failed(step) => return Err(failure(ended, &[step], &name)),
        // Also when the output is there: what it does not need is to be done as well.
        End::Stopped => {
            let sentence = "asked to end before all of its steps had begun";
            return Err(TaskError::new(ErrorKind::Retryable, sentence));
        }
        End::Whole => {}
    }
    if let Some(value) = ended[output].as_mut().and_then(|ended| ended.value.take()) {
        return Ok(value);
    }
    let culprits = culprits(ended, output, needs);
    if !culprits.is_empty() {
        return Err(failure(ended, &culprits, &name));
    }
    Err(without_output(ended, output, &name))
}

/// The failed steps that the output needs, directly or not, in the order of the builder.
fn culprits<'n>(
    ended: &[Option<Ended>],
    output: usize,
    needs: impl Fn(usize) -> &'n [Need],
) -> Vec<usize> {
    let mut needed = vec![false; ended.len()];
    needed[output] = true;
    // Inputs come first, so that one look from the end is enough.
    for step in (0..=output).rev() {
        if needed[step] {
            let needs = needs(step).iter().filter(|need| need.needed);
            needs.for_each(|need| needed[need.step] = true);
        }
    }
    let failed = |step: &usize| {
        let ended = ended[*step].as_ref();
        ended.is_some_and(|ended| ended.error.is_some() && ended.outcome != StepOutcome::Skipped)
    };
    (0..ended.len())
        .filter(|step| needed[*step])
        .filter(failed)
        .collect()
}

/// One error of all that failed: of the culprits, one that no retry can heal before one that a retry may.
fn failure(
    ended: &mut [Option<Ended>],
    culprits: &[usize],
    name: &impl Fn(usize) -> &'static str,
) -> TaskError {
    let kind = |step: &usize| {
        let error = ended[*step].as_ref()?.error.as_ref()?;
        Some(error.kind())
    };
    let hopeless =
        |step: &&usize| matches!(kind(step), Some(ErrorKind::Permanent | ErrorKind::BadArgs));
    let first = culprits.iter().find(hopeless).or(culprits.first());
    let first = *first.expect("called with at least one");
    let error = ended[first].as_mut().and_then(Ended::take_failure);
    let error = error.expect("a culprit has failed");
    let others: Vec<String> = ended
        .iter()
        .enumerate()
        .filter_map(|(step, ended)| {
            let ended = ended.as_ref()?;
            let error = ended.error.as_ref()?;
            let failed = ended.outcome != StepOutcome::Skipped;
            failed.then(|| format!("step `{}`: {}", name(step), error.sentence()))
        })
        .collect();
    let first = name(first);
    match others.as_slice() {
        [] => error.context(format!("step `{first}` failed")),
        others => error.context(format!(
            "step `{first}` failed (and so did {})",
            others.join("; ")
        )),
    }
}

/// Nothing failed that it needs, and there is no output: it was skipped.
fn without_output(
    ended: &[Option<Ended>],
    output: usize,
    name: &impl Fn(usize) -> &'static str,
) -> TaskError {
    let id = name(output);
    let skipped = ended[output].as_ref();
    let reason = skipped.and_then(|skipped| skipped.reason.as_deref());
    let reason = reason.unwrap_or("no reason was given");
    TaskError::permanent(format!(
        "the pipeline has no output: step `{id}` was skipped: {reason}"
    ))
}
