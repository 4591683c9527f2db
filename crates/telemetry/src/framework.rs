//! The spans only the runtime makes: `publish <task>`, `taskiq.<task>`, `<worker>.pipeline`,
//! `step.<id>`.
//!
//! It does not decide outcomes or names: the runtime passes them in. Names must be of low
//! cardinality, so a task nobody registered is passed as `unknown` with its raw name beside it.
//!
//! The name and the kind are given when the span is made: recorded later they are ignored.

use std::time::Duration;

use opentelemetry::trace::TraceContextExt;
use tracing::field::Empty;
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::attributes::{self, AttrValue, saturating_i64};
use crate::propagation::{self, Carrier};
pub use crate::settings::Parenting;
use crate::spans::correlation;

/// The static name of the call site of task spans: the log lines find the task by it.
pub(crate) const TASK_CALLSITE: &str = "taskiq.task";

/// What a `publish <task>` span says.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishSpan<'a> {
    /// `messaging.system`, for example `rabbitmq`.
    pub system: &'a str,
    /// `messaging.destination.name`.
    pub destination: &'a str,
    /// The task's name, known and of low cardinality.
    pub task_name: &'a str,
    /// The id of the message, which is the id of the task.
    pub task_id: &'a str,
    /// The level of the queue it is published to.
    pub priority: u8,
}

/// Where a task came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskType {
    /// Somebody kicked it.
    #[default]
    Queue,
    /// The scheduler fired it.
    Cron,
}

impl TaskType {
    /// The value of the `task_type` attribute.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Cron => "cron",
        }
    }
}

/// What a `taskiq.<task>` span says when the handler starts.
#[derive(Clone, Copy, Debug, Default)]
pub struct TaskSpan<'a> {
    /// `messaging.system`, for example `rabbitmq`.
    pub system: &'a str,
    /// `messaging.destination.name`.
    pub destination: &'a str,
    /// The task's name; `unknown` when nobody registered it.
    pub task_name: &'a str,
    /// The name as it came, when `task_name` is `unknown`.
    pub raw_task_name: Option<&'a str>,
    /// The id of the task, the same for every attempt.
    pub task_id: &'a str,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// After how many attempts it is dead.
    pub max_attempts: u32,
    /// The queue it was taken from.
    pub queue: &'a str,
    /// The level of the queue.
    pub priority: u8,
    /// How long it waited, when the message says when it was published.
    pub queue_wait_ms: Option<u64>,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
    /// Kicked or scheduled.
    pub task_type: TaskType,
    /// Which schedule fired it.
    pub schedule_id: Option<&'a str>,
    /// The cron pattern of that schedule.
    pub schedule_cron: Option<&'a str>,
    /// When it was due, as RFC 3339 has it.
    pub scheduled_time: Option<&'a str>,
    /// How late it was fired.
    pub schedule_lag_ms: Option<u64>,
    /// Child of the kick, or root with a link.
    pub parenting: Parenting,
}

/// What a `scheduler.fire` span says.
#[derive(Clone, Copy, Debug, Default)]
pub struct FireSpan<'a> {
    /// Which schedule.
    pub schedule_id: &'a str,
    /// Its cron pattern, if it has one.
    pub cron: Option<&'a str>,
    /// When it was due, as RFC 3339 has it.
    pub scheduled_time: &'a str,
    /// How late it is.
    pub lag_ms: u64,
}

/// What a `<worker>.pipeline` span says.
#[derive(Clone, Copy, Debug, Default)]
pub struct PipelineSpan<'a> {
    /// The worker, for example `render`.
    pub worker: &'a str,
    /// How many steps the graph has.
    pub steps: usize,
    /// Correlation keys, for example `project_uuid`.
    pub keys: &'a [(&'static str, String)],
}

/// What a `step.<id>` span says.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepSpan<'a> {
    /// The step's id.
    pub id: &'a str,
    /// The ids of the steps it waits for, comma separated.
    pub depends_on: &'a str,
    /// Which attempt of the step this is, from 1; 0 for a step that was not begun.
    pub attempt: u32,
    /// Which item of a list this is the work on.
    pub index: Option<usize>,
    /// How many items the step's list has.
    pub items: Option<usize>,
}

