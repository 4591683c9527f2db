//! The failed attempts of a message: they travel in a label of it, and end up beside its result. Bounded, because both do.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::TaskError;
use crate::message::{Labels, label};

/// The most attempts that are kept: the latest ones.
const MOST: usize = 20;
/// The most of an error that is kept, in bytes.
const MAX_ERROR_BYTES: usize = 300;

/// One attempt that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedAttempt {
    /// When it ended, in seconds since 1970.
    pub at: f64,
    /// Which attempt, 1 the first.
    pub attempt: u32,
    /// The worker that ran it.
    pub worker: String,
    /// The error and its causes, cut where it is long.
    pub error: String,
    /// The pause before the next attempt, in seconds; none for the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<f64>,
}

impl FailedAttempt {
    /// An attempt that failed now.
    pub(crate) fn now(
        attempt: u32,
        worker: &str,
        error: &TaskError,
        delay: Option<Duration>,
    ) -> Self {
        let mut text = error.sentence();
        text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
        Self {
            at: crate::message::unix_seconds(),
            attempt,
            worker: worker.to_owned(),
            error: text,
            delay: delay.map(|delay| delay.as_secs_f64()),
        }
    }
}

/// The history that a message carries; what cannot be read is none.
pub(crate) fn of(labels: &Labels) -> Vec<FailedAttempt> {
    let text = labels.text(label::HISTORY);
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// The history that a message carries, and one more.
pub(crate) fn with(labels: &Labels, latest: FailedAttempt) -> Vec<FailedAttempt> {
    let mut history = of(labels);
    history.push(latest);
    let surplus = history.len().saturating_sub(MOST);
    history.drain(..surplus);
    history
}

/// Writes it into the labels.
pub(crate) fn write(labels: &mut Labels, history: &[FailedAttempt]) {
    if let Ok(text) = serde_json::to_string(history) {
        labels.set_text(label::HISTORY, text);
    }
}

/// The history as JSON; none when there is nothing to say.
pub(crate) fn value(history: &[FailedAttempt]) -> Option<Value> {
    if history.is_empty() {
        return None;
    }
    serde_json::to_value(history).ok()
}

/// The history in JSON; what cannot be read is none.
pub(crate) fn read(value: &Value) -> Vec<FailedAttempt> {
    Deserialize::deserialize(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(attempt: u32) -> FailedAttempt {
        let error = TaskError::from("é".repeat(1000));
        FailedAttempt::now(attempt, "w", &error, Some(Duration::from_secs(2)))
    }

    #[test]
    fn it_travels_in_a_label_and_keeps_the_latest() {
        let mut labels = Labels::default();
        assert_eq!(of(&labels), []);
        for attempt in 1..=30 {
            let history = with(&labels, failed(attempt));
            write(&mut labels, &history);
        }
        let history = of(&labels);
        assert_eq!(history.len(), MOST);
        assert_eq!((history[0].attempt, history[MOST - 1].attempt), (11, 30));
        assert!(history[0].error.len() <= MAX_ERROR_BYTES);
        assert_eq!(read(&value(&history).expect("some")), history);
    }

    #[test]
    fn what_somebody_else_wrote_there_is_no_history() {
        let mut labels = Labels::default();
        labels.set_text(label::HISTORY, "not json");
        assert_eq!(of(&labels), []);
        assert_eq!(read(&serde_json::json!({"a": 1})), []);
        assert_eq!(value(&[]), None);
    }
}
