//! The task that does nothing, a worker for it, and messages to drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sapari_runtime::prelude::*;
use sapari_runtime::worker::{Servers, WorkerError};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::place::{self, QUEUE};
use crate::sample::{Sample, Store};
use crate::{Failure, report};

/// What a small task carries: two ids.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ids {
    project_uuid: String,
    file_uuid: String,
}

impl Ids {
    fn new() -> Self {
        Self {
            project_uuid: "5f0c5e9a-0000-4000-8000-000000000001".to_owned(),
            file_uuid: "5f0c5e9a-0000-4000-8000-000000000002".to_owned(),
        }
    }
}

/// Does nothing, and keeps no result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Noop(Ids);

/// Does nothing, and its result is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Kept(Ids);

impl Noop {
    pub(crate) fn new() -> Self {
        Self(Ids::new())
    }

    pub(crate) fn many(count: usize) -> Vec<Self> {
        vec![Self::new(); count]
    }
}

impl Task for Noop {
    const NAME: &'static str = "noop";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.keep_no_result();
    type Output = ();
}

impl Task for Kept {
    const NAME: &'static str = "kept";
    const QUEUE: Queue = QUEUE;
    const POLICY: Policy = Policy::DEFAULT.keep_result(minutes(1));
    type Output = ();
}

#[task]
async fn noop(_args: Noop, meter: State<Arc<Meter>>) -> TaskResult<()> {
    meter.0.started().await;
    Ok(())
}

#[task]
async fn kept(_args: Kept, meter: State<Arc<Meter>>) -> TaskResult<()> {
    meter.0.started().await;
    Ok(())
}

/// What the handlers report to.
pub(crate) struct Meter {
    wanted: usize,
    seen: AtomicUsize,
    first: std::sync::OnceLock<Instant>,
    all: Notify,
    starts: mpsc::Sender<Instant>,
}

impl Meter {
    async fn started(&self) {
        self.first.get_or_init(Instant::now);
        if self.wanted == 0 {
            // Nobody waits for it only when the measurement is over.
            let _ = self.starts.send(Instant::now()).await;
        } else if self.seen.fetch_add(1, Ordering::Relaxed) + 1 == self.wanted {
            self.all.notify_one();
        }
    }

    /// Waits for the last, and says how many there were in a second since the first.
    pub(crate) async fn rate(&self) -> f64 {
        self.all.notified().await;
        let first = self.first.get().copied().unwrap_or_else(Instant::now);
        self.wanted as f64 / first.elapsed().as_secs_f64()
    }
}

/// How much a worker runs at once, and holds ahead of that if not as much as follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) slots: u16,
    pub(crate) read_ahead: Option<u16>,
}

impl Room {
    pub(crate) const fn of(slots: u16) -> Self {
        Self {
            slots,
            read_ahead: None,
        }
    }
}

/// A worker that runs in this process.
pub(crate) struct Running {
    pub(crate) meter: Arc<Meter>,
    pub(crate) starts: mpsc::Receiver<Instant>,
    shutdown: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
}

impl Running {
    /// Starts one that waits for `wanted` tasks; with none wanted, it tells when each starts.
    pub(crate) fn start(servers: &Servers, room: Room, wanted: usize) -> Self {
        let (sender, starts) = mpsc::channel(16);
        let meter = Arc::new(Meter {
            wanted,
            seen: AtomicUsize::new(0),
            first: std::sync::OnceLock::new(),
            all: Notify::new(),
            starts: sender,
        });
        let shutdown = CancellationToken::new();
        let worker = Worker::new(QUEUE, Arc::clone(&meter))
            .task::<noop>()
            .task::<kept>()
            .slots(room.slots);
        let worker = match room.read_ahead {
            Some(messages) => worker.read_ahead(messages),
            None => worker,
        };
        Self {
            meter,
            starts,
            worker: tokio::spawn(worker.run(servers.clone(), shutdown.clone())),
            shutdown,
        }
    }

    /// Drains it, and says when what it acked came again.
    pub(crate) async fn stop(self, servers: &Servers) -> Result<(), Failure> {
        self.shutdown.cancel();
        self.worker.await??;
        servers.broker.close().await;
        let again = place::count().await?;
        if again > 0 {
            // An ack has no answer: the broker may drop some of the last when the connection closes.
            report::progress(&format!("{again} messages came again"));
        }
        Ok(())
    }
}

/// Puts messages into the queue, whose results are kept when there is a store for them.
pub(crate) async fn fill(tasks: &Tasks, sample: Sample) -> Result<(), Failure> {
    match sample.store {
        Store::None => drop(tasks.kick_all(Noop::many(sample.count)).await?),
        Store::Redis => drop(tasks.kick_all(vec![Kept(Ids::new()); sample.count]).await?),
    }
    Ok(())
}
