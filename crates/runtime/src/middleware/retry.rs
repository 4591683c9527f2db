//! Decides what a failure means: another attempt after a pause, or the end. A pure function; settle carries it out.

use std::time::Duration;

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::error::{ErrorKind, TaskError};
use crate::job::Job;
use crate::outcome::{Cancelled, DeadReason, Outcome};
use crate::stop::StopReason;
use crate::task::Policy;

pub(super) struct Retry;

#[async_trait]
impl Middleware for Retry {
    fn name(&self) -> &'static str {
        "retry"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        match next.run(job).await {
            // Whatever a handler returns once the worker has asked it to end, it was the asking that ended it.
            Outcome::Failed(_) if job.stop.interrupted() => Outcome::Interrupted,
            Outcome::Failed(_) if job.stop.reason() == Some(StopReason::Cancelled) => {
                Outcome::Cancelled {
                    why: Cancelled::Asked,
                }
            }
            Outcome::Failed(error) => {
                let decided = decide(error, job.attempt, &job.policy, dice());
                unless_too_late(decided, time_left(job))
            }
            other => other,
        }
    }
}

/// What a failure of this attempt comes to; `dice` in 0..=1 is the jitter.
fn decide(error: TaskError, attempt: u32, policy: &Policy, dice: f64) -> Outcome {
    match error.kind() {
        ErrorKind::Snooze(after) => Outcome::Snooze { after },
        ErrorKind::Permanent => Outcome::Dead {
            reason: DeadReason::Permanent,
            error,
        },
        ErrorKind::BadArgs => Outcome::Dead {
            reason: DeadReason::BadArgs,
            error,
        },
        _ if attempt >= policy.attempts => Outcome::Dead {
            reason: DeadReason::Exhausted,
            error,
        },
        ErrorKind::RetryAfter(after) => Outcome::Retry { error, after },
        ErrorKind::Retryable | ErrorKind::Timeout | ErrorKind::Panic => Outcome::Retry {
            error,
            after: policy.backoff.pause(attempt, dice),
        },
    }
}

/// Whether another attempt follows on one that ends now: with an error, or dropped. As [`decide`], and what asked it to end counts first.
pub(crate) fn comes_again(
    asked: Option<StopReason>,
    error: Option<ErrorKind>,
    is_last: bool,
) -> bool {
    match (asked, error) {
        (Some(StopReason::Interrupted), _) => true,
        (Some(StopReason::Cancelled), _) => false,
        (None, Some(ErrorKind::Permanent | ErrorKind::BadArgs)) => false,
        (None, Some(ErrorKind::Snooze(_))) => true,
        (None | Some(StopReason::TimedOut), _) => !is_last,
    }
}

/// How long the message may still run: nothing if that is what ended the attempt.
fn time_left(job: &Job) -> Option<Duration> {
    let ran_out =
        job.time_limit < job.policy.timeout && job.stop.reason() == Some(StopReason::TimedOut);
    if ran_out {
        Some(Duration::ZERO)
    } else {
        job.message.time_left()
    }
}

/// What would only run again when it is too late has come to its end.
fn unless_too_late(outcome: Outcome, left: Option<Duration>) -> Outcome {
    let Some(left) = left else { return outcome };
    match outcome {
        Outcome::Retry { error, after } if after >= left => Outcome::Dead {
            reason: DeadReason::Expired,
            error: error.context("no time is left for another attempt"),
        },
        Outcome::Snooze { after } if after >= left => Outcome::Dead {
            reason: DeadReason::Expired,
            error: TaskError::permanent("it would come back when it is too late to run"),
        },
        other => other,
    }
}

