//! Spans of a task: `publish <task>` around the kick, `taskiq.<task>` around the attempt and its settling.
//! The attempt's span is made here and entered by `worker::attempt`, not by `run`: saving and acking must lie inside it,
//! and they come after every layer has returned.

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use sapari_telemetry::framework::{self, Parenting, PublishSpan, TaskSpan, TaskType};
use sapari_telemetry::{Carrier, mark_failed_with};
use tracing::{Instrument, Span};

use super::{Middleware, NextSend};
use crate::broker::Beside;
use crate::message::{Labels, Message, label, unix_seconds};
use crate::outbound::{KickError, Outbound};
use crate::outcome::Outcome;
use crate::queue::{Level, Queue};
use crate::task::Policy;

pub(super) struct Trace {
    system: &'static str,
}

impl Trace {
    pub(super) fn new(system: &'static str) -> Self {
        Self { system }
    }
}

#[async_trait]
impl Middleware for Trace {
    fn name(&self) -> &'static str {
        "trace"
    }

    async fn send(&self, mut outbound: Outbound, next: NextSend<'_>) -> Result<(), KickError> {
        let span = framework::publish_span(&PublishSpan {
            system: self.system,
            destination: outbound.route.queue.name(),
            task_name: &outbound.message.task,
            task_id: outbound.message.id.as_str(),
            priority: outbound.route.level.number(),
        });
        inject(&Carrier::of(&span), &mut outbound.message.labels);
        let sent = next.run(outbound).instrument(span.clone()).await;
        if let Err(error) = &sent {
            mark_failed_with(
                &span,
                error.type_name(),
                &error.to_string(),
                causes(error).into_iter(),
            );
        }
        sent
    }
}

fn inject(carrier: &Carrier, labels: &mut Labels) {
    for (key, value) in carrier.iter() {
        labels.set_text(key, value);
    }
}

fn causes(error: &dyn std::error::Error) -> Vec<String> {
    std::iter::successors(error.source(), |cause| (*cause).source())
        .map(ToString::to_string)
        .collect()
}

/// The context of the kick: message headers first, then labels, because middleware of TaskIQ writes the latter.
pub(crate) fn carrier(headers: &dyn Beside, labels: Option<&Labels>) -> Carrier {
    Carrier::from_lookup(|key| {
        let header = headers.get(key);
        header.or_else(|| {
            labels
                .and_then(|labels| labels.text(key))
                .map(Cow::Borrowed)
        })
    })
}

/// Writes into the labels of the next attempt where its trace goes on: in the kick's context, or if that was not traced, in
/// this attempt's.
pub(crate) fn carry_on(headers: &dyn Beside, labels: &mut Labels, attempt: &Span) {
    let kick = carrier(headers, Some(labels));
    let context = if kick.trace_id().is_some() {
        kick
    } else {
        Carrier::of(attempt)
    };
    inject(&context, labels);
}

/// Writes into the labels of a copy the context that only its headers have: it is sent without them.
pub(crate) fn keep(headers: &dyn Beside, labels: &mut Labels) {
    let kick = carrier(headers, Some(labels));
    if kick.trace_id().is_some() {
        inject(&kick, labels);
    }
}

/// Where a delivery came from, for its span.
pub(crate) struct Origin<'a> {
    pub(crate) system: &'static str,
    pub(crate) queue: Queue,
    pub(crate) level: Level,
    pub(crate) redelivered: bool,
    pub(crate) headers: &'a dyn Beside,
    pub(crate) parenting: Parenting,
}

/// The span of an attempt at a message whose task this worker knows.
pub(crate) fn task_span(origin: &Origin<'_>, message: &Message, policy: &Policy) -> Span {
    let attrs = TaskSpan {
        max_attempts: policy.attempts,
        ..attributes(origin, message)
    };
    framework::task_span(&attrs, &carrier(origin.headers, Some(&message.labels)))
}

/// The span of a message whose task nobody here knows: a name of its own would be unbounded.
pub(crate) fn unknown_task_span(origin: &Origin<'_>, message: &Message) -> Span {
    let attrs = TaskSpan {
        task_name: "unknown",
        raw_task_name: Some(&message.task),
        max_attempts: 1,
        ..attributes(origin, message)
    };
    framework::task_span(&attrs, &carrier(origin.headers, Some(&message.labels)))
}

/// The span of bytes that are not a message.
pub(crate) fn undecodable_span(origin: &Origin<'_>) -> Span {
    let id = origin.headers.get("task_id").unwrap_or_default();
    let attrs = TaskSpan {
        task_name: "undecodable",
        task_id: &id,
        attempt: 1,
        max_attempts: 1,
        ..from_origin(origin)
    };
    framework::task_span(&attrs, &carrier(origin.headers, None))
}

fn from_origin<'a>(origin: &Origin<'_>) -> TaskSpan<'a> {
    TaskSpan {
        system: origin.system,
        destination: origin.queue.name(),
        queue: origin.queue.name(),
        priority: origin.level.number(),
        redelivered: origin.redelivered,
        parenting: origin.parenting,
        ..TaskSpan::default()
    }
}

fn attributes<'a>(origin: &Origin<'_>, message: &'a Message) -> TaskSpan<'a> {
    let text = |name| message.labels.text(name);
    let schedule_id = text(label::SCHEDULE_ID);
    let lag = message.labels.int(label::SCHEDULE_LAG);
    TaskSpan {
        task_name: &message.task,
        task_id: message.id.as_str(),
        attempt: message.attempt(),
        queue_wait_ms: queue_wait(message).and_then(|wait| u64::try_from(wait.as_millis()).ok()),
        task_type: if schedule_id.is_some() {
            TaskType::Cron
        } else {
            TaskType::Queue
        },
        schedule_id,
        schedule_cron: text(label::SCHEDULE_CRON),
        scheduled_time: text(label::SCHEDULED_TIME),
        schedule_lag_ms: lag.and_then(|lag| u64::try_from(lag).ok()),
        ..from_origin(origin)
    }
}

/// How long the message could have started and did not; none when the caller did not say when it was queued.
pub(crate) fn queue_wait(message: &Message) -> Option<Duration> {
    let queued = message.labels.float(label::QUEUED_AT)?;
    Duration::try_from_secs_f64((unix_seconds() - queued).max(0.0)).ok()
}

/// Writes what the attempt came to on its span. A snooze and an interruption are no failures.
pub(crate) fn record(span: &Span, outcome: &Outcome) {
    framework::record_outcome(span, outcome.word());
    if let Outcome::Retry { after, .. } | Outcome::Snooze { after } = outcome {
        framework::record_retry_delay(span, *after);
    }
    if let Some(error) = outcome.error() {
        mark_failed_with(
            span,
            error.type_name(),
            &error.sentence(),
            error.chain().skip(1),
        );
    }
}
