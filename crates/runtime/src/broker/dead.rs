//! Dead letters: the original bytes, with the reason for their death in the headers, so that a person or a replay can act on them.
//! The header names are this file's alone.

use std::time::Duration;

use crate::error::joined;
use crate::message::{Message, MessageId, Route, Undecodable, label, unix_seconds};
use crate::outcome::DeadReason;
use crate::queue::Queue;

use super::{Destination, Headers, Parcel, PublishError};

/// The most of an error that a header carries, in bytes: all headers share one frame.
const MAX_ERROR_BYTES: usize = 4096;

/// The most of a task's name that a header carries, in bytes; the body has it whole.
const MAX_NAME_BYTES: usize = 255;

mod header {
    pub(super) const REASON: &str = "dead-reason";
    pub(super) const ERROR: &str = "dead-error";
    pub(super) const ATTEMPTS: &str = "dead-attempts";
    pub(super) const TRACE_ID: &str = "dead-trace-id";
    pub(super) const LEVEL: &str = "dead-level";
    pub(super) const DIED_AT: &str = "dead-at";
    pub(super) const TASK_ID: &str = "task_id";
    pub(super) const TASK_NAME: &str = "task_name";
}

/// What is to be done with a dead letter.
#[derive(Debug)]
pub enum Verdict {
    /// It stays where it is.
    Keep,
    /// It stays where it is, and so do all that come after it: nothing more is looked at.
    Enough,
    /// It is dropped for good.
    Drop,
    /// It is published as this, and dropped once the broker has confirmed that.
    Replay(Box<Parcel>),
}

/// Says what is to be done with each dead letter.
pub type Judge<'a> = &'a mut (dyn FnMut(&DeadLetter) -> Verdict + Send);

/// A dead letter that cannot be run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotReplayable {
    /// Its bytes are no message: running it again would end the same way.
    #[error(transparent)]
    Undecodable(#[from] Undecodable),
    /// It cannot be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Why and how a message ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Obituary {
    /// Why it is the end.
    pub reason: DeadReason,
    /// The error's chain, outermost first.
    pub error: Vec<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// The trace in which it died.
    pub trace_id: Option<String>,
    /// The level it waited on.
    pub level: u8,
}

/// A message in a dead-letter queue, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The bytes as they came.
    pub body: Vec<u8>,
    /// All headers.
    pub headers: Headers,
}

