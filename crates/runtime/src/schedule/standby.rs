//! When one that stands by tries to get the baton: not while the leader renews its lease, and less often the longer somebody else
//! holds the baton. A try that is refused is an error in the broker's log, so that tries must not be the way to find out.
//!
//! It decides and asks nobody: what the book says of the leader is handed in.

use std::time::Duration;

use tokio::time::Instant;

use super::scheduler::LEASE;
use crate::ledger::Leader;

/// A leader that has not renewed its lease for so long may be dead: it has missed two times, and the third is due. And so long may the
/// book take to answer the leader.
pub(super) const SILENT: Duration = Duration::from_millis(1500);
/// The pause after the first refusal, and as long as pauses become.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// One that stands by.
#[derive(Debug, Default)]
pub(super) struct Standby {
    /// How often in a row it was refused.
    refused: u32,
    not_before: Option<Instant>,
}

impl Standby {
    /// Whether to try now, by what the book says of the leader. A lead of its own is one that has ended.
    pub(super) fn tries(&mut self, leader: Option<&Leader>, who: &str, now: Instant) -> bool {
        if leader.is_some_and(|leader| leader.who != who && is_alive(leader)) {
            *self = Self::default();
            return false;
        }
        self.not_before.is_none_or(|at| at <= now)
    }

    /// Somebody else holds the baton.
    pub(super) fn was_refused(&mut self, now: Instant) {
        let (first, longest) = PAUSES;
        let pause = first * 2_u32.saturating_pow(self.refused.min(8));
        self.refused += 1;
        self.not_before = Some(now + pause.min(longest));
    }
}

fn is_alive(leader: &Leader) -> bool {
    LEASE.saturating_sub(leader.left) < SILENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(silent_ms: u64) -> Option<Leader> {
        Some(Leader {
            who: "other".to_owned(),
            number: 1,
            left: LEASE - Duration::from_millis(silent_ms),
        })
    }

    #[test]
    fn it_tries_once_nobody_renews_the_lease() {
        let now = Instant::now();
        for (book, who, expected) in [
            (None, "me", true),
            (leader(0), "me", false),
            (leader(1499), "me", false),
            (leader(1500), "me", true),
            (leader(5000), "me", true),
            // Its own lead has ended, whatever the lease says.
            (leader(0), "other", true),
        ] {
            let tries = Standby::default().tries(book.as_ref(), who, now);
            assert_eq!(tries, expected, "{book:?} for {who}");
        }
    }

    #[test]
    fn it_tries_less_often_the_longer_it_is_refused() {
        let begun = Instant::now();
        let mut standby = Standby::default();
        let mut tried = Vec::new();
        for after in 0..40 {
            let now = begun + Duration::from_millis(500) * after;
            if standby.tries(None, "me", now) {
                standby.was_refused(now);
                tried.push(after);
            }
        }
        // In halves of a second.
        assert_eq!(tried, [0, 2, 6, 14, 24, 34]);
        let later = begun + Duration::from_secs(21);
        assert!(!standby.tries(leader(0).as_ref(), "me", later));
        assert!(
            standby.tries(None, "me", later),
            "a leader that lived and ended is another one"
        );
    }
}
