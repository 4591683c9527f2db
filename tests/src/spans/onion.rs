//! The middleware onion, deadlines, blocking handlers and batches: what runs around a handler, in which order.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sapari_runtime::broker::Broker;
use sapari_runtime::client::KickError;
use sapari_runtime::middleware::{NextSend, Outbound};

use super::*;

/// Doubles a number, in one of several ways.
#[derive(Debug, Serialize, Deserialize)]
struct Double {
    n: u32,
    #[serde(default)]
    wait: bool,
}

impl Task for Double {
    const NAME: &'static str = "double";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(1).timeout(seconds(60));
    type Output = u32;
}

/// Ends when it is asked to, and takes a second for it.
#[task]
async fn double(args: Double, cx: TaskContext) -> TaskResult<u32> {
    if args.wait {
        cx.stop().cancelled().await;
        tokio::time::sleep(seconds(1)).await;
        return Err("asked to end".into());
    }
    Ok(args.n * 2)
}

#[derive(Debug, Serialize, Deserialize)]
struct Sum {
    numbers: Vec<u64>,
}

impl Task for Sum {
    const NAME: &'static str = "sum";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.attempts(1);
    type Output = u64;
}

/// Computes, on the blocking threads.
#[task(blocking)]
fn sum(args: Sum, State(limit): State<u64>) -> TaskResult<u64> {
    let sum = args.numbers.into_iter().sum();
    assert!(sum <= limit, "over the limit");
    Ok(sum)
}

/// Notes when it is entered and left.
struct Noting(&'static str, Arc<Mutex<Vec<String>>>);

impl Noting {
    fn note(&self, what: &str) {
        self.1
            .lock()
            .expect("no panic")
            .push(format!("{what} {}", self.0));
    }
}

#[async_trait]
impl Middleware for Noting {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn send(&self, outbound: Outbound, next: NextSend<'_>) -> Result<(), KickError> {
        self.note("send");
        let sent = next.run(outbound).await;
        self.note("sent");
        sent
    }

    async fn run(&self, job: &Job, next: Next<'_>) -> Outcome {
        self.note("enter");
        let outcome = next.run(job).await;
        self.note("leave");
        outcome
    }
}

/// Refuses to send anything.
struct Closed;

#[async_trait]
impl Middleware for Closed {
    fn name(&self) -> &'static str {
        "closed"
    }

    async fn send(&self, _outbound: Outbound, _next: NextSend<'_>) -> Result<(), KickError> {
        Err(KickError::Refused("closed on Sundays".to_owned()))
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_added_is_the_outermost_on_both_sides() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let noting = |name| Noting(name, Arc::clone(&notes));
    let worker = Worker::new(QUEUE, ())
        .task::<double>()
        .with(noting("a"))
        .with(noting("b"));
    let (tasks, running) = Harness::new(worker).start();
    let tasks = tasks.with(noting("c")).with(noting("d"));
    tasks
        .kick(Double { n: 1, wait: false })
        .await
        .expect("kicked")
        .output()
        .await
        .expect("done");
    running.stop().await;
    let expected = [
        "send c", "send d", "sent d", "sent c", "enter a", "enter b", "leave b", "leave a",
    ];
    assert_eq!(*notes.lock().expect("no panic"), expected);
}

#[tokio::test(start_paused = true)]
async fn a_refused_kick_says_so_and_sends_nothing() {
    let tree = tree(
        Worker::new(QUEUE, ()).task::<double>(),
        async |tasks, running| {
            let closed = tasks.clone().with(Closed);
            let error = closed
                .kick(Double { n: 1, wait: false })
                .await
                .map(|_| ())
                .expect_err("refused");
            assert_eq!(error.to_string(), "the kick was refused: closed on Sundays");
            assert_eq!(
                running.broker().depth(QUEUE).await.expect("depth").ready,
                [0; 4]
            );
        },
    )
    .await;
    assert_tree(
        &tree,
        "publish double [producer]  ✗ Refused: the kick was refused: closed on Sundays",
    );
}

#[tokio::test(start_paused = true)]
async fn many_kicks_give_their_handles_in_order() {
    let (tasks, running) = Harness::new(Worker::new(QUEUE, ()).task::<double>().slots(8)).start();
    let handles = tasks
        .kick_all((0..300).map(|n| Double { n, wait: false }))
        .await
        .expect("kicked");
    assert_eq!(handles.len(), 300);
    for (n, handle) in (0..).zip(&handles) {
        assert_eq!(handle.output().await.expect("done"), n * 2);
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_answers_its_token_ends_soon_after_its_deadline() {
    let (tasks, running) = Harness::new(Worker::new(QUEUE, ()).task::<double>()).start();
    let begun = tokio::time::Instant::now();
    let handle = tasks
        .kick(Double { n: 1, wait: true })
        .await
        .expect("kicked");
    let error = handle.output().await.expect_err("too late").to_string();
    assert_eq!(
        error,
        "the task failed: the attempt took longer than its timeout of 60s"
    );
    assert_eq!(begun.elapsed(), seconds(61));
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_answers_its_token_is_handed_back_when_the_worker_ends() {
    let worker = Worker::new(QUEUE, ())
        .task::<double>()
        .drain_grace(seconds(5));
    let (tasks, running) = Harness::new(worker).start();
    let broker = running.memory_broker();
    tasks
        .kick(Double { n: 1, wait: true })
        .await
        .expect("kicked");
    let taken = async || {
        broker
            .depth(QUEUE)
            .await
            .is_ok_and(|depth| depth.ready == [0; 4])
    };
    eventually("the task runs", taken).await;
    let begun = tokio::time::Instant::now();
    running.stop().await;
    assert_eq!(begun.elapsed(), seconds(6), "five of grace, one to tidy up");
    let depth = broker.depth(QUEUE).await.expect("depth");
    assert_eq!((depth.ready, depth.dead), (vec![0, 1, 0, 0], 0));
}

#[tokio::test]
async fn a_blocking_handler_computes_and_its_panic_is_a_failure() {
    let (tasks, running) = Harness::new(Worker::new(QUEUE, 10_u64).task::<sum>()).start();
    let six = tasks
        .kick(Sum {
            numbers: vec![1, 2, 3],
        })
        .await
        .expect("kicked");
    assert_eq!(six.output().await.expect("done"), 6);
    let much = tasks.kick(Sum { numbers: vec![11] }).await.expect("kicked");
    let error = much.output().await.expect_err("panicked").to_string();
    assert!(
        error.contains("the handler panicked at tests/src/spans/onion.rs:"),
        "{error}"
    );
    assert!(error.ends_with("over the limit"), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_handler_is_still_a_function() {
    assert_eq!(
        sum(
            Sum {
                numbers: vec![1, 2]
            },
            State(10)
        )
        .expect("a sum"),
        3
    );
}
