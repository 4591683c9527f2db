//! How a child process can go wrong.
//!
//! It deliberately does not say whether a retry helps: that depends on the program, and its own
//! client knows.

use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

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
    /// The program ran for longer than the caller allowed; it was killed.
    #[error("`{program}` did not end within {limit:?}: it was stopped")]
    TooSlow {
        /// What was run.
        program: String,
        /// The limit.
        limit: Duration,
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

/// The most that a sentence takes of what a program said: lines, and characters of each.
const SAID_LINES: usize = 3;
const SAID_CHARS: usize = 300;

/// What ffmpeg writes after the lines that tell why.
const TELLS_NOTHING: [&str; 3] = ["Conversion failed!", "Last message repeated", "Exiting"];

/// The lines that tell something, from the last one to the first.
pub(crate) fn telling(stderr: &str) -> impl Iterator<Item = &str> {
    let lines = stderr.lines().rev().map(str::trim);
    let tells = |line: &&str| {
        let nothing = TELLS_NOTHING.iter().any(|words| line.starts_with(words));
        !line.is_empty() && !nothing
    };
    lines.filter(tells)
}

fn said(stderr_tail: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in telling(stderr_tail) {
        if lines.len() == SAID_LINES {
            break;
        }
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let lines: Vec<String> = lines.into_iter().rev().map(short).collect();
    format!(": {}", lines.join("; "))
}

fn short(line: &str) -> String {
    match line.char_indices().nth(SAID_CHARS) {
        Some((end, _)) => format!("{}..", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_that_tell_something_are_given() {
        let long = "\u{e4}".repeat(SAID_CHARS + 1);
        let cut = format!(": {}..", "\u{e4}".repeat(SAID_CHARS));
        let table = [
            ("", ""),
            (" \n\n", ""),
            ("Conversion failed!\n", ""),
            ("one\ntwo\n", ": one; two"),
            ("one\ntwo\nthree\nfour\n", ": two; three; four"),
            ("full\nfull\r\nfull\nout: full\n", ": full; out: full"),
            (
                "[out#0 @ 0x5] could not write\nout.mp4: No space left on device\n\n    Last message repeated 3 \
                 times\nConversion failed!\n",
                ": [out#0 @ 0x5] could not write; out.mp4: No space left on device",
            ),
            (&long, &cut),
        ];
        for (stderr, expected) in table {
            assert_eq!(said(stderr), expected, "{stderr:?}");
        }
    }
}
