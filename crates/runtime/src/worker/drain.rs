//! The end of a worker: attempts get their grace, then they are asked to end, then they are dropped and handed back.
//! Bounded: it ends after the grace, the time to tidy up, and the time that settling may take.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(super) async fn drain(attempts: &TaskTracker, interrupt: &CancellationToken, grace: Duration) {
    attempts.close();
    if attempts.is_empty() {
        return;
    }
    tracing::info!(
        running = attempts.len(),
        ?grace,
        "draining: no new work is taken"
    );
    if timeout(grace, attempts.wait()).await.is_err() {
        tracing::info!(
            running = attempts.len(),
            "the grace is over: running attempts are interrupted"
        );
        interrupt.cancel();
        attempts.wait().await;
    }
}
