//! A place for pipelines without a worker and without a broker: for unit tests, and for whoever wants one pipeline run in a program
//! of his own. It is one message: what it is given to run is an attempt at it, and resumes what the attempts before it have kept.

use std::fmt;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use super::Shelf;
use super::depot::Depot;
use crate::broker::memory::MemoryBroker;
use crate::client::Tasks;
use crate::context::TaskContext;
use crate::job::Job;
use crate::ledger::{LastRun, Ledger, Progress, Run};
use crate::message::{Args, Labels, Message, MessageId};
use crate::queue::Queue;
use crate::result::Results;
use crate::result::memory::MemoryResults;
use crate::stop::Stop;
use crate::task::{Policy, Task};
use crate::worker::running::Underway;

/// A message that is run by hand.
///
/// ```
/// # use sapari_runtime::pipeline::{Alone, Pipeline, StepOutcome};
/// # use sapari_runtime::prelude::*;
/// # #[derive(Clone, Serialize, Deserialize)] struct Answer {}
/// # impl Task for Answer {
/// #     const NAME: &'static str = "answer";
/// #     const QUEUE: Queue = Queue::named("text");
/// #     type Output = u32;
/// # }
/// # fn answering() -> Pipeline<Answer, (), u32> {
/// #     let mut p = Pipeline::builder("text");
/// #     let think = p.step("think", (), async |_cx| Ok(42));
/// #     p.keep(think);
/// #     p.output(think)
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let message = Alone::new();
/// let first = answering().run_reported(&message.cx::<Answer>(), (), Answer {}).await;
/// assert_eq!(first.outcome("think"), Some(StepOutcome::Done));
/// let second = answering().run_reported(&message.cx::<Answer>(), (), Answer {}).await;
/// assert_eq!(second.outcome("think"), Some(StepOutcome::Resumed));
/// # });
/// ```
#[derive(Clone)]
pub struct Alone {
    id: MessageId,
    broker: MemoryBroker,
    results: Arc<dyn Results>,
    depot: Option<Arc<dyn Depot>>,
    stop: CancellationToken,
    underway: Arc<Underway>,
}

impl Alone {
    /// A message of its own, with an embedded broker on which nothing is declared, and embedded results.
    #[must_use]
    pub fn new() -> Self {
        Self::with_results(Arc::new(MemoryResults::new()))
    }

    /// The same, with results and their ledger somewhere else.
    #[must_use]
    pub fn with_results(results: Arc<dyn Results>) -> Self {
        let id = MessageId::new();
        let (stop, underway) = attempt_at(&id);
        Self {
            id,
            broker: MemoryBroker::new(),
            results,
            depot: None,
            stop,
            underway,
        }
    }

    /// The same message in another process: what was said and asked of this attempt is not known there.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        let (stop, underway) = attempt_at(&self.id);
        Self {
            stop,
            underway,
            ..self.clone()
        }
    }

    /// The same, with these queues, so that steps can kick tasks.
    #[must_use]
    pub fn with_queues(mut self, queues: impl IntoIterator<Item = Queue>) -> Self {
        self.broker = MemoryBroker::with_queues(queues);
        self
    }

    /// The same, with a depot for large outputs.
    #[must_use]
    pub fn with_depot(mut self, depot: impl Depot) -> Self {
        self.depot = Some(Arc::new(depot));
        self
    }

    /// The surroundings of one attempt at the message.
    #[must_use]
    pub fn cx<T: Task>(&self) -> TaskContext {
        let message = Message {
            id: self.id.clone(),
            task: T::NAME.into(),
            labels: Labels::default(),
            args: Args::default(),
        };
        let job = Job {
            message: Arc::new(message),
            queue: T::QUEUE,
            level: T::QUEUE.level(T::POLICY.default_priority()),
            attempt: 1,
            policy: T::POLICY,
            time_limit: T::POLICY.timeout,
            stop: self.underway.stop.clone(),
            span: Span::none(),
        };
        let results = Arc::clone(&self.results);
        let tasks = Tasks::new(Arc::new(self.broker.clone()), results);
        let shelf = Shelf::new(self.results.ledger(), self.depot.clone());
        TaskContext::new(
            Arc::new(job),
            tasks,
            Arc::clone(&self.underway),
            Arc::new(Notify::new()),
            Arc::new(shelf),
        )
    }

    /// The broker, to look at what was kicked.
    #[must_use]
    pub fn broker(&self) -> &MemoryBroker {
        &self.broker
    }

    /// How far the last attempt said that it is; told once.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        self.underway.said()
    }

    /// Asks the attempt under way to end, as a worker that drains does.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// The message has come to its end, as far as pipelines go: nothing is kept of its steps any more.
    pub async fn end(&self) {
        let shelf = Shelf::new(self.results.ledger(), self.depot.clone());
        shelf.clear(&self.id, true).await;
    }

    /// How the last run of a pipeline went.
    pub async fn last_run(&self, pipeline: &str) -> Option<LastRun> {
        self.ledger().last_run(pipeline).await.ok().flatten()
    }

    /// The ledger, where checkpoints lie.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        self.results.ledger()
    }

    /// The message's id.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.id
    }
}

fn attempt_at(id: &MessageId) -> (CancellationToken, Arc<Underway>) {
    let stop = CancellationToken::new();
    let run = Run {
        id: id.clone(),
        kick: "alone".to_owned(),
        is_new: false,
        hop: 0,
        token: "alone".to_owned(),
        worker: "alone".to_owned(),
        task: "alone".to_owned(),
    };
    let asked = Stop::under(&stop);
    let underway = Underway::new(run, "alone", 1, asked, Policy::DEFAULT.abort_after);
    (stop, Arc::new(underway))
}

impl fmt::Debug for Alone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alone")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Default for Alone {
    fn default() -> Self {
        Self::new()
    }
}
