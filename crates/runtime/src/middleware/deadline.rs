//! Bounds one attempt: at the timeout the token trips; a handler that does not end soon after is dropped. What was cancelled
//! or interrupted gets the same time to end, and no more.
//! A handler that blocks its thread cannot be dropped: that is what `#[task(blocking)]` is for.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::{Middleware, Next};
use crate::error::{ErrorKind, TaskError};
use crate::job::Job;
use crate::outcome::{Cancelled, Outcome};
use crate::stop::StopReason;

pub(super) struct Deadline;

#[async_trait]
impl Middleware for Deadline {
    fn name(&self) -> &'static str {
        "deadline"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        let running = next.run(job);
        tokio::pin!(running);
        // The handler first: one that ends at once arms no timer.
        tokio::select! {
            biased;
            outcome = &mut running => return outcome,
            () = sleep(job.time_limit) => job.stop.time_out(),
            () = job.stop.called_off() => {}
        }
        let ended = timeout(job.policy.abort_after, running).await;
        match (ended, job.stop.reason()) {
            // What was finished in spite of it is finished.
            (Ok(done @ Outcome::Done(_)), _) => done,
            (_, Some(StopReason::Cancelled)) => Outcome::Cancelled {
                why: Cancelled::Asked,
            },
            (_, Some(StopReason::Interrupted)) => Outcome::Interrupted,
            _ => Outcome::Failed(too_long(job.time_limit)),
        }
    }
}

fn too_long(limit: Duration) -> TaskError {
    TaskError::new(
        ErrorKind::Timeout,
        format!("the attempt took longer than its timeout of {limit:?}"),
    )
}
