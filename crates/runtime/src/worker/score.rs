//! Counts for the metrics what attempts came to once they were settled: what a handler did may still turn out to be too large.
//! What ends without a run is counted, too.
//! Labels are bounded: a task that nobody registered has one name for all.

use sapari_telemetry::TaskMetrics;

use super::engine::Engine;
use super::reception::Reception;
use super::settle::Ending;
use crate::message::Message;
use crate::outcome::{DeadReason, Outcome};

/// What every task is expected to come to: its counters begin at nothing.
const EXPECTED: [&str; 3] = ["done", "retry", "dead"];

/// The counters of one worker.
#[derive(Default)]
pub(super) struct Score(TaskMetrics);

impl Score {
    /// Lets the counters of this worker begin.
    pub(super) fn begin(&self, engine: &Engine) {
        let reasons = DeadReason::ALL.into_iter().map(DeadReason::as_str);
        self.0.expect_queue(engine.queue.name(), reasons);
        for task in engine.tasks.keys() {
            self.0.expect_task(task, &EXPECTED);
        }
    }

    /// The attempt was settled.
    pub(super) fn settled(&self, engine: &Engine, reception: &Reception, ending: &Ending) {
        let task = name(engine, reception);
        self.0.settled(task, ending.outcome.word());
        let reason = match &ending.outcome {
            Outcome::Dead { reason, .. } => Some(*reason),
            Outcome::Failed(_) => Some(DeadReason::Exhausted),
            Outcome::Done(_) | Outcome::Cancelled { .. } => None,
            Outcome::Retry { .. } | Outcome::Snooze { .. } | Outcome::Interrupted => return,
        };
        let attempts = reception.message.as_deref().map_or(1, Message::attempt);
        self.0.ended(task, attempts);
        if let Some(reason) = reason {
            self.0.buried(engine.queue.name(), reason.as_str());
        }
    }
}

/// The name as it was registered, which costs no allocation.
fn name(engine: &Engine, reception: &Reception) -> &'static str {
    let Ok(message) = &reception.message else {
        return "undecodable";
    };
    let registered = engine.tasks.get_key_value(message.task.as_str());
    registered.map_or("unknown", |(name, _)| name)
}