impl DeadLetter {
    /// Why the message died: `permanent`, `exhausted`, `bad_args` ...
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.header(header::REASON)
    }

    /// The last error, its causes behind it.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.header(header::ERROR)
    }

    /// The id of the message, if anybody could read it.
    #[must_use]
    pub fn task_id(&self) -> Option<&str> {
        self.header(header::TASK_ID)
    }

    /// The task's name, if anybody could read it.
    #[must_use]
    pub fn task_name(&self) -> Option<&str> {
        self.header(header::TASK_NAME)
    }

    /// The trace in which it died.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.header(header::TRACE_ID)
    }

    /// How often it was tried.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.header(header::ATTEMPTS)?.parse().ok()
    }

    /// When it died, in seconds since 1970.
    #[must_use]
    pub fn died_at(&self) -> Option<u64> {
        self.header(header::DIED_AT)?.parse().ok()
    }

    /// The message as it is to be run again: same id, args, priority and trace, on the level it died on, its attempts
    /// counted from the start.
    ///
    /// # Errors
    /// [`NotReplayable`].
    pub fn replay(&self, queue: Queue) -> Result<Parcel, NotReplayable> {
        let mut message = Message::decode(&self.body)?.from_the_start();
        message.labels.set_float(label::QUEUED_AT, unix_seconds());
        let died_on = self
            .header(header::LEVEL)
            .and_then(|level| level.parse().ok());
        let level = died_on.map_or_else(
            || queue.level(message.priority().unwrap_or_default()),
            |number| queue.level_numbered(number),
        );
        let route = Route {
            queue,
            level,
            delay: Duration::ZERO,
        };
        Ok(Parcel::of(&message, route)?)
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl Parcel {
    /// A dead letter: the body and headers as they came, and the obituary beside them.
    #[must_use]
    pub fn dead(
        queue: Queue,
        message: Option<&Message>,
        body: Vec<u8>,
        headers: Headers,
        obituary: &Obituary,
    ) -> Self {
        let mut headers = headers;
        // What the broker wrote about earlier lives must not follow the message into the next one.
        headers.retain(|name, _| !name.starts_with("x-"));
        if let (None, Some(id)) = (message, Message::id_in(&body)) {
            headers
                .entry(header::TASK_ID.to_owned())
                .or_insert(id.into());
        }
        if let Some(message) = message {
            headers.insert(header::TASK_ID.to_owned(), message.id.to_string());
            headers.insert(header::TASK_NAME.to_owned(), message.task.clone());
        }
        if let Some(name) = headers.get_mut(header::TASK_NAME) {
            cut(name, MAX_NAME_BYTES);
        }
        headers.extend(obituary.headers());
        // A header that is no id must not keep the letter from being stored.
        let id = headers
            .get(header::TASK_ID)
            .and_then(|id| id.parse::<MessageId>().ok());
        let id = id.map(String::from).unwrap_or_default();
        let priority = message
            .and_then(Message::priority)
            .unwrap_or_default()
            .number();
        Self {
            to: Destination::Dead(queue),
            id,
            body,
            headers,
            priority,
        }
    }
}

impl Obituary {
    fn headers(&self) -> impl Iterator<Item = (String, String)> {
        let entries = [
            (header::REASON, Some(self.reason.as_str().to_owned())),
            (
                header::ERROR,
                Some(bounded(joined(self.error.iter().cloned()))),
            ),
            (header::ATTEMPTS, Some(self.attempts.to_string())),
            (header::LEVEL, Some(self.level.to_string())),
            (
                header::DIED_AT,
                Some(format!("{:.0}", unix_seconds().floor())),
            ),
            (header::TRACE_ID, self.trace_id.clone()),
        ];
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    }
}

fn bounded(mut text: String) -> String {
    cut(&mut text, MAX_ERROR_BYTES);
    text
}

fn cut(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obituary(error: &str) -> Obituary {
        Obituary {
            reason: DeadReason::Permanent,
            error: vec![error.into(), "cause".into()],
            attempts: 2,
            trace_id: Some("abc".into()),
            level: 3,
        }
    }

    #[test]
    fn a_dead_letter_says_why_and_keeps_what_came() {
        let headers = Headers::from([
            ("traceparent".into(), "00-x".into()),
            ("x-death".into(), "old".into()),
            ("task_id".into(), "t1".into()),
        ]);
        let parcel = Parcel::dead(
            Queue::named("q"),
            None,
            b"raw".to_vec(),
            headers,
            &obituary("boom"),
        );
        let letter = DeadLetter {
            body: parcel.body,
            headers: parcel.headers,
        };
        assert_eq!(letter.reason(), Some("permanent"));
        assert_eq!(letter.error(), Some("boom: cause"));
        assert_eq!(letter.attempts(), Some(2));
        assert_eq!(letter.trace_id(), Some("abc"));
        assert_eq!(letter.task_id(), Some("t1"));
        assert_eq!(
            letter.headers.get("traceparent").map(String::as_str),
            Some("00-x")
        );
        assert!(!letter.headers.contains_key("x-death"));
        assert_eq!(parcel.id, "t1");
    }

    #[test]
    fn a_replay_is_the_same_message_from_the_start_on_the_level_it_died_on() {
        let body = br#"{"task_id":"t1","task_name":"add","labels":{"priority":"1","_retries":"2","traceparent":"00-x"},"args":[1],"kwargs":{}}"#;
        let queue = Queue::named("q").levels(4);
        let parcel = Parcel::dead(
            queue,
            Message::decode(body).ok().as_ref(),
            body.to_vec(),
            Headers::new(),
            &obituary("boom"),
        );
        let letter = DeadLetter {
            body: parcel.body,
            headers: parcel.headers,
        };
        let replay = letter.replay(queue).expect("a message");
        let message = Message::decode(&replay.body).expect("a message");
        assert_eq!((message.id.as_str(), message.attempt()), ("t1", 1));
        assert_eq!(message.labels.text("traceparent"), Some("00-x"));
        assert_eq!(message.args.positional, [serde_json::json!(1)]);
        let Destination::Work(route) = replay.to else {
            panic!("to work: {:?}", replay.to)
        };
        assert_eq!((route.level.number(), route.delay), (3, Duration::ZERO));
        assert!(!replay.headers.keys().any(|name| name.starts_with("dead-")));
    }

    #[test]
    fn what_is_no_message_is_not_replayed() {
        let letter = DeadLetter {
            body: b"raw".to_vec(),
            headers: Headers::new(),
        };
        assert!(matches!(
            letter.replay(Queue::named("q")),
            Err(NotReplayable::Undecodable(_))
        ));
    }

    #[test]
    fn a_header_that_is_no_id_is_not_the_letters_id() {
        let headers = Headers::from([("task_id".to_owned(), "h".repeat(300))]);
        let parcel = Parcel::dead(
            Queue::named("q"),
            None,
            Vec::new(),
            headers,
            &obituary("boom"),
        );
        assert_eq!(parcel.id, "");
    }

    #[test]
    fn a_long_name_is_cut() {
        let message = Message {
            id: crate::message::MessageId::new(),
            task: "x".repeat(100_000),
            labels: crate::message::Labels::default(),
            args: crate::message::Args::default(),
        };
        let parcel = Parcel::dead(
            Queue::named("q"),
            Some(&message),
            Vec::new(),
            Headers::new(),
            &obituary("boom"),
        );
        assert_eq!(parcel.headers["task_name"].len(), MAX_NAME_BYTES);
    }

    #[test]
    fn a_long_error_is_cut_at_a_character() {
        let parcel = Parcel::dead(
            Queue::named("q"),
            None,
            Vec::new(),
            Headers::new(),
            &obituary(&"é".repeat(4000)),
        );
        assert!(parcel.headers["dead-error"].len() <= MAX_ERROR_BYTES);
    }
}
