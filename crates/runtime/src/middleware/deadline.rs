//! Bounds one attempt: at the timeout the token trips; a handler that does not end soon after is dropped.
//! A handler that blocks its thread cannot be dropped: that is what `#[task(blocking)]` is for.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::{Middleware, Next};
use crate::duration::seconds;
use crate::error::{ErrorKind, TaskError};
use crate::job::Job;
use crate::outcome::Outcome;

/// How long a handler may tidy up after its token has tripped; longer than a child process gets between TERM and KILL.
pub(crate) const TIDY_UP: Duration = seconds(8);

pub(super) struct Deadline;

#[async_trait]
impl Middleware for Deadline {
    fn name(&self) -> &'static str {
        "deadline"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        let running = next.run(job);
        tokio::pin!(running);
        tokio::select! {
            outcome = &mut running => return outcome,
            () = sleep(job.policy.timeout) => job.stop.time_out(),
        }
        match timeout(TIDY_UP, running).await {
            Ok(done @ Outcome::Done(_)) => done,
            _ => Outcome::Failed(too_long(job.policy.timeout)),
        }
    }
}

fn too_long(limit: Duration) -> TaskError {
    TaskError::new(
        ErrorKind::Timeout,
        format!("the attempt took longer than its timeout of {limit:?}"),
    )
}