/// What a step, or a whole pipeline, has spent on calls that cost money.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpentOnSpan<'a> {
    /// How many calls.
    pub calls: u64,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Millionths of a US dollar.
    pub microcents: u64,
    /// The models that answered, comma separated.
    pub models: &'a str,
}

/// `publish <task>`, kind producer: from the kick until the broker confirmed. Only the runtime
/// calls this.
#[must_use]
pub fn publish_span(attrs: &PublishSpan<'_>) -> Span {
    info_span!(
        "publish",
        otel.name = %format_args!("publish {}", attrs.task_name),
        otel.kind = "producer",
        messaging.system = attrs.system,
        messaging.destination.name = attrs.destination,
        messaging.operation.name = "publish",
        messaging.operation.type = "send",
        messaging.message.id = attrs.task_id,
        taskiq.task_name = attrs.task_name,
        taskiq.priority = i64::from(attrs.priority),
    )
}

/// `scheduler.fire`, kind internal, a root: around the kick of a task whose time has come. Only the runtime calls this.
#[must_use]
pub fn fire_span(attrs: &FireSpan<'_>) -> Span {
    info_span!(
        parent: None,
        "scheduler.fire",
        otel.kind = "internal",
        schedule.id = attrs.schedule_id,
        schedule.cron = attrs.cron,
        schedule.scheduled_time = attrs.scheduled_time,
        schedule.lag_ms = saturating_i64(attrs.lag_ms),
    )
}

/// `taskiq.<task>`, kind consumer: from the handler's start until the message is settled, so the
/// whole of it must run inside the span. Only the runtime calls this.
///
/// It is a child of the kick with a link to it, or a root when the message carries no context or
/// a malformed one: tracing never fails a task.
#[must_use]
pub fn task_span(attrs: &TaskSpan<'_>, parent: &Carrier) -> Span {
    let span = new_task_span(attrs);
    // Before anything enters the span: a parent set later is refused.
    if !span.is_disabled() {
        adopt(&span, attrs.parenting, parent);
    }
    span
}

fn new_task_span(attrs: &TaskSpan<'_>) -> Span {
    // An explicit root: whatever span the consuming loop is in is not the task's parent.
    info_span!(
        parent: None,
        TASK_CALLSITE,
        otel.name = %format_args!("taskiq.{}", attrs.task_name),
        otel.kind = "consumer",
        messaging.system = attrs.system,
        messaging.destination.name = attrs.destination,
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.message.id = attrs.task_id,
        messaging.redelivered = attrs.redelivered,
        taskiq.task_id = attrs.task_id,
        taskiq.task_name = attrs.task_name,
        taskiq.raw_task_name = attrs.raw_task_name,
        taskiq.attempt = i64::from(attrs.attempt),
        taskiq.max_attempts = i64::from(attrs.max_attempts),
        taskiq.queue = attrs.queue,
        taskiq.priority = i64::from(attrs.priority),
        taskiq.queue_wait_ms = attrs.queue_wait_ms.map(saturating_i64),
        task_type = attrs.task_type.as_str(),
        schedule.id = attrs.schedule_id,
        schedule.cron = attrs.schedule_cron,
        schedule.scheduled_time = attrs.scheduled_time,
        schedule.lag_ms = attrs.schedule_lag_ms.map(saturating_i64),
        taskiq.outcome = Empty,
        taskiq.retry.delay_ms = Empty,
    )
}

fn adopt(span: &Span, parenting: Parenting, carrier: &Carrier) {
    let context = carrier.extract();
    let kick = context.span().span_context().clone();
    let parent = match parenting {
        Parenting::Child => context,
        Parenting::Link => propagation::baggage_of(&context),
    };
    if let Err(reason) = span.set_parent(correlation::with_room(&parent)) {
        tracing::debug!(%reason, "the task's span starts a trace of its own");
    }
    if kick.is_valid() {
        span.add_link(kick);
    } else {
        report_unusable(carrier);
    }
}

fn report_unusable(carrier: &Carrier) {
    if let Some(traceparent) = carrier.malformed() {
        tracing::debug!(
            traceparent,
            "the message's traceparent is malformed: the task's span starts a trace of its own"
        );
    }
}

