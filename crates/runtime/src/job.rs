//! One attempt as middleware sees it. Values only: running it is the worker's, deciding the middleware's.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use crate::message::{Message, label};
use crate::queue::{Level, Queue};
use crate::stop::Stop;
use crate::task::Policy;

/// One attempt to run a message.
#[derive(Debug)]
pub struct Job {
    /// What was asked for.
    pub message: Arc<Message>,
    /// The queue it came from.
    pub queue: Queue,
    /// The level it waited on.
    pub level: Level,
    /// Which attempt this is, 1 the first.
    pub attempt: u32,
    /// The task's policy, with what the message's own labels say instead.
    pub policy: Policy,
    /// How long this attempt may take: the policy's timeout, or what is left until the message expires.
    pub time_limit: Duration,
    /// How it is asked to end.
    pub stop: Stop,
    /// The attempt's `taskiq.<task>` span.
    pub span: Span,
}

impl Job {
    /// Whether a failure of this attempt is the end.
    #[must_use]
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.policy.attempts
    }
}

impl Policy {
    /// This policy, with what a message's labels say instead: `timeout` in seconds, and `max_retries`, which counts attempts.
    pub(crate) fn overridden_by(mut self, message: &Message) -> Self {
        let timeout = message
            .labels
            .float(label::TIMEOUT)
            .filter(|seconds| *seconds > 0.0);
        if let Some(timeout) = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        {
            self.timeout = timeout;
        }
        let attempts = message
            .labels
            .int(label::MAX_ATTEMPTS)
            .and_then(|n| u32::try_from(n).ok());
        attempts.map_or(self, |attempts| self.attempts(attempts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Args, Labels, MessageId};

    fn message(set: impl FnOnce(&mut Labels)) -> Message {
        let mut labels = Labels::default();
        set(&mut labels);
        Message {
            id: MessageId::new(),
            task: "t".into(),
            labels,
            args: Args::default(),
        }
    }

    #[test]
    fn labels_of_the_message_win_over_the_policy() {
        let ours = Policy::DEFAULT.attempts(3).timeout(Duration::from_secs(60));
        let theirs = ours.overridden_by(&message(|labels| {
            labels.set_float("timeout", 1.5);
            labels.set_int("max_retries", 7);
        }));
        assert_eq!(
            (theirs.attempts, theirs.timeout),
            (7, Duration::from_millis(1500))
        );
    }

    #[test]
    fn labels_that_make_no_sense_change_nothing() {
        for timeout in [0.0, -1.0, 1e300] {
            let policy = Policy::DEFAULT.overridden_by(&message(|labels| {
                labels.set_float("timeout", timeout);
                labels.set_int("max_retries", -1);
            }));
            assert_eq!(policy, Policy::DEFAULT);
        }
    }
}
