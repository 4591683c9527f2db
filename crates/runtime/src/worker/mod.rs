//! A worker: one role's handlers on one queue, registered by hand, run in a bounded number of slots.
//! It takes broker and results when it runs, so that the same worker runs embedded, in a test, or against real servers.

mod admit;
mod alone;
mod attempt;
mod census;
mod conclude;
mod drain;
mod engine;
mod heard;
mod intake;
mod keeper;
mod log;
mod over_limit;
mod parking;
mod plan;
mod reception;
mod rooms;
pub(crate) mod running;
mod score;
mod settle;
mod trying;
mod watchdog;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub(crate) use engine::name_of_process;
pub(crate) use plan::{LONGEST_LEASE, SHORTEST_LEASE};
pub use plan::{Plan, StartError, TaskSummary};

use crate::broker::{Broker, BrokerError};
use crate::handler::Handler;
use crate::middleware::Middleware;
use crate::pipeline::{Depot, Graph};
use crate::queue::Queue;
use crate::result::Results;

/// One role's handlers, its slots and its middleware. `S` is the state that handlers take their `State<T>` from.
pub struct Worker<S> {
    state: Arc<S>,
    plan: Plan,
}

/// How long a message that has waited so long for a worker that knows its task waits until the next look: half as long
/// again, from one to thirty seconds.
fn unknown_pause(waited: Duration) -> Duration {
    (waited / 2).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

/// A worker that could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It is put together wrongly.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The broker failed.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The consumer ended for good though nobody asked.
    #[error("the consumer of queue {0} is gone; restart the worker")]
    ConsumerGone(Queue),
}

/// The servers that a worker works with.
#[derive(Debug, Clone)]
pub struct Servers {
    /// Where messages wait.
    pub broker: Arc<dyn Broker>,
    /// Where results are kept.
    pub results: Arc<dyn Results>,
}

impl<S: Send + Sync + 'static> Worker<S> {
    /// A worker of `queue` with one slot per core and no handlers but `ping`.
    #[must_use]
    pub fn new(queue: Queue, state: S) -> Self {
        Self {
            state: Arc::new(state),
            plan: Plan::new(queue),
        }
    }

    /// Registers a handler: `.task::<render_export>()`.
    #[must_use]
    pub fn task<H: Handler<S>>(mut self) -> Self {
        self.plan.register::<S, H>(Arc::clone(&self.state));
        self
    }

    /// Adds a middleware inside those added before.
    #[must_use]
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.plan.layers.push(Arc::new(middleware));
        self
    }

    /// Tells of a pipeline that a task of this worker runs, for `--explain`: `.pipeline(render().describe())`.
    #[must_use]
    pub fn pipeline(mut self, graph: Graph) -> Self {
        self.plan.pipelines.push(graph);
        self
    }

    /// Where kept outputs of steps lie that are larger than 256 KiB. Without a depot they lie in the ledger as well, and what is
    /// larger than 8 MiB is not kept.
    #[must_use]
    pub fn depot(mut self, depot: impl Depot) -> Self {
        self.plan.depot = Some(Arc::new(depot));
        self
    }

    /// How many attempts run at once; at least one.
    #[must_use]
    pub fn slots(mut self, slots: u16) -> Self {
        self.plan.slots = slots.max(1);
        self
    }

    /// How many messages of each level are held ahead of the slots, always. Unless set, it begins with one ahead of a single slot,
    /// more ahead of many; and each level holds more while its messages are finished within moments. What waits for a slot longer
    /// than 0.4 s goes back in any case, for a worker with a free one.
    #[must_use]
    pub fn read_ahead(mut self, messages: u16) -> Self {
        self.plan = self.plan.read_ahead(messages);
        self
    }

    /// How long attempts may go on after the worker was asked to end; then they are interrupted and handed back.
    #[must_use]
    pub fn drain_grace(mut self, grace: Duration) -> Self {
        self.plan.drain_grace = grace;
        self
    }

    /// How long a claim outlives its worker: so long a message waits after its worker was killed. Nine seconds unless set; a
    /// third of it is how often claims are renewed.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.plan = self.plan.lease(lease);
        self
    }

    /// Lets a lower level through once whenever it was passed over for so long. Unless set, levels are strict: a level waits as
    /// long as there is something above it.
    #[must_use]
    pub fn aging(mut self, after: Duration) -> Self {
        self.plan = self.plan.aging(after);
        self
    }

    /// How long a message whose task nobody here knows waits for a worker that does; ten minutes unless set. Then it is dead.
    #[must_use]
    pub fn unknown_wait(mut self, wait: Duration) -> Self {
        self.plan = self.plan.unknown_wait(wait);
        self
    }

    /// The worker without its state's type: what a process runs and explains.
    #[must_use]
    pub fn into_plan(self) -> Plan {
        self.plan
    }

    /// Takes messages and runs them until `shutdown` trips, then drains: intake stops, attempts get their grace, what is
    /// left is interrupted and handed back.
    ///
    /// # Errors
    /// [`WorkerError`]. Nothing is lost by it: what was not settled is delivered again.
    pub async fn run(
        self,
        servers: Servers,
        shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        self.plan.run(servers, shutdown).await
    }
}
