//! What was said, word by word: what steps hand to each other and keep for the next attempt. Times are whole microseconds of the clip.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A word, and when it was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Word {
    pub(crate) text: String,
    pub(crate) at: Stretch,
}

/// From when to when; the end is never before the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Stretch {
    pub(crate) from_us: u64,
    pub(crate) to_us: u64,
}

/// What was heard in a clip, in the order of the words' beginnings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transcript {
    pub(crate) words: Vec<Word>,
}

impl Stretch {
    pub(crate) fn between(from: Duration, to: Duration) -> Self {
        let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Self {
            from_us: us(from),
            to_us: us(to.max(from)),
        }
    }

    pub(crate) fn from(self) -> Duration {
        Duration::from_micros(self.from_us)
    }

    pub(crate) fn to(self) -> Duration {
        Duration::from_micros(self.to_us)
    }

    pub(crate) fn middle(self) -> u64 {
        self.from_us.midpoint(self.to_us)
    }
}

/// A word as it is compared: lower case, letters and digits only.
pub(crate) fn plain(word: &str) -> String {
    let letters = word.chars().filter(|c| c.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Stretches in order, with those that overlap or touch made one, and those of no length left out.
pub(crate) fn merged(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_unstable();
    let mut out: Vec<Stretch> = Vec::with_capacity(stretches.len());
    for next in stretches {
        match out.last_mut() {
            Some(last) if next.from_us <= last.to_us => last.to_us = last.to_us.max(next.to_us),
            _ if next.from_us < next.to_us => out.push(next),
            _ => {}
        }
    }
    out
}
