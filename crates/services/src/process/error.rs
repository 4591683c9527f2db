//! How a child process can go wrong.
//!
//! It deliberately does not say whether a retry helps: that depends on the program, and its own
//! client knows.

use std::fmt;
use std::io;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use thiserror::Error;

/// Why a child process gave no result.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no such program.
    #[error("`{program}` was not found: install it, or give its full path")]
    NotFound {
        /// What was to be run.
        program: String,
    },
    /// The program ran and reported failure.
    #[error("`{program}` failed with {exit}{}", said(stderr_tail))]
    Failed {
        /// What was run.
        program: String,
        /// How it ended.
        exit: Exit,
        /// The last 16 KiB of its stderr, without secrets of URLs.
        stderr_tail: String,
    },
    /// The caller's token was cancelled; the process and its group are gone.
    #[error("`{program}` was stopped because its task was cancelled")]
    Cancelled {
        /// What was run.
        program: String,
    },
    /// The program wrote more to stdout than the caller allowed; it was killed.
    #[error(
        "`{program}` wrote more than {limit} bytes to its stdout: raise the limit if that is expected"
    )]
    TooMuchOutput {
        /// What was run.
        program: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The process could not be started, read or waited for.
    #[error("could not {doing} `{program}`: {source}")]
    Io {
        /// What was run.
        program: String,
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl ProcessError {
    /// Whether the caller's own token ended the process.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled { .. })
    }
}

/// How a process ended without success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// `None` for success.
    pub(super) fn of(status: ExitStatus) -> Option<Self> {
        use std::os::unix::process::ExitStatusExt;
        match (status.code(), status.signal()) {
            (Some(0), _) => None,
            (Some(code), _) => Some(Self::Code(code)),
            (None, signal) => Some(Self::Signal(signal.unwrap_or_default())),
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {number} ({signal})"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

fn said(stderr_tail: &str) -> String {
    match stderr_tail
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())
    {
        Some(line) => format!(": {}", line.trim()),
        None => String::new(),
    }
}
