//! Turns a panic of the handler, or of a layer inside, into a failure like any other. The worker lives on.

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::job::Job;
use crate::outcome::Outcome;
use crate::panics;

pub(super) struct CatchPanic;

#[async_trait]
impl Middleware for CatchPanic {
    fn name(&self) -> &'static str {
        "panic"
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        match panics::catch_async(next.run(job)).await {
            Ok(outcome) => outcome,
            Err(panic) => Outcome::Failed(panic.into_error()),
        }
    }
}
