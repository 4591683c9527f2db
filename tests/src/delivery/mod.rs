//! What is promised of a message on its way, on the embedded servers under paused time: retries and their history, cancels,
//! deadlines, unique kicks, limits, slots, poison, unknown names, pauses, progress. Spans are another folder's subject.

mod alone;
mod bounds;
mod cancelling;
mod claiming;
mod closed;
mod deadlines;
mod limiting;
mod operating;
mod rates;
mod reserving;
mod retrying;
mod storing;
mod unique;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sapari_runtime::broker::memory::MemoryBroker;
use sapari_runtime::prelude::*;
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::result::{Failure, Record};
use sapari_runtime::worker::{Servers, WorkerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const QUEUE: Queue = Queue::named("desk").levels(4);

/// Embedded servers that outlive their workers.
#[derive(Clone)]
struct House {
    broker: MemoryBroker,
    results: MemoryResults,
}

/// A worker in the house. Dropped, it drains in the background.
struct AtWork {
    shutdown: CancellationToken,
    working: JoinHandle<Result<(), WorkerError>>,
}

impl House {
    fn new() -> Self {
        Self {
            broker: MemoryBroker::with_queues([QUEUE]),
            results: MemoryResults::new(),
        }
    }

    fn servers(&self) -> Servers {
        Servers {
            broker: Arc::new(self.broker.clone()),
            results: Arc::new(self.results.clone()),
        }
    }

    fn tasks(&self) -> Tasks {
        let servers = self.servers();
        Tasks::new(servers.broker, servers.results)
    }

    fn employ<S: Send + Sync + 'static>(&self, worker: Worker<S>) -> AtWork {
        let shutdown = CancellationToken::new();
        let working = tokio::spawn(worker.run(self.servers(), shutdown.clone()));
        AtWork { shutdown, working }
    }
}

impl AtWork {
    async fn drained(self) {
        self.shutdown.cancel();
        self.working.await.expect("no panic").expect("ends well");
    }
}

/// What handlers tell the test.
#[derive(Clone, Default)]
struct Board {
    runs: Arc<AtomicU32>,
    now: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
    started: Arc<watch::Sender<Vec<u32>>>,
}

impl Board {
    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    /// How many ran at once at most.
    fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }

    /// The numbers of those that started, in order.
    fn started(&self) -> Vec<u32> {
        self.started.borrow().clone()
    }

    async fn until_started(&self, count: usize) {
        let mut started = self.started.subscribe();
        let all = started.wait_for(|started| started.len() >= count);
        let waited = tokio::time::timeout(Duration::from_secs(3600), all).await;
        waited.expect("they start").expect("the board lives");
    }

    fn enter(&self, number: u32) -> OnBoard {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.started.send_modify(|started| started.push(number));
        OnBoard(self.clone())
    }
}

struct OnBoard(Board);

impl Drop for OnBoard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Works for a while, and heeds its token.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Work {
    number: u32,
    millis: u64,
}

impl Task for Work {
    const NAME: &'static str = "work";
    const QUEUE: Queue = QUEUE;
    type Output = u32;
}

#[task]
async fn work(args: Work, cx: TaskContext, State(board): State<Board>) -> TaskResult<u32> {
    let _here = board.enter(args.number);
    let worked = cx
        .stop()
        .run_until_cancelled(tokio::time::sleep(Duration::from_millis(args.millis)));
    match worked.await {
        Some(()) => Ok(args.number),
        None => Err(TaskError::from("asked to end")),
    }
}

fn long(number: u32) -> Work {
    Work {
        number,
        millis: 60_000,
    }
}

fn short(number: u32) -> Work {
    Work { number, millis: 10 }
}

fn worker(board: &Board) -> Worker<Board> {
    Worker::new(QUEUE, board.clone()).task::<work>().slots(1)
}

#[track_caller]
fn failure(record: Record) -> Failure {
    record.outcome.expect_err("a failure")
}

/// Waits for a condition that only the workers can make true; time is paused, so each round is the next event.
async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let bound = tokio::time::Instant::now() + Duration::from_secs(7200);
    while !condition().await {
        assert!(
            tokio::time::Instant::now() < bound,
            "{what} did not come true"
        );
        tokio::time::advance(Duration::from_millis(50)).await;
        tokio::task::yield_now().await;
    }
}
