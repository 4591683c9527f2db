//! Trying again while a server is away, for a bounded time. What is tried, and which errors may pass, is the caller's to say.
//! Without the jitter of reconnects: those who wait here share one connection anyway.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::duration::seconds;

/// How long a result store or broker that is away is waited for before the message is handed back.
const KEEP_TRYING: Duration = seconds(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
pub(super) const LONGEST_PAUSE: Duration = seconds(5);

/// What is left of the time that a server is waited for, and how long the next pause is.
pub(super) struct Patience {
    begun: Instant,
    pause: Duration,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            pause: FIRST_PAUSE,
        }
    }

    /// The pause before another try; none when it would come too late.
    pub(super) fn next(&mut self) -> Option<Duration> {
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        (self.begun.elapsed() + pause < KEEP_TRYING).then_some(pause)
    }
}

/// Tries until it works, the error says that it never will, or the time is up.
pub(super) async fn keep_trying<T, E, F>(
    attempt: impl Fn() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let mut patience = Patience::new();
    loop {
        let error = match attempt().await {
            Err(error) if may_pass(&error) => error,
            other => return other,
        };
        let Some(pause) = patience.next() else {
            return Err(error);
        };
        tracing::warn!(%error, "settling waits for a server");
        sleep(pause).await;
    }
}
