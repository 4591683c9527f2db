//! What the process tests share. They wait for what really happens, and at most [`PATIENCE`] for it.

pub(crate) mod authority;
pub(crate) mod footage;
mod health;
mod media;
mod namespace;
mod process;
mod receiver;
mod space;
mod steps;

pub(crate) use health::Page;
pub(crate) use media::{INTERVIEW, film, long_clip};
pub(crate) use process::{Ended, Process, alive, json};
pub(crate) use receiver::{Answer, Receiver, Span};
pub(crate) use space::{Space, broker_place, broker_url, result_url};
pub(crate) use steps::{outcomes, steps};

use std::time::Duration;

/// The most that one event may take. Generous: two cores may be shared with a compiler and with other tests' encoders.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between two looks at what tells nobody when it changes: files, and the table of processes.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The event, or a panic that names it.
pub(crate) async fn within<T>(what: &str, event: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, event)
        .await
        .unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}"))
}

/// Looks until it is so.
pub(crate) async fn until(what: &str, so: impl Fn() -> bool) {
    let mut looks = tokio::time::interval(LOOK_AGAIN);
    within(what, async {
        while !so() {
            looks.tick().await;
        }
    })
    .await;
}
