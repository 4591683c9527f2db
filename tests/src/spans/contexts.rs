//! Where a trace comes from: a schedule, a caller that was not sampled, one that wrote nonsense, baggage. And one task's spans
//! with everything that stands on them.

use std::sync::Arc;

use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::broker::{Destination, Headers, Parcel};
use sapari_runtime::message::{MessageId, Route};
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::worker::Servers;
use sapari_telemetry::ext_span;
use sapari_telemetry::tree::Attributes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;

const REMOTE_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Says what came with it, calls somebody, and kicks itself once more if it is to.
#[derive(Debug, Serialize, Deserialize)]
struct Relay {
    again: bool,
}

impl Task for Relay {
    const NAME: &'static str = "relay";
    const QUEUE: Queue = QUEUE;
    type Output = ();

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![("project", "p1".to_owned())]
    }
}

type Heard = mpsc::Sender<[Option<String>; 2]>;

#[task]
async fn relay(args: Relay, cx: TaskContext, State(heard): State<Told>) -> TaskResult<()> {
    let label = |name| cx.labels().text(name).map(str::to_owned);
    heard
        .0
        .try_send([label("baggage"), label("traceparent")])
        .permanent()?;
    ext_span!(whisper.transcribe { clip_file_uuid = "c1" }).in_scope(|| {});
    if args.again {
        cx.tasks().kick(Relay { again: false }).await?;
    }
    Ok(())
}

#[derive(Clone)]
struct Told(Heard);

/// A message as a foreign client writes it, with these labels.
fn parcel(again: bool, labels: &serde_json::Value) -> Parcel {
    let body = serde_json::json!({
        "task_id": "m-1", "task_name": "relay", "labels": labels, "args": [again], "kwargs": {},
    });
    Parcel {
        to: Destination::Work(Route {
            queue: QUEUE,
            level: QUEUE.level(Priority::High),
            delay: Duration::ZERO,
        }),
        id: "m-1".to_owned(),
        body: body.to_string().into_bytes(),
        headers: Headers::new(),
        priority: 0,
    }
}

/// The spans of such a message, as a tree, and what each run heard.
async fn relayed(
    again: bool,
    labels: serde_json::Value,
    style: &TreeStyle,
) -> (String, Vec<[Option<String>; 2]>) {
    let (collector, _default) = Collector::scoped();
    let (sender, mut heard) = mpsc::channel(2);
    let (tasks, running) = Harness::new(Worker::new(QUEUE, Told(sender)).task::<relay>()).start();
    let published = running.broker().publish(parcel(again, &labels)).await;
    published.expect("published");
    let id: MessageId = "m-1".parse().expect("an id");
    let record = tasks.handle_named(id).record().await.expect("a record");
    assert!(record.outcome.is_ok(), "{record:?}");
    let mut all = vec![heard.recv().await.expect("it ran")];
    if again {
        all.push(heard.recv().await.expect("it ran again"));
    }
    running.stop().await;
    (collector.tree(style), all)
}

