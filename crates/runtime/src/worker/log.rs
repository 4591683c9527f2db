//! What the log says of the end of an attempt.

use super::settle::Ending;
use crate::outcome::Outcome;

/// One line for each attempt. WARN: it recovers by itself; ERROR: a person must act.
pub(super) fn report(ending: &Ending) {
    let ms = u64::try_from(ending.took.as_millis()).unwrap_or(u64::MAX);
    match &ending.outcome {
        Outcome::Done(_) => tracing::info!(ms, "done"),
        Outcome::Snooze { after } => tracing::info!(ms, ?after, "snoozes"),
        Outcome::Interrupted => tracing::info!(ms, "interrupted: handed back"),
        Outcome::Cancelled { why } => tracing::info!(ms, why = why.as_str(), "cancelled"),
        Outcome::Retry { error, after } => tracing::warn!(
            ms,
            ?after,
            error = error.sentence(),
            "failed: will be tried again"
        ),
        Outcome::Dead { reason, error } => {
            tracing::error!(
                ms,
                reason = reason.as_str(),
                error = error.sentence(),
                "dead"
            )
        }
        Outcome::Failed(error) => tracing::error!(ms, error = error.sentence(), "dead"),
    }
}
