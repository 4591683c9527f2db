//! How an attempt learns that it must end: one token, tripped by its deadline or by the worker's drain.
//! The token only asks; whoever tripped it also bounds how long the answer may take.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio_util::sync::CancellationToken;

/// Asks one attempt to end, and remembers who asked.
#[derive(Debug)]
pub struct Stop {
    token: CancellationToken,
    worker: CancellationToken,
    timed_out: AtomicBool,
}

impl Stop {
    /// A stop that also trips when the worker's token does.
    #[must_use]
    pub fn under(worker: &CancellationToken) -> Self {
        Self {
            token: worker.child_token(),
            worker: worker.clone(),
            timed_out: AtomicBool::new(false),
        }
    }

    /// The token to hand to whatever must end with the attempt.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Whether the worker asked, before the deadline did.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.worker.is_cancelled() && !self.timed_out.load(Ordering::Acquire)
    }

    pub(crate) fn time_out(&self) {
        if !self.worker.is_cancelled() {
            self.timed_out.store(true, Ordering::Release);
        }
        self.token.cancel();
    }

    pub(crate) async fn worker_asked(&self) {
        self.worker.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_ask_is_the_reason() {
        let worker = CancellationToken::new();
        let late = Stop::under(&worker);
        late.time_out();
        worker.cancel();
        assert!(late.token().is_cancelled() && !late.interrupted());

        let drained = Stop::under(&worker);
        drained.time_out();
        assert!(drained.token().is_cancelled() && drained.interrupted());
    }
}
