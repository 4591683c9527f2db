//! How a process ends: the codes of sysexits, and one clear message on stderr.

use std::error::Error as StdError;
use std::io::Write;
use std::process::ExitCode;

use crate::error::joined;

/// Why a process ends otherwise than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 1: what was asked for was done, and came to a failure.
    Failed,
    /// 64: bad settings or arguments, said before anything is connected.
    Usage,
    /// 69: a server or a program cannot be reached.
    Unavailable,
    /// 70: a bug.
    Software,
    /// 130: a second signal ended the process at once.
    Ended,
}

/// A failure and the code that it ends the process with.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub exit: Exit,
    /// The message, causes included.
    pub message: String,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Software => 70,
            Self::Ended => 130,
        }
    }

    /// A failure with this code: the error, and its causes behind it.
    #[must_use]
    pub fn because(self, error: &(dyn StdError + 'static)) -> Failure {
        let chain = std::iter::successors(Some(error), |error| (*error).source());
        Failure {
            exit: self,
            message: joined(chain.map(ToString::to_string)),
        }
    }

    /// A failure with this code and sentence.
    pub fn with(self, message: impl Into<String>) -> Failure {
        Failure {
            exit: self,
            message: message.into(),
        }
    }

    /// Says the sentence on stderr and gives the code.
    #[must_use]
    pub fn say(self, message: &str) -> ExitCode {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(std::io::stderr(), "error: {message}");
        ExitCode::from(self.code())
    }
}

impl Failure {
    /// Says it on stderr and gives the code.
    #[must_use]
    pub fn say(&self) -> ExitCode {
        self.exit.say(&self.message)
    }
}

/// Says what is wrong with a command line and gives 64, or prints the help that was asked for and gives 0.
#[must_use]
pub fn usage(mistake: &clap::Error) -> ExitCode {
    // Nobody is left to tell when the terminal is gone.
    let _ = mistake.print();
    if mistake.use_stderr() {
        ExitCode::from(Exit::Usage.code())
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_its_causes_once() {
        let inner = std::io::Error::other("connection refused");
        let outer = crate::broker::BrokerError::Refused {
            action: "open".into(),
            source: Box::new(inner),
        };
        let failure = Exit::Unavailable.because(&outer);
        assert_eq!(
            failure.message,
            "the broker refused to open: connection refused"
        );
        assert_eq!(failure.exit.code(), 69);
    }
}
