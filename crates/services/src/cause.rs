//! What a client library says went wrong, as text that may be shown: the error itself, with whatever it quotes, ends here.

use std::error::Error;
use std::fmt;

use crate::redact::redacted;

/// An error with all its causes, as text without secrets.
pub struct Cause(String);

impl Cause {
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let causes = std::iter::successors(Some(error), |error| (*error).source());
        let mut text = String::new();
        for words in causes.map(ToString::to_string) {
            // Some errors quote their cause.
            if !text.contains(&words) {
                text.push_str(if text.is_empty() { "" } else { ": " });
                text.push_str(&words);
            }
        }
        Self(redacted(&text))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
