//! The record of a finished task, in TaskIQ's JSON: `is_err`, `return_value`, `execution_time`, `labels`, `error`.
//! Its error says what a caller may know: type, messages and causes, never args.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::TaskError;
use crate::history::{self, FailedAttempt};
use crate::outcome::{Cancelled, DeadReason};

use super::{MAX_RESULT_BYTES, ResultError};

/// What a finished task left behind.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its output as JSON, or why there is none.
    pub outcome: Result<Box<RawValue>, Failure>,
    /// How long the last attempt ran.
    pub execution_time: Duration,
    /// The task's name; a record of Python's TaskIQ has none.
    pub task: Option<String>,
    /// Which kick it is the record of, when the id alone does not say.
    pub kick: Option<String>,
    /// The attempts that failed before, oldest first; the latest of them if there were many.
    pub history: Vec<FailedAttempt>,
}

/// Why a task has no output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The error's type; low-cardinality.
    pub error_type: String,
    /// Why it was the end: `permanent`, `exhausted`, `bad_args`; a result of Python's TaskIQ has none.
    pub reason: Option<String>,
    /// The error's message, then those of its causes.
    pub chain: Vec<String>,
}

impl Record {
    /// The record of a task that returned.
    #[must_use]
    pub fn done(output: Box<RawValue>, execution_time: Duration) -> Self {
        Self {
            outcome: Ok(output),
            execution_time,
            task: None,
            kick: None,
            history: Vec::new(),
        }
    }

    /// The record of a task that is not wanted any more.
    #[must_use]
    pub fn cancelled(why: Cancelled, execution_time: Duration) -> Self {
        let failure = Failure {
            error_type: "Cancelled".to_owned(),
            reason: Some(why.as_str().to_owned()),
            chain: vec![why.sentence().to_owned()],
        };
        Self {
            outcome: Err(failure),
            execution_time,
            task: None,
            kick: None,
            history: Vec::new(),
        }
    }

    /// The same record, with the attempts that failed before.
    #[must_use]
    pub fn after(mut self, history: Vec<FailedAttempt>) -> Self {
        self.history = history;
        self
    }

    /// The same record, of this kick.
    #[must_use]
    pub fn of_kick(mut self, kick: Option<&str>) -> Self {
        self.kick = kick.map(str::to_owned);
        self
    }

    /// The same record, of a task of this name.
    #[must_use]
    pub fn of_task(mut self, name: &str) -> Self {
        self.task = Some(name.to_owned());
        self
    }

    /// The record of a task that came to its end without an output.
    #[must_use]
    pub fn dead(reason: DeadReason, error: &TaskError, execution_time: Duration) -> Self {
        let failure = Failure {
            error_type: error.type_name().to_owned(),
            reason: Some(reason.as_str().to_owned()),
            chain: error.chain().collect(),
        };
        Self {
            outcome: Err(failure),
            execution_time,
            task: None,
            kick: None,
            history: Vec::new(),
        }
    }

    /// TaskIQ's JSON.
    ///
    /// # Errors
    /// [`ResultError::TooLarge`] when it exceeds [`MAX_RESULT_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, ResultError> {
        let bytes =
            serde_json::to_vec(&WireRef::from(self)).expect("raw JSON and text always serialize");
        if bytes.len() > MAX_RESULT_BYTES {
            return Err(ResultError::TooLarge {
                bytes: bytes.len(),
                limit: MAX_RESULT_BYTES,
            });
        }
        Ok(bytes)
    }

    /// Reads TaskIQ's JSON.
    ///
    /// # Errors
    /// Where in the bytes it went wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice::<Wire>(bytes).map(Self::from)
    }
}

#[derive(Serialize)]
struct WireRef<'a> {
    is_err: bool,
    log: Option<()>,
    return_value: Option<&'a RawValue>,
    execution_time: f64,
    labels: Map<String, Value>,
    error: Option<WireError>,
}

#[derive(Deserialize)]
struct Wire {
    is_err: bool,
    #[serde(default)]
    return_value: Option<Box<RawValue>>,
    #[serde(default)]
    execution_time: f64,
    #[serde(default)]
    labels: Map<String, Value>,
    #[serde(default)]
    error: Option<WireError>,
}

/// How TaskIQ writes a Python exception. `exc_module` must be text and `exc_message` a list for its reader.
#[derive(Serialize, Deserialize)]
struct WireError {
    exc_type: String,
    exc_message: Vec<Value>,
    exc_module: String,
    exc_cause: Option<Box<WireError>>,
    exc_context: Option<Box<WireError>>,
    exc_suppress_context: bool,
}

const DEAD_REASON: &str = "dead_reason";
const KICK: &str = "kick";
const TASK: &str = "task_name";
const HISTORY: &str = "history";

impl<'a> From<&'a Record> for WireRef<'a> {
    fn from(record: &'a Record) -> Self {
        let failure = record.outcome.as_ref().err();
        let reason = failure.and_then(|failure| failure.reason.clone());
        Self {
            is_err: failure.is_some(),
            log: None,
            return_value: record.outcome.as_ref().ok().map(AsRef::as_ref),
            execution_time: record.execution_time.as_secs_f64(),
            labels: [
                (DEAD_REASON, reason.map(Value::String)),
                (TASK, record.task.clone().map(Value::String)),
                (KICK, record.kick.clone().map(Value::String)),
                (HISTORY, history::value(&record.history)),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
            error: failure.map(WireError::of),
        }
    }
}