/// A random number in 0..1, from the random bits of a UUID: good enough to spread retries, and no crate more.
fn dice() -> f64 {
    let (_, low) = uuid::Uuid::new_v4().as_u64_pair();
    // The two highest bits are the UUID's variant; 52 bits are what a fraction holds exactly.
    let bits = u32::try_from((low << 2) >> 32).unwrap_or(0);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::seconds;

    fn word(kind: ErrorKind, attempt: u32) -> (&'static str, Option<u64>) {
        let outcome = decide(
            TaskError::new(kind, "x"),
            attempt,
            &Policy::DEFAULT.attempts(3),
            1.0,
        );
        let pause = match &outcome {
            Outcome::Retry { after, .. } | Outcome::Snooze { after } => Some(after.as_secs()),
            _ => None,
        };
        (outcome.word(), pause)
    }

    #[test]
    fn what_a_failure_means() {
        let table = [
            (ErrorKind::Retryable, 1, ("retry", Some(2))),
            (ErrorKind::Retryable, 2, ("retry", Some(4))),
            (ErrorKind::Retryable, 3, ("dead", None)),
            (ErrorKind::Timeout, 1, ("retry", Some(2))),
            (ErrorKind::Panic, 3, ("dead", None)),
            (ErrorKind::RetryAfter(seconds(9)), 1, ("retry", Some(9))),
            (ErrorKind::RetryAfter(seconds(9)), 3, ("dead", None)),
            (ErrorKind::Permanent, 1, ("dead", None)),
            (ErrorKind::BadArgs, 1, ("dead", None)),
            (ErrorKind::Snooze(seconds(5)), 1, ("snooze", Some(5))),
            (ErrorKind::Snooze(seconds(5)), 99, ("snooze", Some(5))),
        ];
        for (kind, attempt, expected) in table {
            assert_eq!(word(kind, attempt), expected, "{kind:?}, attempt {attempt}");
        }
    }

    #[test]
    fn what_comes_again() {
        use ErrorKind::{BadArgs, Permanent, Retryable, Snooze};
        use StopReason::{Cancelled, Interrupted, TimedOut};
        // Who asked, the error, and whether there is another attempt: of an earlier one, and of the last.
        let table = [
            (None, Some(Retryable), (true, false)),
            (None, Some(ErrorKind::Timeout), (true, false)),
            (None, Some(Permanent), (false, false)),
            (None, Some(BadArgs), (false, false)),
            (None, Some(Snooze(seconds(5))), (true, true)),
            (None, None, (true, false)),
            (Some(TimedOut), Some(Permanent), (true, false)),
            (Some(TimedOut), None, (true, false)),
            (Some(Interrupted), Some(Permanent), (true, true)),
            (Some(Interrupted), None, (true, true)),
            (Some(Cancelled), Some(Retryable), (false, false)),
            (Some(Cancelled), None, (false, false)),
        ];
        for (asked, error, expected) in table {
            let found = [false, true].map(|is_last| comes_again(asked, error, is_last));
            assert_eq!((found[0], found[1]), expected, "{asked:?}, {error:?}");
        }
    }

    #[test]
    fn what_would_come_back_too_late_is_dead() {
        let retry = || decide(TaskError::from("x"), 1, &Policy::DEFAULT, 1.0);
        let snooze = || Outcome::Snooze { after: seconds(2) };
        let table = [
            (retry(), None, "retry"),
            (retry(), Some(seconds(3)), "retry"),
            (retry(), Some(seconds(2)), "dead"),
            (snooze(), Some(seconds(3)), "snooze"),
            (snooze(), Some(seconds(2)), "dead"),
            (Outcome::Interrupted, Some(Duration::ZERO), "interrupted"),
        ];
        for (outcome, left, expected) in table {
            assert_eq!(unless_too_late(outcome, left).word(), expected);
        }
    }

    #[test]
    fn jitter_is_spread_over_the_whole_range() {
        let throws: Vec<f64> = (0..1000).map(|_| dice()).collect();
        assert!(throws.iter().all(|d| (0.0..1.0).contains(d)));
        assert!(throws.iter().any(|d| *d < 0.1) && throws.iter().any(|d| *d > 0.9));
    }
}
