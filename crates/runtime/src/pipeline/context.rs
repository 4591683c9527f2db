//! What a step may ask of its surroundings: the task, the dependencies, which attempt it is, and to say how far it is and what it
//! has spent. It decides nothing: returning is how a step says how it ended.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::kept::Key;
use super::progress::Track;
use super::report::StepFailure;
use super::usage::{self, Purse, Reservation, Spent, Usage};
use crate::context::TaskContext;
use crate::error::TaskResult;

/// What a step may ask of its surroundings. Cheap to clone.
pub struct StepContext<In, Deps> {
    shared: Arc<Shared<In, Deps>>,
    own: Arc<Own>,
}

/// What all steps of one run share.
pub(super) struct Shared<In, Deps> {
    pub(super) task: In,
    pub(super) deps: Deps,
    pub(super) cx: TaskContext,
    pub(super) purse: Arc<Purse>,
    pub(super) track: Track<In, Deps>,
    // A std mutex: held to add or to copy, never across an await.
    failures: Mutex<Vec<StepFailure>>,
}

/// One attempt of one step, or of one item of its list.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) step: usize,
    pub(super) id: &'static str,
    pub(super) attempt: u32,
    pub(super) index: Option<usize>,
    spent: Mutex<Spent>,
}

impl Own {
    pub(super) fn new(step: usize, id: &'static str, attempt: u32, index: Option<usize>) -> Self {
        Self {
            step,
            id,
            attempt,
            index,
            spent: Mutex::default(),
        }
    }

    pub(super) fn note_spent(&self, note: impl FnOnce(&mut Spent)) {
        note(&mut self.spent.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn record_spent(&self, span: &tracing::Span) {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.record(span);
    }
}

impl<In, Deps> Shared<In, Deps> {
    pub(super) fn new(
        (task, deps): (In, Deps),
        cx: &TaskContext,
        purse: Purse,
        track: Track<In, Deps>,
    ) -> Self {
        Self {
            task,
            deps,
            cx: cx.clone(),
            purse: Arc::new(purse),
            track,
            failures: Mutex::default(),
        }
    }

    /// What the step has spent that this is kept of.
    pub(super) fn spent_by(&self, (step, _item): Key<'_>) -> Spent {
        self.purse.of_step_called(step).unwrap_or_default()
    }

    pub(super) fn note_failure(&self, failure: StepFailure) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(failure);
    }
}

impl<In, Deps> Clone for StepContext<In, Deps> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            own: Arc::clone(&self.own),
        }
    }
}

impl<In, Deps> StepContext<In, Deps> {
    pub(super) fn new(shared: &Arc<Shared<In, Deps>>, own: Arc<Own>) -> Self {
        Self {
            shared: Arc::clone(shared),
            own,
        }
    }

    /// The task's args.
    #[must_use]
    pub fn task(&self) -> &In {
        &self.shared.task
    }

    /// What the pipeline was run with.
    #[must_use]
    pub fn deps(&self) -> &Deps {
        &self.shared.deps
    }

    /// The surroundings of the task: its id, and kicking other tasks.
    #[must_use]
    pub fn cx(&self) -> &TaskContext {
        &self.shared.cx
    }

    /// Trips when the attempt must end. Give it to child processes.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        self.shared.cx.stop()
    }

    /// The step's id.
    #[must_use]
    pub fn step(&self) -> &'static str {
        self.own.id
    }

    /// Which attempt of the step, or of the item, this is: 1 the first.
    #[must_use]
    pub fn step_attempt(&self) -> u32 {
        self.own.attempt
    }

    /// The steps that have failed so far and were passed over: why an [`Optional`](super::Optional) input is missing, unless it
    /// was skipped.
    #[must_use]
    pub fn failures(&self) -> Vec<StepFailure> {
        let failures = &self.shared.failures;
        failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Says how far the step is: a fraction in 0..=1. By the steps' weights it becomes the task's progress. Cheap, never waits.
    /// Of no effect in the step over a list, whose progress is the number of its items that are done.
    pub fn progress(&self, fraction: f64) {
        if self.own.index.is_none() {
            self.shared
                .track
                .moved(&self.shared, self.own.step, fraction);
        }
    }

    /// Says what a call took. It is summed for the step and for the pipeline, and stands on their spans.
    ///
    /// # Errors
    /// A permanent [`OverBudget`](super::OverBudget), once more is spent than the pipeline's budget: end the step with it.
    pub fn spend(&self, usage: &Usage) -> TaskResult<()> {
        usage::spend(&self.shared.purse, &self.own, usage)
    }

    /// Sets aside the most that a call may cost, in millionths of a US dollar, before it is made: no other step can spend it
    /// meanwhile. Without it, the last call may go over the budget.
    ///
    /// # Errors
    /// A permanent [`OverBudget`](super::OverBudget), when there is not that much left.
    pub fn set_aside(&self, most_microcents: u64) -> TaskResult<Reservation> {
        Reservation::of(&self.shared.purse, &self.own, most_microcents)
    }
}
