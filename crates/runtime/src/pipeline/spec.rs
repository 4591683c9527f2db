//! What a step is called and how it is run: a value that the builder takes. It knows nothing of the step's function.

use std::time::Duration;

use crate::duration::{minutes, seconds};
use crate::task::Backoff;

/// How many items of a list are worked on at once, unless said otherwise.
const ITEMS_AT_ONCE: usize = 4;

/// What the failure of a step means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// The pipeline fails, and what runs beside the step is cancelled at once.
    #[default]
    Stop,
    /// What does not need the step goes on; what needs it is skipped. The report names every failure.
    Continue,
}

/// A step's id and how it is run.
#[derive(Debug, Clone, Copy)]
pub struct StepSpec {
    pub(super) id: &'static str,
    pub(super) attempts: u32,
    pub(super) timeout: Duration,
    pub(super) backoff: Backoff,
    pub(super) on_error: Option<OnError>,
    pub(super) version: u32,
    pub(super) weight: u32,
    pub(super) at_once: usize,
}

/// A step that is tried once and may take an hour, unless said otherwise.
#[must_use]
pub const fn spec(id: &'static str) -> StepSpec {
    StepSpec {
        id,
        attempts: 1,
        timeout: minutes(60),
        backoff: Backoff::exponential(seconds(1), minutes(1)),
        on_error: None,
        version: 0,
        weight: 1,
        at_once: ITEMS_AT_ONCE,
    }
}

impl StepSpec {
    /// At most `attempts` runs, the first included; at least one. What cannot be healed is not tried again. Of a step over a
    /// list, each item has its own.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// The longest that one attempt of the step, or of one item, may take; then it is dropped.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How the pause between attempts grows.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What a failure of this step means for the others; as the pipeline says, unless set.
    #[must_use]
    pub const fn on_error(mut self, on_error: OnError) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// A number to count up when what the step does has changed: outputs that were kept of it and of what follows from it are
    /// then made anew.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// How much of the pipeline's progress the step is, beside the others' one each. None for a step that takes no time.
    #[must_use]
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// How many items of its list are worked on at once, at least one; four unless set. Of no use to a step without a list.
    #[must_use]
    pub const fn max_parallel(mut self, items: usize) -> Self {
        self.at_once = if items == 0 { 1 } else { items };
        self
    }
}

impl From<&'static str> for StepSpec {
    fn from(id: &'static str) -> Self {
        spec(id)
    }
}
