//! Trees of single tasks: how each outcome looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sapari_runtime::broker::{Broker, Destination, Headers, Parcel};
use sapari_runtime::handle::OutputError;
use sapari_runtime::message::{Args, Route};
use serde_json::json;

use super::*;

/// Does what its one field says.
#[derive(Debug, Serialize, Deserialize)]
struct Act {
    how: How,
}

#[derive(Debug, Serialize, Deserialize)]
enum How {
    Succeed,
    FailUntil(u32),
    Permanently,
    Panic,
    Hang,
    Snooze,
    SnoozeForEver,
    Kick,
}

impl Task for Act {
    const NAME: &'static str = "act";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(seconds(60));
    type Output = String;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        vec![("project", "p1".to_owned())]
    }
}

#[derive(Clone, Default)]
struct Snoozes(Arc<AtomicU32>);

#[task]
async fn act(args: Act, cx: TaskContext, State(snoozes): State<Snoozes>) -> TaskResult<String> {
    match args.how {
        How::Succeed => {}
        How::FailUntil(attempt) if cx.attempt() < attempt => return Err("the disk is busy".into()),
        How::FailUntil(_) => {}
        How::Permanently => return Err("the file is gone").permanent(),
        How::Panic => panic!("no such luck"),
        How::Hang => std::future::pending().await,
        How::Snooze if snoozes.0.fetch_add(1, Ordering::Relaxed) == 0 => {
            return Err("too early").snooze(minutes(5));
        }
        How::Snooze => {}
        How::SnoozeForEver => return Err("never").snooze(Duration::MAX),
        How::Kick => {
            cx.tasks().kick(Act { how: How::Succeed }).await?;
        }
    }
    Ok("done".to_owned())
}

fn worker() -> Worker<Snoozes> {
    Worker::new(QUEUE, Snoozes::default()).task::<act>()
}

