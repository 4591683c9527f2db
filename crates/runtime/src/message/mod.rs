//! The message: one request to run a task, as it travels. The wire format is TaskIQ's JSON, so that a
//! Python service can kick our tasks unchanged. Where a message goes is not in it: that is a [`Route`].

mod args;
mod decode;
mod id;
mod labels;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use args::{Args, ArgsError};
pub use id::{BadId, MessageId};
use labels::ByName;
pub use labels::{Label, Labels};

use crate::queue::{Level, Priority, Queue};

/// The largest body that is published, in bytes. RabbitMQ 4 refuses 16 MiB by closing the channel; this stays clear of it.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What most bodies fit into.
const USUAL_BYTES: usize = 512;

/// Labels with a meaning on the wire; all but `queued_at` are TaskIQ's own names.
pub mod label {
    /// The priority, 0 to 3.
    pub const PRIORITY: &str = "priority";
    /// Failed attempts so far.
    pub const RETRIES: &str = "_retries";
    /// TaskIQ's `max_retries`, which counts attempts.
    pub const MAX_ATTEMPTS: &str = "max_retries";
    /// Seconds that one attempt may take.
    pub const TIMEOUT: &str = "timeout";
    /// When the message was queued, in seconds since 1970.
    pub const QUEUED_AT: &str = "_taskiq_queue_time";
    /// Tells this kick from another one with the same id.
    pub const KICK: &str = "kick";
    /// How often the runtime has sent the message on: retries and snoozes.
    pub const HOP: &str = "hop";
    /// When it is too late to run, in seconds since 1970.
    pub const EXPIRES_AT: &str = "expires_at";
    /// The failed attempts so far, as JSON.
    pub const HISTORY: &str = "history";
    /// How long it has been put off because it met only workers that do not know its task, in seconds.
    pub const UNKNOWN_FOR: &str = "unknown_for";
    /// The unique key that it holds until it ends.
    pub const UNIQUE: &str = "unique";
    /// The unique key that a later kick may have taken from it.
    pub const DEBOUNCE: &str = "debounce";
    /// The timetable entry that kicked it.
    pub const SCHEDULE_ID: &str = "schedule_id";
    /// The cron pattern of that entry.
    pub const SCHEDULE_CRON: &str = "schedule_cron";
    /// The tick that it was kicked for, as RFC 3339 has it.
    pub const SCHEDULED_TIME: &str = "scheduled_time";
    /// How late it was kicked, in milliseconds.
    pub const SCHEDULE_LAG: &str = "schedule_lag_ms";
}

/// One request to run a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Unique; also the key of its result.
    pub id: MessageId,
    /// The task's wire name.
    pub task: String,
    /// What travels beside the args.
    pub labels: Labels,
    /// What the handler gets.
    pub args: Args,
}

/// Bytes that are not a message: what is wrong with them, without repeating any of them.
#[derive(Debug, thiserror::Error)]
#[error("the body is not a message in TaskIQ's JSON: {0}")]
pub struct Undecodable(String);

impl Message {
    /// Reads TaskIQ's JSON.
    ///
    /// # Errors
    /// [`Undecodable`], with where in the bytes it went wrong.
    pub fn decode(body: &[u8]) -> Result<Self, Undecodable> {
        serde_json::from_slice::<Wire>(body)
            .map(Self::from)
            .map_err(|_| Undecodable(decode::what_is_wrong::<Wire>(body)))
    }

    /// The id in bytes that are JSON but no message, so that whoever waits for it can be told.
    #[must_use]
    pub fn id_in(body: &[u8]) -> Option<MessageId> {
        let value: Value = serde_json::from_slice(body).ok()?;
        value.get("task_id")?.as_str()?.parse().ok()
    }

