//! One step: its attempts, each under its timeout and in its own span. A step that is dropped says so on its span.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use sapari_telemetry::framework::{self, StepSpan};
use sapari_telemetry::{mark_failed, mark_failed_with};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::{Node, StepSpec, Value};
use crate::context::TaskContext;
use crate::error::{ErrorKind, TaskError, TaskResult};
use crate::task::Task;

/// A step's attempt under way.
pub(super) type Running = Pin<Box<dyn Future<Output = TaskResult<Value>> + Send>>;

/// What a step may ask of its surroundings. Cheap to clone.
pub struct StepContext<In, Deps> {
    shared: Arc<Shared<In, Deps>>,
}

pub(super) struct Shared<In, Deps> {
    pub(super) task: In,
    pub(super) deps: Deps,
    pub(super) cx: TaskContext,
}

impl<In, Deps> Clone for StepContext<In, Deps> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<In, Deps> StepContext<In, Deps> {
    pub(super) fn new(shared: &Arc<Shared<In, Deps>>) -> Self {
        Self {
            shared: Arc::clone(shared),
        }
    }

    /// The task's args.
    #[must_use]
    pub fn task(&self) -> &In {
        &self.shared.task
    }

    /// What the pipeline was run with.
    #[must_use]
    pub fn deps(&self) -> &Deps {
        &self.shared.deps
    }

    /// The surroundings of the task: its id, and kicking other tasks.
    #[must_use]
    pub fn cx(&self) -> &TaskContext {
        &self.shared.cx
    }

    /// Trips when the attempt must end. Give it to child processes.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        self.shared.cx.stop()
    }
}

/// Runs a step to its output, or to an error that names it.
pub(super) async fn run<In: Task, Deps: Send + Sync + 'static>(
    node: &Node<In, Deps>,
    cx: StepContext<In, Deps>,
    inputs: Vec<Value>,
    ready: Instant,
) -> TaskResult<Value> {
    let (mut attempt, mut ready) = (1, ready);
    loop {
        let error = match attempt_once(node, &cx, &inputs, (attempt, ready)).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if attempt >= node.spec.attempts || !can_heal(&error) || cx.stop().is_cancelled() {
            return Err(error.context(format!("step `{}` failed", node.spec.id)));
        }
        ready = Instant::now();
        sleep(pause(&error, &node.spec, attempt)).await;
        attempt += 1;
    }
}

fn can_heal(error: &TaskError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Retryable | ErrorKind::RetryAfter(_) | ErrorKind::Timeout
    )
}

/// Without jitter: one task's step does not meet the steps of others in step.
fn pause(error: &TaskError, spec: &StepSpec, attempt: u32) -> std::time::Duration {
    match error.kind() {
        ErrorKind::RetryAfter(pause) => pause,
        _ => spec.backoff.ceiling(attempt),
    }
}

async fn attempt_once<In: Task, Deps: Send + Sync + 'static>(
    node: &Node<In, Deps>,
    cx: &StepContext<In, Deps>,
    inputs: &[Value],
    (attempt, ready): (u32, Instant),
) -> TaskResult<Value> {
    let span = framework::step_span(&StepSpan {
        id: node.spec.id,
        depends_on: &node.depends_on,
        attempt,
    });
    framework::record_step_wait(&span, ready.elapsed());
    let unfinished = Unfinished::new(span.clone());
    // The function's own first lines belong into the span too, so it is called inside.
    let body = async { (node.run)(cx.clone(), inputs).await };
    let result = match timeout(node.spec.timeout, body.instrument(span)).await {
        Ok(result) => result,
        Err(_) => Err(TaskError::new(
            ErrorKind::Timeout,
            format!("took longer than its timeout of {:?}", node.spec.timeout),
        )),
    };
    unfinished.finish(&result);
    result
}

/// Marks the step cancelled unless it came to its end.
struct Unfinished {
    span: Span,
    armed: bool,
}

impl Unfinished {
    fn new(span: Span) -> Self {
        Self { span, armed: true }
    }

    fn finish(mut self, result: &TaskResult<Value>) {
        self.armed = false;
        framework::record_step_outcome(&self.span, word(result));
        if let Err(error) = result {
            mark_failed_with(
                &self.span,
                error.type_name(),
                &error.sentence(),
                error.chain().skip(1),
            );
        }
    }
}

fn word(result: &TaskResult<Value>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(error) if error.kind() == ErrorKind::Timeout => "timeout",
        Err(_) => "failed",
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.armed {
            framework::record_step_outcome(&self.span, "cancelled");
            mark_failed(&self.span, "cancelled", "dropped before its end");
        }
    }
}
