//! Counts and times tasks. Labels are bounded: names of known tasks and queues, never ids.

use async_trait::async_trait;
use sapari_telemetry::TaskMetrics;
use tokio::time::Instant;

use super::trace::queue_wait;
use super::{Middleware, Next, NextSend};
use crate::job::Job;
use crate::outbound::{KickError, Outbound};
use crate::outcome::Outcome;

pub(super) struct Metrics {
    tasks: TaskMetrics,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            tasks: TaskMetrics::new(),
        }
    }
}

#[async_trait]
impl Middleware for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    async fn send(&self, outbound: Outbound, next: NextSend<'_>) -> Result<(), KickError> {
        let queue = outbound.route.queue.name();
        let begun = Instant::now();
        let sent = next.run(outbound).await;
        self.tasks
            .published(queue, sent.is_ok(), begun.elapsed().as_secs_f64());
        sent
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        let queue = job.queue.name();
        if let Some(wait) = queue_wait(&job.message) {
            self.tasks.queue_wait(queue, wait.as_secs_f64());
        }
        let _running = InFlight::enter(&self.tasks, queue);
        let begun = Instant::now();
        let outcome = next.run(job).await;
        self.tasks.task_finished(
            &job.message.task,
            outcome.word(),
            begun.elapsed().as_secs_f64(),
        );
        outcome
    }
}

/// Counts down however the attempt ends, dropped included.
struct InFlight<'a> {
    tasks: &'a TaskMetrics,
    queue: &'static str,
}

impl<'a> InFlight<'a> {
    fn enter(tasks: &'a TaskMetrics, queue: &'static str) -> Self {
        tasks.in_flight(queue, 1);
        Self { tasks, queue }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.tasks.in_flight(self.queue, -1);
    }
}
