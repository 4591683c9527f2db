//! Telemetry is down, slow, or refuses: tasks do not notice, what is lost is counted, and a worker ends in time. And what a
//! killed worker was doing is still to be seen at Logfire.

use std::time::Duration;

use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use sapari_fault_worker::{Jot, Nap};
use tokio::time::Instant;

use super::ground::{Ground, drained};
use crate::processes::support::{Answer, Ended, PATIENCE, Receiver, Span};

const TASKS: usize = 200;
/// The drain of an idle worker, and the deadline of telemetry after it.
const END_WITHIN: Duration = Duration::from_secs(15);
const TOKEN: &str = "pylf_v1_us_0123456789";

async fn harms_nobody(answer: Answer) -> Ended {
    let receiver = Receiver::answering(answer).await;
    let ground = Ground::shared()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .with("OTEL_EXPORTER_OTLP_TIMEOUT", "1000");
    let worker = ground.worker().await;
    let client = ground.client().await;
    let kicks = (0..TASKS).map(|_| Jot::default());
    let handles = client.tasks.kick_all(kicks).await.expect("kicked");
    for handle in &handles {
        handle.output().within(PATIENCE).await.expect("done");
    }
    let receiver = receiver.endpoint().replace("http://", "");
    let lost =
        format!("taskiq_spans_dropped_total{{reason=\"export_failed\",receiver=\"{receiver}\"}}");
    let health = worker.health().await;
    health.until_metric(&lost, 1.0).await;
    let asked = Instant::now();
    worker.signal(Signal::SIGTERM);
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(asked.elapsed() < END_WITHIN, "{:?}", asked.elapsed());
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_with_a_wrong_token_harms_nobody() {
    harms_nobody(Answer::Status(401)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_is_too_much_harms_nobody() {
    harms_nobody(Answer::Status(413)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_is_throttled_harms_nobody() {
    harms_nobody(Answer::Status(429)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_is_down_harms_nobody() {
    harms_nobody(Answer::Status(503)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_that_does_not_answer_harms_nobody() {
    let ended = harms_nobody(Answer::Silence).await;
    let said = ended.stderr.join("\n");
    assert!(said.contains("could not all be sent"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_task_is_seen_at_logfire_and_not_lost_with_its_worker() {
    let (logfire, other) = (Receiver::start().await, Receiver::start().await);
    let ground = Ground::shared()
        .with("LOGFIRE_TOKEN", TOKEN)
        .with("LOGFIRE_BASE_URL", &logfire.endpoint())
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &other.endpoint());
    let worker = ground.worker().await;
    let client = ground.client().await;
    let short = client.tasks.kick(Jot::default()).await.expect("kicked");
    short.output().within(PATIENCE).await.expect("done");
    client
        .tasks
        .kick(Nap { millis: 60_000 })
        .await
        .expect("kicked");

    let is_pending = |span: &Span| span.attributes["logfire.span_type"] == "pending_span";
    let nap = |span: &&Span| span.name == "taskiq.nap" && is_pending(span);
    let seen = |spans: &[Span]| spans.iter().any(|span| nap(&span));
    let spans = logfire.until("a pending span", seen).await;
    worker.signal(Signal::SIGKILL);

    let pending = spans.iter().find(nap).expect("waited for");
    assert_eq!(pending.authorization.as_deref(), Some(TOKEN));
    assert_eq!(pending.encoding.as_deref(), Some("gzip"));
    assert_eq!(pending.attributes["logfire.msg"], "taskiq.nap");
    assert_eq!(pending.attributes["taskiq.attempt"], "1");
    // The client of this test traces nothing, so the task is the root of its trace.
    let nothing = "0000000000000000";
    assert_eq!(pending.attributes["logfire.pending_parent_id"], nothing);
    assert!(!pending.parent.is_empty() && pending.parent != pending.id);
    let ended: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == "taskiq.jot")
        .collect();
    assert_eq!(ended.len(), 1, "a short one is sent once: {ended:#?}");
    assert_eq!(ended[0].attributes["logfire.span_type"], "span");
    assert_eq!(ended[0].attributes["logfire.level_num"], "9");

    let plain = other.spans(&["taskiq.jot"]).await;
    let dialect = |span: &Span| {
        span.attributes
            .keys()
            .any(|key| key.starts_with("logfire."))
    };
    assert!(!plain.iter().any(dialect), "{plain:#?}");
    assert!(plain.iter().all(|span| span.authorization.is_none()));
}

/// The names of the spans below a task's, by whether the switch is on.
async fn below_a_jot(switch: &str) -> Vec<String> {
    let receiver = Receiver::start().await;
    let ground = Ground::shared()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint())
        .with("LOGFIRE_INSTRUMENT_REDIS_WORKERS", switch);
    let worker = ground.worker().await;
    let client = ground.client().await;
    let jot = client.tasks.kick(Jot::default()).await.expect("kicked");
    jot.output().within(PATIENCE).await.expect("done");
    let spans = receiver.spans(&["taskiq.jot"]).await;
    drained(worker).await;
    let task = spans.iter().find(|span| span.name == "taskiq.jot");
    let task = task.expect("waited for");
    let below = spans.iter().filter(|span| span.parent == task.id);
    below
        .inspect(|span| assert_eq!(span.kind, SpanKind::Client, "{span:#?}"))
        .inspect(|span| assert_eq!(span.attributes["db.system.name"], "redis"))
        .map(|span| span.name.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_commands_are_spans_when_the_switch_is_on() {
    assert_eq!(below_a_jot("false").await, Vec::<String>::new());
    let below = below_a_jot("true").await;
    assert!(!below.is_empty(), "the result was saved inside the span");
}