    /// Writes TaskIQ's JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut body, &WireRef::from(self))
            .expect("string keys and JSON values always serialize");
        body
    }

    /// Which attempt this is, 1 the first.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let failed = self.labels.int(label::RETRIES).unwrap_or(0);
        u32::try_from(failed).unwrap_or(0).saturating_add(1)
    }

    /// The same message, one attempt later.
    #[must_use]
    pub fn next_attempt(mut self) -> Self {
        let failed = i64::from(self.attempt());
        self.labels.set_int(label::RETRIES, failed);
        self
    }

    /// The same message as if it had never been tried.
    #[must_use]
    pub fn from_the_start(mut self) -> Self {
        let of_this_life = [
            label::RETRIES,
            label::HOP,
            label::HISTORY,
            label::UNKNOWN_FOR,
            label::EXPIRES_AT,
            label::UNIQUE,
            label::DEBOUNCE,
        ];
        of_this_life
            .iter()
            .for_each(|name| self.labels.remove(name));
        self.labels.set_text(label::KICK, new_kick_again());
        self
    }

    /// How often the runtime has sent it on.
    #[must_use]
    pub fn hop(&self) -> u32 {
        let hop = self.labels.int(label::HOP).unwrap_or(0);
        u32::try_from(hop).unwrap_or(0)
    }

    /// The same message, sent on once more.
    #[must_use]
    pub(crate) fn next_hop(mut self) -> Self {
        let hop = i64::from(self.hop()) + 1;
        self.labels.set_int(label::HOP, hop);
        self
    }

    /// How long it may still run, by its own labels; none when it does not say. Nothing is left when it has expired.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let left = self.labels.float(label::EXPIRES_AT)? - unix_seconds();
        Some(Duration::try_from_secs_f64(left.max(0.0)).unwrap_or(Duration::MAX))
    }

    /// What tells this kick from another one with the same id; kicks of Python do not say.
    #[must_use]
    pub fn kick(&self) -> Option<&str> {
        self.labels.text(label::KICK)
    }

    /// The priority it was kicked with, if it says so.
    #[must_use]
    pub fn priority(&self) -> Option<Priority> {
        self.labels.int(label::PRIORITY).map(Priority::from_number)
    }
}

/// What tells one kick from every other: when it was; a random value of this process; and a number. Random bytes for each would
/// be a system call for each.
pub(crate) fn new_kick() -> String {
    static PROCESS: LazyLock<u64> = LazyLock::new(|| uuid::Uuid::new_v4().as_u64_pair().1);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let (now, number) = (unix_millis(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("{now:x}-{:016x}-{number:x}", *PROCESS)
}

/// The same, for an id of the caller's own that may be kicked again: an older cancel is then not meant. An id of ours is
/// kicked once, whatever the clocks of two machines say.
pub(crate) fn new_kick_again() -> String {
    new_kick() + "-again"
}

/// When the kick was, in milliseconds since 1970, if its id may have been kicked before.
pub(crate) fn kicked_again_at(kick: &str) -> Option<u64> {
    KickMoment::of_again(kick).map(|moment| moment.at)
}

/// A kick of ours in the order of time: when it was; then, within one millisecond and process, which number it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KickMoment {
    at: u64,
    process: u64,
    number: u64,
}

impl KickMoment {
    /// The same, if the id may have been kicked before: most kicks are told by their ending, and not read.
    pub(crate) fn of_again(kick: &str) -> Option<Self> {
        kick.strip_suffix("-again").and_then(Self::read)
    }

    /// Reads what [`Message::kick`] says, if it was one of ours.
    pub(crate) fn read(kick: &str) -> Option<Self> {
        let hex = |part: &str| u64::from_str_radix(part, 16).ok();
        let mut parts = kick.strip_suffix("-again").unwrap_or(kick).split('-');
        let (at, process, number) = (parts.next()?, parts.next()?, parts.next()?);
        if process.len() != 16 || parts.next().is_some() {
            return None;
        }
        Some(Self {
            at: hex(at)?,
            process: hex(process)?,
            number: hex(number)?,
        })
    }
}

/// Now, in seconds since 1970: what travels with a message as the time it was queued.
pub(crate) fn unix_seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// Now, in milliseconds since 1970.
pub(crate) fn unix_millis() -> u64 {
    (unix_seconds() * 1000.0) as u64
}

/// Where a message goes: a level of a queue, after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The queue.
    pub queue: Queue,
    /// The level at which it waits.
    pub level: Level,
    /// How long before it may be delivered.
    pub delay: Duration,
}

#[derive(Deserialize)]
#[serde(rename = "Message")]
struct Wire {
    task_id: MessageId,
    task_name: String,
    #[serde(default)]
    labels: Option<ByName<Value>>,
    #[serde(default)]
    labels_types: Option<ByName<Value>>,
    #[serde(default)]
    args: Option<Vec<Value>>,
    #[serde(default)]
    kwargs: Option<Map<String, Value>>,
}

#[derive(Serialize)]
struct WireRef<'a> {
    task_id: &'a MessageId,
    task_name: &'a str,
    labels: labels::Values<'a>,
    labels_types: labels::Kinds<'a>,
    args: &'a [Value],
    kwargs: &'a Map<String, Value>,
}

