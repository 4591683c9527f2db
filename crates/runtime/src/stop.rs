//! How an attempt learns that it must end: one token, tripped by its deadline, by a cancel, or by the worker's drain.
//! The token only asks; whoever tripped it also bounds how long the answer may take.

use std::sync::{Arc, OnceLock};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Asks one attempt to end, and remembers who asked first. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop {
    token: CancellationToken,
    worker: CancellationToken,
    asked: Arc<OnceLock<(StopReason, Instant)>>,
}

/// Why an attempt is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The worker goes away: the message is handed back.
    Interrupted,
    /// The attempt took too long.
    TimedOut,
    /// Somebody cancelled the message.
    Cancelled,
}

impl Stop {
    /// A stop that also trips when the worker's token does.
    #[must_use]
    pub fn under(worker: &CancellationToken) -> Self {
        Self {
            token: worker.child_token(),
            worker: worker.clone(),
            asked: Arc::default(),
        }
    }

    /// The token to hand to whatever must end with the attempt.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Why it was asked to end, if it was: what was asked first counts.
    #[must_use]
    pub fn reason(&self) -> Option<StopReason> {
        let asked = self.asked.get().map(|(reason, _)| *reason);
        asked.or_else(|| {
            self.worker
                .is_cancelled()
                .then_some(StopReason::Interrupted)
        })
    }

    /// Whether the worker asked, before anybody else did.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.reason() == Some(StopReason::Interrupted)
    }

    /// Since when it has been asked to end for this reason; the worker's own asking has no time.
    pub(crate) fn asked_at(&self) -> Option<Instant> {
        self.asked.get().map(|(_, at)| *at)
    }

    pub(crate) fn time_out(&self) {
        self.ask(StopReason::TimedOut);
    }

    pub(crate) fn cancel(&self) {
        self.ask(StopReason::Cancelled);
    }

    fn ask(&self, reason: StopReason) {
        let reason = self.reason().unwrap_or(reason);
        // An error means that it was asked before: the first counts.
        let _ = self.asked.set((reason, Instant::now()));
        self.token.cancel();
    }

    /// Returns when it is asked to end by a drain or a cancel; a timeout is the deadline's own business. Cancel-safe.
    pub(crate) async fn called_off(&self) {
        self.token.cancelled().await;
        if self.reason() == Some(StopReason::TimedOut) {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_ask_is_the_reason() {
        let worker = CancellationToken::new();
        let (late, cancelled) = (Stop::under(&worker), Stop::under(&worker));
        assert_eq!(late.reason(), None);
        late.time_out();
        cancelled.cancel();
        cancelled.time_out();
        worker.cancel();
        assert!(late.token().is_cancelled() && cancelled.token().is_cancelled());
        assert_eq!(late.reason(), Some(StopReason::TimedOut));
        assert_eq!(cancelled.reason(), Some(StopReason::Cancelled));

        let drained = Stop::under(&worker);
        drained.time_out();
        assert!(drained.token().is_cancelled() && drained.interrupted());
    }
}
