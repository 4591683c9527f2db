//! Trying again while a server is away, for a bounded time. What is tried, and which errors may pass, is the caller's to say.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::duration::seconds;

/// How long a result store or broker that is away is waited for before the message is handed back.
const KEEP_TRYING: Duration = seconds(30);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries.
pub(super) const LONGEST_PAUSE: Duration = seconds(5);

/// Tries until it works, the error says that it never will, or the time is up.
pub(super) async fn keep_trying<T, E, F>(
    attempt: impl Fn() -> F,
    may_pass: impl Fn(&E) -> bool,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(error) if may_pass(&error) && begun.elapsed() + pause < KEEP_TRYING => {
                tracing::warn!(%error, "settling waits for a server");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            other => return other,
        }
    }
}