impl From<Wire> for Message {
    fn from(wire: Wire) -> Self {
        Self {
            id: wire.task_id,
            task: wire.task_name,
            labels: Labels::from_wire(
                wire.labels.unwrap_or_default(),
                wire.labels_types.unwrap_or_default(),
            ),
            args: Args {
                positional: wire.args.unwrap_or_default(),
                keyword: wire.kwargs.unwrap_or_default(),
            },
        }
    }
}

impl<'a> From<&'a Message> for WireRef<'a> {
    fn from(message: &'a Message) -> Self {
        let (labels, labels_types) = message.labels.to_wire();
        Self {
            task_id: &message.id,
            task_name: &message.task,
            labels,
            labels_types,
            args: &message.args.positional,
            kwargs: &message.args.keyword,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What taskiq 0.13.0 itself wrote for `add.kicker().with_labels(priority=2, ratio=0.5, flag=True, note="x", data=b"ab",
    /// any={"a": 1}).kiq(1, y=2)`.
    const FROM_TASKIQ: &str = r#"{"task_id": "f4f1a0ee1d4c4c0e8b0a6d2d0f8d9c11", "task_name": "add", "labels": {"priority": "2", "ratio": "0.5", "flag": "True", "note": "x", "data": "YWI=", "any": "{'a': 1}"}, "labels_types": {"priority": 2, "ratio": 4, "flag": 5, "note": 3, "data": 6, "any": 1}, "args": [1], "kwargs": {"y": 2}}"#;

    #[test]
    fn a_message_of_taskiq_is_read() {
        let message = Message::decode(FROM_TASKIQ.as_bytes()).expect("decodes");
        assert_eq!(message.id.as_str(), "f4f1a0ee1d4c4c0e8b0a6d2d0f8d9c11");
        assert_eq!(message.task, "add");
        assert_eq!(message.priority(), Some(Priority::High));
        assert_eq!(message.labels.float("ratio"), Some(0.5));
        assert_eq!(message.labels.flag("flag"), Some(true));
        assert_eq!(message.labels.text("note"), Some("x"));
    }

    #[test]
    fn and_written_back_as_it_was() {
        let message = Message::decode(FROM_TASKIQ.as_bytes()).expect("decodes");
        let written: Value = serde_json::from_slice(&message.encode()).expect("json");
        let original: Value = serde_json::from_str(FROM_TASKIQ).expect("json");
        assert_eq!(written, original);
    }

    #[test]
    fn attempts_are_counted_in_taskiqs_own_label() {
        let message = Message::decode(FROM_TASKIQ.as_bytes()).expect("decodes");
        assert_eq!(message.attempt(), 1);
        let third = message.next_attempt().next_attempt();
        assert_eq!(third.attempt(), 3);
        assert_eq!(third.labels.int(label::RETRIES), Some(2));
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_quotes_nothing() {
        let table = [
            (
                r#"{"task_id":"a","task_name":"x","args":"s3cret"}"#,
                "`args`: found a string, expected a sequence",
            ),
            (r#"{"task_id":"a"}"#, "missing field `task_name`"),
            (
                r#"{"task_id":"s3 cret","task_name":"x"}"#,
                "`task_id`: a task id is 1 to 255 bytes of printable text without spaces",
            ),
            (
                r#"{"task_id":"#,
                "EOF while parsing a value at line 1 column 11",
            ),
        ];
        for (body, reason) in table {
            let said = Message::decode(body.as_bytes())
                .expect_err("no message")
                .to_string();
            assert_eq!(
                said,
                format!("the body is not a message in TaskIQ's JSON: {reason}")
            );
        }
    }

    #[test]
    fn an_id_is_found_even_where_the_rest_is_no_message() {
        let id = |body: &[u8]| Message::id_in(body).map(|id| id.to_string());
        assert_eq!(id(br#"{"task_id":"a","args":7}"#).as_deref(), Some("a"));
        assert_eq!(id(br#"{"task_id":"a b"}"#), None);
        assert_eq!(id(b"\xff"), None);
    }

    #[test]
    fn null_means_none() {
        let body = br#"{"task_id":"a","task_name":"x","labels":null,"labels_types":null,"args":null,"kwargs":null}"#;
        assert_eq!(
            Message::decode(body).expect("a message").args,
            Args::default()
        );
    }

    #[test]
    fn what_is_not_a_message_is_refused() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"task_id":"","task_name":"x"}"#,
            r#"{"task_id":7,"task_name":"x"}"#,
            "\u{0}\u{1}",
        ] {
            assert!(
                Message::decode(body.as_bytes()).is_err(),
                "{body:?} was taken for a message"
            );
        }
    }
}
