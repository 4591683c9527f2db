//! Middleware that gets in the way of a role's own worker: what was done is done, and yet its task is not. It knows no role.

use std::future::pending;
use std::sync::Arc;

use sapari_runtime::prelude::*;
use tokio::sync::Notify;

/// The first attempt fails after its handler has done all that it had to do.
pub(crate) struct FailsOnce;

/// The attempt never comes to its end after its handler has done all that it had to do, and this is told then.
pub(crate) struct Hangs(pub(crate) Arc<Notify>);

/// Does this before the second attempt.
pub(crate) struct BeforeSecond<F>(pub(crate) F);

#[async_trait]
impl Middleware for FailsOnce {
    fn name(&self) -> &'static str {
        "fails-once"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        match next.run(job).await {
            Outcome::Done(_) if job.attempt == 1 => Outcome::Retry {
                error: TaskError::from("nobody was told"),
                after: seconds(0),
            },
            other => other,
        }
    }
}

#[async_trait]
impl Middleware for Hangs {
    fn name(&self) -> &'static str {
        "hangs"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        let Outcome::Done(_) = next.run(job).await else {
            panic!("the handler has failed");
        };
        self.0.notify_one();
        pending().await
    }
}

#[async_trait]
impl<F: Fn() + Send + Sync + 'static> Middleware for BeforeSecond<F> {
    fn name(&self) -> &'static str {
        "before-second"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        if job.attempt == 2 {
            self.0();
        }
        next.run(job).await
    }
}

/// The spans of the attempt that was the message's second, or first in another process: all below the last `taskiq.` span of a tree,
/// without what draws it.
pub(crate) fn last_attempt(tree: &str) -> Vec<&str> {
    let lines: Vec<&str> = tree
        .lines()
        .map(|line| line.trim_start_matches(['│', '├', '└', '─', ' ']))
        .collect();
    let task = lines.iter().rposition(|line| line.starts_with("taskiq."));
    lines[task.map_or(0, |task| task + 1)..].to_vec()
}