async fn acted(how: How) -> String {
    tree(worker(), async |tasks, _| {
        let handle = tasks.kick(Act { how }).await.expect("kicked");
        let _ = handle.output().await;
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn success() {
    assert_tree(
        &acted(How::Succeed).await,
        r#"
publish act [producer]
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn retry_twice_then_success_are_siblings_under_the_kick() {
    assert_tree(
        &acted(How::FailUntil(3)).await,
        r#"
publish act [producer]
├─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=retry project=p1  ✗ Error: the disk is busy
├─ taskiq.act [consumer]  taskiq.attempt=2 taskiq.outcome=retry project=p1  ✗ Error: the disk is busy
└─ taskiq.act [consumer]  taskiq.attempt=3 taskiq.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_used_up() {
    assert_tree(
        &acted(How::FailUntil(9)).await,
        r#"
publish act [producer]
├─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=retry project=p1  ✗ Error: the disk is busy
├─ taskiq.act [consumer]  taskiq.attempt=2 taskiq.outcome=retry project=p1  ✗ Error: the disk is busy
└─ taskiq.act [consumer]  taskiq.attempt=3 taskiq.outcome=dead project=p1  ✗ Error: the disk is busy
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn permanent_error() {
    assert_tree(
        &acted(How::Permanently).await,
        r#"
publish act [producer]
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=dead project=p1  ✗ Error: the file is gone
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn panic_is_a_failure_with_its_place() {
    let tree = without_lines(&acted(How::Panic).await);
    assert_tree(
        &tree,
        r#"
publish act [producer]
├─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=retry project=p1  ✗ Panic: the handler panicked at tests/src/spans/attempts.rs: no such luck
├─ taskiq.act [consumer]  taskiq.attempt=2 taskiq.outcome=retry project=p1  ✗ Panic: the handler panicked at tests/src/spans/attempts.rs: no such luck
└─ taskiq.act [consumer]  taskiq.attempt=3 taskiq.outcome=dead project=p1  ✗ Panic: the handler panicked at tests/src/spans/attempts.rs: no such luck
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn timeout() {
    assert_tree(
        &acted(How::Hang).await,
        r#"
publish act [producer]
├─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=retry project=p1  ✗ Timeout: the attempt took longer than its timeout of 60s
├─ taskiq.act [consumer]  taskiq.attempt=2 taskiq.outcome=retry project=p1  ✗ Timeout: the attempt took longer than its timeout of 60s
└─ taskiq.act [consumer]  taskiq.attempt=3 taskiq.outcome=dead project=p1  ✗ Timeout: the attempt took longer than its timeout of 60s
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_snooze_is_no_failure_and_counts_no_attempt() {
    assert_tree(
        &acted(How::Snooze).await,
        r#"
publish act [producer]
├─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=snooze project=p1
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_kicks_a_task_in_its_own_trace() {
    let tree = tree(worker(), async |tasks, running| {
        tasks
            .kick(Act { how: How::Kick })
            .await
            .expect("kicked")
            .output()
            .await
            .expect("done");
        eventually("the second task", async || {
            running
                .broker()
                .depth(QUEUE)
                .await
                .is_ok_and(|depth| depth.ready == [0; 4])
        })
        .await;
    })
    .await;
    assert_tree(
        &tree,
        r#"
publish act [producer]
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
   └─ publish act [producer]  project=p1
      └─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_task_is_dead_with_its_name_as_an_attribute() {
    let worker = worker().unknown_wait(Duration::ZERO);
    let tree = tree(worker, async |tasks, running| {
        let handle = tasks
            .kick_named(QUEUE, "no_such_task", Args::default())
            .await
            .expect("kicked");
        let failure = handle
            .record()
            .await
            .expect("a record")
            .outcome
            .expect_err("a failure");
        assert_eq!(failure.reason.as_deref(), Some("unknown_task"));
        dead_letters(running, 1).await;
        let letter = &running
            .broker()
            .dead_letters(QUEUE, 9)
            .await
            .expect("letters")[0];
        assert_eq!(
            (letter.reason(), letter.task_name()),
            (Some("unknown_task"), Some("no_such_task"))
        );
        assert_eq!(letter.trace_id().map(str::len), Some(32));
    })
    .await;
    assert_tree(
        &tree,
        r#"
publish no_such_task [producer]
└─ taskiq.unknown [consumer]  taskiq.attempt=1 taskiq.outcome=dead taskiq.raw_task_name=no_such_task  ✗ Permanent: no handler for task "no_such_task" in this worker; deploy one, or correct the name
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn args_of_the_wrong_shape_are_dead_at_once_and_not_repeated_in_the_span() {
    let tree = tree(worker(), async |tasks, running| {
        let args = Args::from(json!({"how": "s3cret"}));
        let handle = tasks.kick_named(QUEUE, "act", args).await.expect("kicked");
        let failure = handle
            .record()
            .await
            .expect("a record")
            .outcome
            .expect_err("a failure");
        assert_eq!(failure.reason.as_deref(), Some("bad_args"));
        dead_letters(running, 1).await;
        let letter = &running
            .broker()
            .dead_letters(QUEUE, 9)
            .await
            .expect("letters")[0];
        assert!(!letter.error().unwrap_or_default().contains("s3cret"));
    })
    .await;
    assert_tree(
        &tree,
        r#"
publish act [producer]
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=dead  ✗ BadArgs: the args do not fit the task: `how`: unknown variant, expected one of Succeed, FailUntil, Permanently, Panic, Hang, Snooze, SnoozeForEver, Kick
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_message_are_dead_and_the_worker_lives_on() {
    let tree = tree(worker(), async |tasks, running| {
        let route = Route {
            queue: QUEUE,
            level: QUEUE.level(Priority::High),
            delay: Duration::ZERO,
        };
        let headers = Headers::from([("task_id".to_owned(), "t-1".to_owned())]);
        let parcel = Parcel {
            to: Destination::Work(route),
            id: String::new(),
            body: b"\xff not json".to_vec(),
            headers,
            priority: 0,
        };
        running.broker().publish(parcel).await.expect("published");
        dead_letters(running, 1).await;
        let letter = &running
            .broker()
            .dead_letters(QUEUE, 9)
            .await
            .expect("letters")[0];
        assert_eq!(
            (letter.reason(), letter.task_id()),
            (Some("undecodable"), Some("t-1"))
        );
        assert_eq!(letter.body, b"\xff not json");
        tasks
            .kick(Act { how: How::Succeed })
            .await
            .expect("kicked")
            .output()
            .await
            .expect("the worker lives on");
    })
    .await;
    assert_tree(
        &tree,
        r#"
taskiq.undecodable [consumer]  taskiq.attempt=1 taskiq.outcome=dead  ✗ Permanent: the body is not a message in TaskIQ's JSON: expected value at line 1 column 1

trace <id 2> test
publish act [producer]
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn what_can_never_be_published_again_is_dead_and_does_not_go_round() {
    let tree = tree(worker(), async |tasks, running| {
        let how = How::SnoozeForEver;
        let handle = tasks.kick(Act { how }).await.expect("kicked");
        let output = handle.output().within(minutes(60)).await;
        let error = output.expect_err("dead").to_string();
        assert!(error.contains("is over the limit of"), "{error}");
        dead_letters(running, 1).await;
        let letters = running.broker().dead_letters(QUEUE, 9).await;
        let letters = letters.expect("letters");
        assert_eq!(letters[0].reason(), Some("unpublishable"));
        tasks
            .kick(Act { how: How::Succeed })
            .await
            .expect("kicked")
            .output()
            .await
            .expect("the worker lives on");
    })
    .await;
    assert!(tree.contains("taskiq.outcome=dead"), "{tree}");
}

#[tokio::test(start_paused = true)]
async fn a_message_without_a_trace_gets_one_for_all_its_attempts() {
    let (collector, _default) = Collector::scoped();
    let (tasks, running) = Harness::new(worker()).start();
    let body = br#"{"task_id":"untraced","task_name":"act","args":[{"FailUntil":3}]}"#;
    let to = Destination::Work(Route {
        queue: QUEUE,
        level: QUEUE.level(Priority::High),
        delay: Duration::ZERO,
    });
    let parcel = Parcel {
        to,
        id: "untraced".to_owned(),
        body: body.to_vec(),
        headers: Headers::new(),
        priority: 2,
    };
    running.broker().publish(parcel).await.expect("published");
    let id = "untraced".parse().expect("an id");
    let record = tasks.handle_named(id).record().await.expect("a record");
    assert!(record.outcome.is_ok());
    running.stop().await;
    assert_tree(
        &collector.tree(&TreeStyle::for_tests(ATTRIBUTES)),
        r#"
taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=retry project=p1  ✗ Error: the disk is busy
├─ taskiq.act [consumer]  taskiq.attempt=2 taskiq.outcome=retry project=p1  ✗ Error: the disk is busy
└─ taskiq.act [consumer]  taskiq.attempt=3 taskiq.outcome=done project=p1
"#,
    );
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_task_is_handed_back_without_an_attempt() {
    let worker = worker().drain_grace(seconds(10));
    let (collector, _default) = Collector::scoped();
    let (tasks, running) = Harness::new(worker).start();
    let handle = tasks.kick(Act { how: How::Hang }).await.expect("kicked");
    eventually("the task runs", async || {
        running
            .broker()
            .depth(QUEUE)
            .await
            .is_ok_and(|depth| depth.ready == [0; 4])
    })
    .await;
    let broker = running.memory_broker();
    running.stop().await;
    let depth = broker.depth(QUEUE).await.expect("depth");
    assert_eq!((depth.ready, depth.dead), (vec![0, 1, 0, 0], 0));
    assert!(matches!(
        handle.output().within(seconds(1)).await,
        Err(OutputError::NotYet(_))
    ));
    assert_tree(
        &collector.tree(&TreeStyle::for_tests(ATTRIBUTES)),
        r#"
publish act [producer]
└─ taskiq.act [consumer]  taskiq.attempt=1 taskiq.outcome=interrupted project=p1
"#,
    );
}

/// A place in this file moves with every edit; that it is this file is what matters.
fn without_lines(tree: &str) -> String {
    let here = "attempts.rs:";
    let mut parts = tree.split(here);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + here + part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
    })
}