/// `<worker>.pipeline`, kind internal: the graph of steps inside a task's body. Only the runtime
/// calls this.
#[must_use]
pub fn pipeline_span(attrs: &PipelineSpan<'_>) -> Span {
    let span = info_span!(
        "pipeline",
        otel.name = %format_args!("{}.pipeline", attrs.worker),
        otel.kind = "internal",
        pipeline.steps = count(attrs.steps),
        pipeline.outcome = Empty,
        pipeline.critical_path = Empty,
        pipeline.failed_steps = Empty,
        pipeline.ended_by = Empty,
        usage.calls = Empty,
        usage.input_tokens = Empty,
        usage.output_tokens = Empty,
        usage.cost_microcents = Empty,
        usage.models = Empty,
    );
    set_keys(&span, attrs.keys);
    span
}

/// `step.<id>`, kind internal. Only the runtime calls this.
#[must_use]
pub fn step_span(attrs: &StepSpan<'_>) -> Span {
    info_span!(
        "step",
        otel.name = %format_args!("step.{}", attrs.id),
        otel.kind = "internal",
        step.id = attrs.id,
        step.depends_on = attrs.depends_on,
        step.attempt = i64::from(attrs.attempt),
        step.index = attrs.index.map(count),
        step.items = attrs.items.map(count),
        step.outcome = Empty,
        step.reason = Empty,
        step.wait_ms = Empty,
        usage.calls = Empty,
        usage.input_tokens = Empty,
        usage.output_tokens = Empty,
        usage.cost_microcents = Empty,
        usage.models = Empty,
    )
}

/// Puts correlation keys on a span, and on every span that starts below its task's span from now on.
pub fn set_keys(span: &Span, keys: &[(&'static str, String)]) {
    if span.is_disabled() || keys.is_empty() {
        return;
    }
    for (key, value) in keys {
        span.set_attribute(*key, value.clone());
    }
    correlation::add(&span.context(), keys);
}

/// Sets an attribute that the span did not declare, for example `usage.tokens`.
pub fn set_attribute(span: &Span, key: impl Into<String>, value: impl Into<AttrValue>) {
    attributes::set_attribute(span, key.into(), value.into());
}

/// Records `taskiq.outcome`: done, retry, snooze, dead, interrupted or cancelled.
pub fn record_outcome(span: &Span, outcome: &str) {
    span.record("taskiq.outcome", outcome);
}

/// Records `taskiq.retry.delay_ms`: how long until the next attempt.
pub fn record_retry_delay(span: &Span, delay: Duration) {
    span.record("taskiq.retry.delay_ms", millis(delay));
}

/// Records `step.outcome`: done, failed, timeout, cancelled, skipped or resumed.
pub fn record_step_outcome(span: &Span, outcome: &str) {
    span.record("step.outcome", outcome);
}

/// Records `step.reason`: why a step was skipped.
pub fn record_step_reason(span: &Span, reason: &str) {
    span.record("step.reason", reason);
}

/// Records `usage.*` on the span of a step or of a pipeline that has spent something.
pub fn record_spent(span: &Span, spent: SpentOnSpan<'_>) {
    span.record("usage.calls", saturating_i64(spent.calls));
    span.record("usage.input_tokens", saturating_i64(spent.input_tokens));
    span.record("usage.output_tokens", saturating_i64(spent.output_tokens));
    span.record("usage.cost_microcents", saturating_i64(spent.microcents));
    span.record("usage.models", spent.models);
}

/// Records `step.wait_ms`: how long the step could have run and did not, from its last input or its last attempt.
pub fn record_step_wait(span: &Span, wait: Duration) {
    span.record("step.wait_ms", millis(wait));
}

/// Records `pipeline.outcome` and `pipeline.critical_path` (step ids, comma separated).
pub fn record_pipeline_outcome(span: &Span, outcome: &str, critical_path: &str) {
    span.record("pipeline.outcome", outcome);
    span.record("pipeline.critical_path", critical_path);
}

/// Records `pipeline.failed_steps`: the ids of the steps that failed, comma separated.
pub fn record_failed_steps(span: &Span, steps: &str) {
    span.record("pipeline.failed_steps", steps);
}

/// Records `pipeline.ended_by`: the step that ended the pipeline early.
pub fn record_ended_by(span: &Span, step: &str) {
    span.record("pipeline.ended_by", step);
}

/// Records `error.type` without marking the span failed, for an outcome that is not a failure.
pub fn record_error_type(span: &Span, error_type: &str) {
    attributes::set_attribute(span, "error.type".to_owned(), error_type.into());
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
