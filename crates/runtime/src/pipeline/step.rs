//! One step: its attempts, each under its timeout and in its own span; of a step over a list, those of each item, a bounded number at a
//! time. A step that is dropped says so on its span. It keeps nothing: that is the run's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use sapari_telemetry::framework::{self, StepSpan};
use sapari_telemetry::{mark_failed, mark_failed_with};
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span};

use super::checkpoint::{Codec, Fingerprint};
use super::context::{Own, Shared, StepContext};
use super::kept::Kept;
use super::report::StepOutcome;
use super::skip::Skip;
use super::spec::StepSpec;
use super::work::{Each, Given, Node, Running, Value, Work};
use crate::error::{ErrorKind, TaskError, TaskResult};
use crate::panics;
use crate::task::Task;

/// A step whose turn has come.
pub(super) struct Turn<'p, In, Deps> {
    pub(super) node: &'p Node<In, Deps>,
    pub(super) step: usize,
    pub(super) shared: &'p Arc<Shared<In, Deps>>,
    pub(super) kept: &'p Kept,
    /// What it takes.
    pub(super) given: Given,
    pub(super) fingerprint: Fingerprint,
    /// Since when it could run.
    pub(super) ready: Instant,
}

/// What a step came to.
pub(super) struct Came {
    pub(super) to: TaskResult<Value>,
    /// How often it was tried; of several items, the most.
    pub(super) attempts: u32,
}

/// Runs a step to its output, or to an error.
pub(super) async fn run<In: Task, Deps: Send + Sync + 'static>(turn: Turn<'_, In, Deps>) -> Came {
    match &turn.node.work {
        Work::One(start) => {
            let start = |cx| start(cx, &turn.given);
            attempts(&turn, None, start).await
        }
        Work::Each(each) => all_items(&turn, each).await,
    }
}

/// Every item of the list, in a span around the spans of theirs. The first that fails drops the others.
async fn all_items<In: Task, Deps: Send + Sync + 'static>(
    turn: &Turn<'_, In, Deps>,
    each: &Each<In, Deps>,
) -> Came {
    let (len, spec) = ((each.len)(&turn.given), &turn.node.spec);
    let span = framework::step_span(&StepSpan {
        id: spec.id,
        depends_on: &turn.node.depends_on,
        attempt: 1,
        index: None,
        items: Some(len),
    });
    framework::record_step_wait(&span, turn.ready.elapsed());
    let unfinished = Unfinished::new(span.clone(), None);
    let (mut most, mut done) = (0, 0);
    // As they end, not in their order: one that fails must not wait for those before it to be heard.
    let items = stream::iter(0..len)
        .map(async |index| (index, item(turn, each, index).await))
        .buffer_unordered(spec.at_once)
        .map(|(index, came)| {
            (most, done) = (most.max(came.attempts), done + 1);
            let progress = f64::from(done) / len as f64;
            turn.shared.track.moved(turn.shared, turn.step, progress);
            came.to.map(|output| (index, output))
        });
    let outputs = items.try_collect::<BTreeMap<usize, Option<Value>>>();
    let outputs: TaskResult<BTreeMap<_, _>> = outputs.instrument(span).await;
    let to = outputs.map(|outputs| (each.collect)(outputs.into_values().flatten().collect()));
    unfinished.finish(&to);
    let attempts = most.max(1);
    Came { to, attempts }
}

/// What one item came to.
struct ItemCame {
    to: TaskResult<Option<Value>>,
    attempts: u32,
}

async fn item<In: Task, Deps: Send + Sync + 'static>(
    turn: &Turn<'_, In, Deps>,
    each: &Each<In, Deps>,
    index: usize,
) -> ItemCame {
    let fingerprint = turn.fingerprint.of_item(index);
    let key = (turn.node.spec.id, Some(index));
    if let Some((value, _)) = each
        .keep
        .and_then(|codec| turn.kept.find(key, fingerprint, codec))
    {
        let (id, depends_on) = (turn.node.spec.id, &turn.node.depends_on);
        unbegun(id, depends_on, Some(index), StepOutcome::Resumed, None);
        let to = Ok(Some(value));
        return ItemCame { to, attempts: 0 };
    }
    let began = Instant::now();
    let start = |cx| (each.start)(cx, &turn.given, index);
    let came = attempts(turn, Some(index), start).await;
    let to = match came.to {
        Ok(value) => {
            keep_item(turn, each.keep, (index, fingerprint, began), &value).await;
            Ok(Some(value))
        }
        // One that has nothing to do is left out of the list.
        Err(error) if Skip::in_error(&error).is_some() => Ok(None),
        Err(error) => Err(error.context(format!("item {index} of {}", (each.len)(&turn.given)))),
    };
    let attempts = came.attempts;
    ItemCame { to, attempts }
}

async fn keep_item<In: Task, Deps: Send + Sync + 'static>(
    turn: &Turn<'_, In, Deps>,
    keep: Option<Codec>,
    (index, fingerprint, began): (usize, Fingerprint, Instant),
    value: &Value,
) {
    if let Some(Ok(output)) = keep.map(|codec| (codec.encode)(value)) {
        let key = (turn.node.spec.id, Some(index));
        turn.kept
            .put(turn.shared, key, fingerprint, (began.elapsed(), output))
            .await;
    }
}

