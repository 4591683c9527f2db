//! What a handler returns when it fails: an error with a kind that says whether trying again can help.
//! Not `std::error::Error` itself, so that `?` turns any error into one; errors of brokers and results live with them.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Any error that may cross threads.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a handler returns.
pub type TaskResult<T> = Result<T, TaskError>;

/// A failed attempt: why, and whether another one can help.
pub struct TaskError {
    kind: ErrorKind,
    type_name: &'static str,
    source: BoxError,
}

/// What an error means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Trying again may help: backoff by the task's policy.
    Retryable,
    /// Trying again may help, after this long.
    RetryAfter(Duration),
    /// Not a failure: come back after this long, and count no attempt.
    Snooze(Duration),
    /// No retry can heal this.
    Permanent,
    /// The args do not fit the task.
    BadArgs,
    /// The attempt took longer than the policy allows.
    Timeout,
    /// The handler panicked.
    Panic,
}

impl TaskError {
    /// An error of the given kind.
    pub fn new(kind: ErrorKind, source: impl Into<BoxError>) -> Self {
        Self {
            kind,
            type_name: kind.type_name(),
            source: source.into(),
        }
    }

    /// An error that no retry can heal.
    pub fn permanent(source: impl Into<BoxError>) -> Self {
        Self::new(ErrorKind::Permanent, source)
    }

    /// The same error with another kind. A snooze, a bad-args error, a timeout and a panic keep theirs.
    #[must_use]
    pub fn into_kind(mut self, kind: ErrorKind) -> Self {
        if matches!(
            self.kind,
            ErrorKind::Retryable | ErrorKind::RetryAfter(_) | ErrorKind::Permanent
        ) {
            self.kind = kind;
        }
        self
    }

    /// Puts a sentence before the error, keeping kind and cause.
    #[must_use]
    pub fn context(self, sentence: impl Into<String>) -> Self {
        let source = Box::new(WithContext {
            sentence: sentence.into(),
            source: self.source,
        });
        Self { source, ..self }
    }

    /// What the error means for the next attempt.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// A low-cardinality name for spans and metrics: the error's type, `Timeout`, `Panic` ...
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// The error's own message, then those of its causes, outermost first.
    pub fn chain(&self) -> impl Iterator<Item = String> + '_ {
        let first: &(dyn StdError + 'static) = self.source.as_ref();
        std::iter::successors(Some(first), |error| (*error).source()).map(ToString::to_string)
    }

    /// The whole chain as one sentence: the error, and its causes behind it.
    #[must_use]
    pub fn sentence(&self) -> String {
        joined(self.chain())
    }

    /// The error that was returned.
    #[must_use]
    pub fn source(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.source.as_ref()
    }
}

impl ErrorKind {
    const fn type_name(self) -> &'static str {
        match self {
            Self::Retryable | Self::RetryAfter(_) => "Error",
            Self::Snooze(_) => "Snooze",
            Self::Permanent => "Permanent",
            Self::BadArgs => "BadArgs",
            Self::Timeout => "Timeout",
            Self::Panic => "Panic",
        }
    }
}

impl<E: Into<BoxError>> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self {
            kind: ErrorKind::Retryable,
            type_name: short_type_name::<E>(),
            source: error.into(),
        }
    }
}

/// The last segment of a type's path, without generics: low-cardinality by construction.
fn short_type_name<E>() -> &'static str {
    let full = std::any::type_name::<E>();
    let path = full.split('<').next().unwrap_or(full);
    match path.rsplit("::").next().unwrap_or(path) {
        "&str" | "String" | "Box" => "Error",
        short => short,
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.sentence())
    }
}

/// One sentence from an error and its causes. Some errors repeat their cause in their own text: it is said once.
pub(crate) fn joined(chain: impl Iterator<Item = String>) -> String {
    chain.fold(String::new(), |said, part| match said.as_str() {
        "" => part,
        before if before.contains(&part) => said,
        before => format!("{before}: {part}"),
    })
}

#[derive(Debug)]
struct WithContext {
    sentence: String,
    source: BoxError,
}

impl fmt::Display for WithContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl StdError for WithContext {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Says, at the spot where an error is met, what it means for the next attempt.
pub trait Classify<T, E> {
    /// No retry can heal it.
    ///
    /// # Errors
    /// The error, as [`ErrorKind::Permanent`].
    fn permanent(self) -> TaskResult<T>;
    /// No retry can heal it if `judge` says so; otherwise trying again may help.
    ///
    /// # Errors
    /// The error, as [`ErrorKind::Permanent`] or as it was.
    fn permanent_when(self, judge: impl FnOnce(&E) -> bool) -> TaskResult<T>;
    /// Try again after `pause`.
    ///
    /// # Errors
    /// The error, as [`ErrorKind::RetryAfter`].
    fn retry_after(self, pause: Duration) -> TaskResult<T>;
    /// Come back after `pause`, and count no attempt.
    ///
    /// # Errors
    /// The error, as [`ErrorKind::Snooze`].
    fn snooze(self, pause: Duration) -> TaskResult<T>;
}

impl<T, E: Into<TaskError>> Classify<T, E> for Result<T, E> {
    fn permanent(self) -> TaskResult<T> {
        self.map_err(|error| error.into().into_kind(ErrorKind::Permanent))
    }

    fn permanent_when(self, judge: impl FnOnce(&E) -> bool) -> TaskResult<T> {
        self.map_err(|error| {
            let permanent = judge(&error);
            let error = error.into();
            if permanent {
                error.into_kind(ErrorKind::Permanent)
            } else {
                error
            }
        })
    }

    fn retry_after(self, pause: Duration) -> TaskResult<T> {
        self.map_err(|error| error.into().into_kind(ErrorKind::RetryAfter(pause)))
    }

    fn snooze(self, pause: Duration) -> TaskResult<T> {
        self.map_err(|error| error.into().into_kind(ErrorKind::Snooze(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> TaskResult<u32> {
        Ok(text.parse::<u32>()?)
    }

    #[test]
    fn the_question_mark_takes_any_error_and_names_its_type() {
        let error = parse("x").expect_err("not a number");
        assert_eq!(error.kind(), ErrorKind::Retryable);
        assert_eq!(error.type_name(), "ParseIntError");
    }

    #[test]
    fn a_kind_is_given_at_the_spot() {
        let error = "x".parse::<u32>().permanent().expect_err("not a number");
        assert_eq!(error.kind(), ErrorKind::Permanent);
        assert_eq!(error.type_name(), "ParseIntError");
        let later = Err::<(), _>("busy")
            .retry_after(Duration::from_secs(9))
            .expect_err("busy");
        assert_eq!(later.kind(), ErrorKind::RetryAfter(Duration::from_secs(9)));
    }

    #[test]
    fn a_timeout_stays_a_timeout() {
        let error = TaskError::new(ErrorKind::Timeout, "late").into_kind(ErrorKind::Permanent);
        assert_eq!(error.kind(), ErrorKind::Timeout);
    }

    #[test]
    fn context_comes_first_and_the_cause_is_kept() {
        let error = parse("x")
            .expect_err("not a number")
            .context("step `count` failed");
        let chain: Vec<String> = error.chain().collect();
        assert_eq!(
            chain,
            ["step `count` failed", "invalid digit found in string"]
        );
    }
}
