//! A worker in this process, on the embedded broker and results: what tests of handlers and the first screen of the README use.
//! Behind the feature `testing`, so that no production binary links it.

use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::broker::memory::MemoryBroker;
use crate::client::Tasks;
use crate::result::memory::MemoryResults;
use crate::worker::{Plan, Servers, Worker, WorkerError};

/// A worker that is about to run in this process.
pub struct Harness {
    plan: Plan,
}

/// A worker running in this process. Dropped, it ends.
pub struct Running {
    shutdown: CancellationToken,
    worker: Option<JoinHandle<Result<(), WorkerError>>>,
    broker: MemoryBroker,
}

impl Harness {
    /// A harness around a worker.
    #[must_use]
    pub fn new<S: Send + Sync + 'static>(worker: Worker<S>) -> Self {
        Self {
            plan: worker.into_plan(),
        }
    }

    /// Starts the worker and gives a client beside it. Needs a tokio runtime.
    ///
    /// # Panics
    /// When the worker is put together wrongly: that is what a test wants to know first.
    #[must_use]
    pub fn start(self) -> (Tasks, Running) {
        if let Err(error) = self.plan.check() {
            panic!("{error}");
        }
        let broker = MemoryBroker::with_queues([self.plan.queue()]);
        let servers = Servers {
            broker: Arc::new(broker.clone()),
            results: Arc::new(MemoryResults::new()),
        };
        let tasks = Tasks::new(Arc::clone(&servers.broker), Arc::clone(&servers.results));
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(self.plan.run(servers, shutdown.clone()));
        (
            tasks,
            Running {
                shutdown,
                worker: Some(worker),
                broker,
            },
        )
    }
}

impl Running {
    /// The broker, to look at depths and dead letters.
    #[must_use]
    pub fn broker(&self) -> &dyn Broker {
        &self.broker
    }

    /// The same broker, to look at after the worker has ended.
    #[must_use]
    pub fn memory_broker(&self) -> MemoryBroker {
        self.broker.clone()
    }

    /// Asks the worker to drain, without waiting for it.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Drains the worker and waits for its end.
    ///
    /// # Panics
    /// When the worker did not end well.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        if let Some(worker) = self.worker.take() {
            let ended = worker.await.expect("the worker does not panic");
            ended.expect("the worker ends well");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}
