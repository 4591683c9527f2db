//! A task through the whole stack on the embedded broker, under paused time, asserted as the text of its span tree.
//! What stands in these trees is what a person sees in a trace viewer.

mod again;
mod attempts;
mod contexts;
mod depots;
mod lists;
mod onion;
mod pipelines;
mod redelivery;
mod resuming;
mod spending;
mod steps;

use std::time::Duration;

use sapari_runtime::prelude::*;
use sapari_runtime::testing::{Harness, Running};
use sapari_telemetry::testing::Collector;
use sapari_telemetry::tree::TreeStyle;

/// What of each span is compared.
const ATTRIBUTES: &[&str] = &[
    "taskiq.attempt",
    "taskiq.outcome",
    "taskiq.raw_task_name",
    "pipeline.outcome",
    "pipeline.critical_path",
    "step.depends_on",
    "pipeline.failed_steps",
    "pipeline.ended_by",
    "step.attempt",
    "step.index",
    "step.items",
    "step.outcome",
    "step.reason",
    "usage.calls",
    "usage.input_tokens",
    "usage.output_tokens",
    "usage.cost_microcents",
    "usage.models",
    "project",
    "word",
];

const QUEUE: Queue = Queue::named("desk").levels(4);

/// Runs `program` against a worker and returns the spans of all it caused, once the worker has drained.
async fn tree<S, F>(worker: Worker<S>, program: F) -> String
where
    S: Send + Sync + 'static,
    F: AsyncFnOnce(&Tasks, &Running),
{
    let (collector, _default) = Collector::scoped();
    let (tasks, running) = Harness::new(worker).start();
    program(&tasks, &running).await;
    running.stop().await;
    collector.tree(&TreeStyle::for_tests(ATTRIBUTES))
}

/// Waits for a condition that only the worker can make true; time is paused, so each round is the next event.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let bound = tokio::time::Instant::now() + Duration::from_secs(3600);
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < bound,
            "{what} did not come true"
        );
        tokio::time::advance(Duration::from_millis(50)).await;
    }
}

async fn dead_letters(running: &Running, count: u64) {
    eventually("a dead letter", async || {
        running
            .broker()
            .depth(QUEUE)
            .await
            .is_ok_and(|depth| depth.dead == count)
    })
    .await;
}

/// Compares a tree, less its first line, with what is expected.
#[track_caller]
fn assert_tree(actual: &str, expected: &str) {
    let actual = actual.replace("trace <id 1> test\n", "");
    assert!(
        actual.trim() == expected.trim(),
        "the tree is\n{actual}\nand not\n{expected}"
    );
}