fn style() -> TreeStyle {
    TreeStyle {
        links: true,
        ..TreeStyle::for_tests(&["taskiq.outcome", "task_type", "schedule.id", "project"])
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_schedule_fired_says_so() {
    let labels = serde_json::json!({"schedule_id": "cleanup"});
    let (tree, _) = relayed(false, labels, &style()).await;
    assert_tree(
        &tree,
        r#"
taskiq.relay [consumer]  taskiq.outcome=done task_type=cron schedule.id=cleanup project=p1
└─ ext.whisper.transcribe [client]  project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_was_not_sampled_is_not_sampled_here_and_the_task_runs() {
    let off = format!("00-{REMOTE_TRACE}-00f067aa0ba902b7-00");
    let labels = serde_json::json!({"traceparent": off});
    let (tree, heard) = relayed(true, labels, &style()).await;
    assert_eq!(
        tree, "",
        "nothing is sampled below it, the second task included"
    );
    let second = heard[1][1].as_deref().expect("its trace is carried on");
    assert!(
        second.contains(REMOTE_TRACE) && second.ends_with("-00"),
        "{second}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_malformed_traceparent_fails_nothing() {
    for nonsense in [
        "",
        "garbage",
        "00-0-0-0",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
    ] {
        let labels = serde_json::json!({"traceparent": nonsense});
        let (tree, _) = relayed(false, labels, &style()).await;
        assert_tree(
            &tree,
            r#"
taskiq.relay [consumer]  taskiq.outcome=done task_type=queue project=p1
└─ ext.whisper.transcribe [client]  project=p1
"#,
        );
    }
}

#[tokio::test(start_paused = true)]
async fn baggage_goes_with_the_kicks_below() {
    let on = format!("00-{REMOTE_TRACE}-00f067aa0ba902b7-01");
    let labels = serde_json::json!({"traceparent": on, "baggage": "tenant=acme"});
    let (tree, heard) = relayed(true, labels, &style()).await;
    let baggage: Vec<_> = heard
        .iter()
        .map(|[baggage, _]| baggage.as_deref())
        .collect();
    assert_eq!(baggage, [Some("tenant=acme"); 2]);
    assert_tree(
        &tree,
        r#"
taskiq.relay [consumer] (remote parent)  taskiq.outcome=done task_type=queue project=p1 link=<id 2>
├─ ext.whisper.transcribe [client]  project=p1
└─ publish relay [producer]  project=p1
   └─ taskiq.relay [consumer]  taskiq.outcome=done task_type=queue project=p1 link=<id 3>
      └─ ext.whisper.transcribe [client]  project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_task_is_no_failure_of_its_handler() {
    let (collector, _default) = Collector::scoped();
    let (sender, _heard) = mpsc::channel(2);
    let servers = Servers {
        broker: Arc::new(MemoryBroker::with_queues([QUEUE])),
        results: Arc::new(MemoryResults::new()),
    };
    let tasks = Tasks::new(Arc::clone(&servers.broker), Arc::clone(&servers.results));
    let handle = tasks.kick(Relay { again: false }).await.expect("kicked");
    handle.cancel().await.expect("told");
    let shutdown = CancellationToken::new();
    let worker = Worker::new(QUEUE, Told(sender)).task::<relay>();
    let working = tokio::spawn(worker.run(servers, shutdown.clone()));
    handle.into_any().record().await.expect("a record");
    shutdown.cancel();
    working.await.expect("no panic").expect("ends well");
    assert_tree(
        &collector.tree(&style()),
        r#"
publish relay [producer]
└─ taskiq.relay [consumer]  taskiq.outcome=cancelled task_type=queue link=<id 2>
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn everything_that_stands_on_the_spans_of_a_task() {
    let style = TreeStyle {
        attributes: Attributes::All,
        links: true,
        ..TreeStyle::for_tests(&[])
    };
    let tree = relayed(true, serde_json::json!({"schedule_id": "nightly"}), &style)
        .await
        .0;
    // The clock of the wall is not paused.
    let tree: Vec<&str> = tree
        .split(' ')
        .filter(|part| !part.starts_with("taskiq.queue_wait_ms="))
        .collect();
    assert_tree(&tree.join(" "), EVERYTHING);
}

const EVERYTHING: &str = "
taskiq.relay [consumer]  messaging.system=memory messaging.destination.name=desk messaging.operation.name=process \
messaging.operation.type=process messaging.message.id=m-1 messaging.redelivered=false taskiq.task_id=m-1 taskiq.task_name=relay \
taskiq.attempt=1 taskiq.max_attempts=3 taskiq.queue=desk taskiq.priority=2 task_type=cron schedule.id=nightly project=p1 \
taskiq.outcome=done
├─ ext.whisper.transcribe [client]  clip_file_uuid=c1 project=p1
└─ publish relay [producer]  messaging.system=memory messaging.destination.name=desk messaging.operation.name=publish \
messaging.operation.type=send messaging.message.id=<id 2> taskiq.task_name=relay taskiq.priority=1 project=p1
   └─ taskiq.relay [consumer]  messaging.system=memory messaging.destination.name=desk messaging.operation.name=process \
messaging.operation.type=process messaging.message.id=<id 2> messaging.redelivered=false taskiq.task_id=<id 2> taskiq.task_name=relay \
taskiq.attempt=1 taskiq.max_attempts=3 taskiq.queue=desk taskiq.priority=1 task_type=queue project=p1 taskiq.outcome=done link=<id 3>
      └─ ext.whisper.transcribe [client]  clip_file_uuid=c1 project=p1
";