/// As many attempts as the step may have, until one does not fail.
async fn attempts<In: Task, Deps: Send + Sync + 'static>(
    turn: &Turn<'_, In, Deps>,
    index: Option<usize>,
    start: impl Fn(StepContext<In, Deps>) -> Running,
) -> Came {
    let (mut attempt, mut ready) = (1, turn.ready);
    let spec = &turn.node.spec;
    loop {
        let own = Own::new(turn.step, spec.id, attempt, index);
        let error = match attempt_once(turn, Arc::new(own), ready, &start).await {
            Ok(value) => {
                let (to, attempts) = (Ok(value), attempt);
                return Came { to, attempts };
            }
            Err(error) => error,
        };
        let again = attempt < spec.attempts && can_heal(&error);
        if !again || !pause(turn, &error, attempt, &mut ready).await {
            let (to, attempts) = (Err(error), attempt);
            return Came { to, attempts };
        }
        attempt += 1;
    }
}

fn can_heal(error: &TaskError) -> bool {
    let heals = matches!(
        error.kind(),
        ErrorKind::Retryable | ErrorKind::RetryAfter(_) | ErrorKind::Timeout
    );
    heals && Skip::in_error(error).is_none()
}

/// Waits until the next attempt; false when the task is asked to end meanwhile.
async fn pause<In, Deps>(
    turn: &Turn<'_, In, Deps>,
    error: &TaskError,
    attempt: u32,
    ready: &mut Instant,
) -> bool {
    *ready = Instant::now();
    let pause = sleep(length(error, &turn.node.spec, attempt));
    tokio::select! {
        biased;
        () = turn.shared.cx.stop().cancelled() => false,
        () = pause => true,
    }
}

/// Without jitter: one task's step does not meet the steps of others in step.
fn length(error: &TaskError, spec: &StepSpec, attempt: u32) -> std::time::Duration {
    match error.kind() {
        ErrorKind::RetryAfter(pause) => pause,
        _ => spec.backoff.ceiling(attempt),
    }
}

async fn attempt_once<In: Task, Deps: Send + Sync + 'static>(
    turn: &Turn<'_, In, Deps>,
    own: Arc<Own>,
    ready: Instant,
    start: &impl Fn(StepContext<In, Deps>) -> Running,
) -> TaskResult<Value> {
    let spec = &turn.node.spec;
    let span = framework::step_span(&StepSpan {
        id: spec.id,
        depends_on: &turn.node.depends_on,
        attempt: own.attempt,
        index: own.index,
        items: None,
    });
    framework::record_step_wait(&span, ready.elapsed());
    let unfinished = Unfinished::new(span.clone(), Some(Arc::clone(&own)));
    let cx = StepContext::new(turn.shared, own);
    // The function's own first lines belong into the span too, so it is called inside.
    let body = async { start(cx).await };
    let body = panics::catch_async(timeout(spec.timeout, body.instrument(span)));
    let result = match body.await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(TaskError::new(
            ErrorKind::Timeout,
            format!("took longer than its timeout of {:?}", spec.timeout),
        )),
        Err(panic) => Err(panic.into_error()),
    };
    unfinished.finish(&result);
    result
}

/// What a result says of its step.
pub(super) fn outcome_of<T>(result: &TaskResult<T>) -> StepOutcome {
    match result {
        Ok(_) => StepOutcome::Done,
        Err(error) if Skip::in_error(error).is_some() => StepOutcome::Skipped,
        Err(error) if error.kind() == ErrorKind::Timeout => StepOutcome::TimedOut,
        Err(_) => StepOutcome::Failed,
    }
}

/// The span of a step, or of an item, that is not begun: there to be seen, without a length.
pub(super) fn unbegun(
    id: &str,
    depends_on: &str,
    index: Option<usize>,
    outcome: StepOutcome,
    reason: Option<&str>,
) {
    let span = framework::step_span(&StepSpan {
        id,
        depends_on,
        attempt: 0,
        index,
        items: None,
    });
    framework::record_step_outcome(&span, outcome.as_str());
    if let Some(reason) = reason {
        framework::record_step_reason(&span, reason);
    }
}

/// Marks the step cancelled unless it came to its end.
struct Unfinished {
    span: Span,
    own: Option<Arc<Own>>,
    armed: bool,
}

impl Unfinished {
    fn new(span: Span, own: Option<Arc<Own>>) -> Self {
        let armed = true;
        Self { span, own, armed }
    }

    fn finish<T>(mut self, result: &TaskResult<T>) {
        self.armed = false;
        framework::record_step_outcome(&self.span, outcome_of(result).as_str());
        let Err(error) = result else { return };
        match Skip::in_error(error) {
            Some(skip) => framework::record_step_reason(&self.span, skip.reason()),
            None => mark_failed_with(
                &self.span,
                error.type_name(),
                &error.sentence(),
                error.chain().skip(1),
            ),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(own) = &self.own {
            own.record_spent(&self.span);
        }
        if self.armed {
            framework::record_step_outcome(&self.span, StepOutcome::Cancelled.as_str());
            mark_failed(&self.span, "cancelled", "dropped before its end");
        }
    }
}