impl From<Wire> for Record {
    fn from(wire: Wire) -> Self {
        let label = |name| {
            wire.labels
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (reason, task, kick) = (label(DEAD_REASON), label(TASK), label(KICK));
        let history = wire.labels.get(HISTORY).map(history::read);
        let outcome = if wire.is_err {
            Err(wire
                .error
                .map_or_else(Failure::unknown, |error| error.failure(reason)))
        } else {
            Ok(wire
                .return_value
                .unwrap_or_else(|| RawValue::NULL.to_owned()))
        };
        let execution_time = Duration::try_from_secs_f64(wire.execution_time).unwrap_or_default();
        Self {
            outcome,
            execution_time,
            task,
            kick,
            history: history.unwrap_or_default(),
        }
    }
}

impl Failure {
    /// Whether it ended because it was not wanted any more: cancelled, or superseded by a later kick.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let words = [Cancelled::Asked, Cancelled::Superseded].map(Cancelled::as_str);
        self.reason
            .as_deref()
            .is_some_and(|reason| words.contains(&reason))
    }

    fn unknown() -> Self {
        Self {
            error_type: "Error".to_owned(),
            reason: None,
            chain: vec!["the task failed without saying why".to_owned()],
        }
    }
}

impl WireError {
    /// The chain becomes nested causes, the innermost last, as Python has it.
    fn of(failure: &Failure) -> Self {
        let mut cause = None;
        for message in failure.chain.iter().skip(1).rev() {
            cause = Some(Box::new(Self::one("Error", message, cause)));
        }
        let message = failure.chain.first().map_or("", String::as_str);
        Self::one(&failure.error_type, message, cause)
    }

    fn one(error_type: &str, message: &str, cause: Option<Box<Self>>) -> Self {
        Self {
            exc_type: error_type.to_owned(),
            exc_message: vec![Value::String(message.to_owned())],
            exc_module: "builtins".to_owned(),
            exc_cause: cause,
            exc_context: None,
            exc_suppress_context: false,
        }
    }

    fn failure(self, reason: Option<String>) -> Failure {
        let error_type = self.exc_type.clone();
        let chain = std::iter::successors(Some(&self), |error| error.exc_cause.as_deref())
            .map(Self::message)
            .collect();
        Failure {
            error_type,
            reason,
            chain,
        }
    }

    fn message(&self) -> String {
        let parts = self.exc_message.iter().map(|part| {
            part.as_str()
                .map_or_else(|| part.to_string(), str::to_owned)
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json_of(record: &Record) -> Value {
        serde_json::from_slice(&record.encode().expect("small")).expect("json")
    }

    #[test]
    fn a_success_is_taskiqs_json() {
        let output = RawValue::from_string(r#"{"x":1}"#.into()).expect("json");
        let record = Record::done(output, Duration::from_millis(1500));
        let expected = json!({"is_err": false, "log": null, "return_value": {"x": 1}, "execution_time": 1.5, "labels": {}, "error": null});
        assert_eq!(json_of(&record), expected);
    }

    #[test]
    fn a_failure_keeps_its_chain_and_its_reason() {
        let error = TaskError::permanent("disk full").context("upload failed");
        let record = Record::dead(DeadReason::Permanent, &error, Duration::ZERO);
        let wire = json_of(&record);
        assert_eq!(wire["is_err"], json!(true));
        assert_eq!(wire["error"]["exc_message"], json!(["upload failed"]));
        assert_eq!(
            wire["error"]["exc_cause"]["exc_message"],
            json!(["disk full"])
        );
        let read = Record::decode(&record.encode().expect("small")).expect("decodes");
        let failure = read.outcome.expect_err("a failure");
        assert_eq!(failure.reason.as_deref(), Some("permanent"));
        assert_eq!(failure.chain, ["upload failed", "disk full"]);
    }

    #[test]
    fn a_result_of_python_is_read() {
        let bytes = br#"{"is_err":true,"log":null,"return_value":null,"execution_time":0.0,"labels":{"a":"1"},"error":{"exc_type":"KeyError","exc_message":["x",1],"exc_module":"builtins","exc_cause":null,"exc_context":null,"exc_suppress_context":false}}"#;
        let failure = Record::decode(bytes)
            .expect("decodes")
            .outcome
            .expect_err("a failure");
        assert_eq!(
            (failure.error_type.as_str(), failure.chain),
            ("KeyError", vec!["x, 1".to_owned()])
        );
        assert_eq!(failure.reason, None);
    }

    #[test]
    fn a_result_over_the_limit_is_refused_with_its_size() {
        let output =
            RawValue::from_string(format!("\"{}\"", "x".repeat(MAX_RESULT_BYTES))).expect("json");
        let error = Record::done(output, Duration::ZERO)
            .encode()
            .expect_err("too large");
        assert!(matches!(error, ResultError::TooLarge { .. }), "{error}");
    }
}
