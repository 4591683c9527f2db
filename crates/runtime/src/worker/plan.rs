//! What a worker consists of, as data: checked before anything is connected, explained to people, and then run.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sapari_telemetry::framework::Parenting;
use serde_json::value::{RawValue, to_raw_value};

use crate::context::TaskContext;
use crate::duration::{hours, minutes, seconds};
use crate::error::{Classify, ErrorKind, TaskError, TaskResult};
use crate::handler::Handler;
use crate::ledger::Gate;
use crate::limit::Limit;
use crate::message::Message;
use crate::middleware::{Middleware, Stack};
use crate::ping::ping;
use crate::pipeline::{Depot, Graph};
use crate::queue::Queue;
use crate::task::{Backoff, Policy, Task};
use crate::vitals::Vitals;

type Running = Pin<Box<dyn Future<Output = TaskResult<Box<RawValue>>> + Send>>;
type Run = Arc<dyn Fn(Arc<Message>, TaskContext) -> Running + Send + Sync>;
type Gates = Arc<dyn Fn(&Message) -> Vec<Gate> + Send + Sync>;

/// The shortest lease: a third of it must be long enough for a renewal.
pub(crate) const SHORTEST_LEASE: Duration = seconds(1);
/// The longest lease.
pub(crate) const LONGEST_LEASE: Duration = hours(24);
/// How long a claim outlives its worker: so long a message waits after its worker was killed.
const LEASE: Duration = seconds(9);
/// How long a rolling deploy may take before a task that only new workers know is taken for a mistake.
const UNKNOWN_WAIT: Duration = minutes(10);

/// A worker without its state's type.
pub struct Plan {
    pub(super) queue: Queue,
    pub(super) tasks: BTreeMap<&'static str, Registered>,
    pub(super) layers: Vec<Arc<dyn Middleware>>,
    pub(super) slots: u16,
    pub(super) read_ahead: Option<u16>,
    pub(super) drain_grace: Duration,
    pub(super) parenting: Parenting,
    pub(super) lease: Duration,
    pub(super) unknown_wait: Duration,
    pub(super) aging: Option<Duration>,
    pub(super) vitals: Vitals,
    pub(super) depot: Option<Arc<dyn Depot>>,
    pub(super) pipelines: Vec<Graph>,
    problems: Vec<StartError>,
}

/// A handler and what its task says about itself.
#[derive(Clone)]
pub(super) struct Registered {
    pub(super) policy: Policy,
    pub(super) run: Run,
    /// The limits that a message has to pass.
    pub(super) gates: Gates,
}

/// What a task looks like to a person.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSummary {
    /// Its wire name.
    pub name: &'static str,
    /// Runs at most, the first included.
    pub attempts: u32,
    /// The longest that one attempt may take.
    pub timeout: Duration,
    /// How the pause between two of them grows.
    pub backoff: Backoff,
    /// The level of a kick that names no priority.
    pub level: u8,
    /// How long its result is kept; nothing when it keeps none.
    pub keep_result: Duration,
    /// How many slots one attempt takes.
    pub slots: u16,
    /// Its limits across all workers, in words.
    pub limits: Vec<String>,
}

/// A worker that is put together wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Two handlers for one name.
    #[error("task {0} is registered twice; remove one `.task::<..>()`")]
    Duplicate(&'static str),
    /// A handler whose task waits elsewhere.
    #[error(
        "task {task} waits on queue {its_queue}, but this worker serves {queue}; register it with that queue's worker"
    )]
    OtherQueue {
        /// The task.
        task: &'static str,
        /// Where it waits.
        its_queue: Queue,
        /// What this worker serves.
        queue: Queue,
    },
}

impl Plan {
    pub(super) fn new(queue: Queue) -> Self {
        let slots = std::thread::available_parallelism().map_or(1, usize::from);
        let mut plan = Self {
            queue,
            tasks: BTreeMap::new(),
            layers: Vec::new(),
            slots: u16::try_from(slots).unwrap_or(u16::MAX),
            read_ahead: None,
            drain_grace: seconds(30),
            parenting: Parenting::Child,
            lease: LEASE,
            unknown_wait: UNKNOWN_WAIT,
            aging: None,
            vitals: Vitals::new(),
            depot: None,
            pipelines: Vec::new(),
            problems: Vec::new(),
        };
        plan.insert::<(), ping>(Arc::new(()));
        plan
    }

    pub(super) fn register<S: Send + Sync + 'static, H: Handler<S>>(&mut self, state: Arc<S>) {
        if H::Task::QUEUE.name() != self.queue.name() {
            let (task, its_queue) = (H::Task::NAME, H::Task::QUEUE);
            self.problems.push(StartError::OtherQueue {
                task,
                its_queue,
                queue: self.queue,
            });
        }
        self.insert::<S, H>(state);
    }

    fn insert<S: Send + Sync + 'static, H: Handler<S>>(&mut self, state: Arc<S>) {
        let run: Run =
            Arc::new(move |message, cx| Box::pin(run::<S, H>(message, cx, Arc::clone(&state))));
        let registered = Registered {
            policy: H::Task::POLICY,
            run,
            gates: Arc::new(gates::<H::Task>),
        };
        if self.tasks.insert(H::Task::NAME, registered).is_some() {
            self.problems.push(StartError::Duplicate(H::Task::NAME));
        }
    }

    /// Sets the number of slots; at least one.
    #[must_use]
    pub fn slots(mut self, slots: u16) -> Self {
        self.slots = slots.max(1);
        self
    }

    /// Sets how many messages of each level are held ahead of the slots; at least one.
    #[must_use]
    pub fn read_ahead(mut self, messages: u16) -> Self {
        self.read_ahead = Some(messages.max(1));
        self
    }

    /// Sets how long attempts may go on after the worker was asked to end.
    #[must_use]
    pub fn drain_grace(mut self, grace: Duration) -> Self {
        self.drain_grace = grace;
        self
    }

    /// Sets how long a message that nobody here knows waits for a worker that does, before it is dead.
    #[must_use]
    pub fn unknown_wait(mut self, wait: Duration) -> Self {
        self.unknown_wait = wait;
        self
    }

    /// Sets how long a claim outlives its worker; at least a second, and a day at most.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.clamp(SHORTEST_LEASE, LONGEST_LEASE);
        self
    }

    /// Lets a level through once that was passed over for so long; nothing keeps levels strict.
    #[must_use]
    pub fn aging(mut self, after: Duration) -> Self {
        self.aging = (!after.is_zero()).then_some(after);
        self
    }

    pub(super) fn is_limited(&self) -> bool {
        self.tasks.values().any(|task| task.policy.is_limited())
    }

    /// Sets whether task spans are children of their kick, or roots that link to it.
    #[must_use]
    pub fn parenting(mut self, parenting: Parenting) -> Self {
        self.parenting = parenting;
        self
    }

    /// Sets where the worker notes how it is.
    #[must_use]
    pub fn vitals(mut self, vitals: Vitals) -> Self {
        self.vitals = vitals;
        self
    }

    /// The queue it serves.
    #[must_use]
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// How many attempts run at once.
    #[must_use]
    pub fn slot_count(&self) -> u16 {
        self.slots
    }

    /// Its tasks by name.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskSummary> {
        let summary = |(name, task): (&&'static str, &Registered)| TaskSummary {
            name,
            attempts: task.policy.attempts,
            timeout: task.policy.timeout,
            backoff: task.policy.backoff,
            level: self.queue.level(task.policy.priority).number(),
            keep_result: task.policy.keep_result,
            slots: task.policy.cost,
            limits: task
                .policy
                .limits
                .iter()
                .flatten()
                .map(Limit::words)
                .collect(),
        };
        self.tasks.iter().map(summary).collect()
    }

    /// The pipelines that its tasks run, as far as it was told.
    #[must_use]
    pub fn pipelines(&self) -> &[Graph] {
        &self.pipelines
    }

    /// Its middleware, outermost first.
    #[must_use]
    pub fn stack(&self) -> Vec<&'static str> {
        self.build_stack("").names()
    }

    pub(super) fn build_stack(&self, system: &'static str) -> Stack {
        self.layers
            .iter()
            .cloned()
            .fold(Stack::new(system), Stack::with)
    }

    /// Says what is wrong with it, before anything is connected.
    ///
    /// # Errors
    /// The first [`StartError`].
    pub fn check(&self) -> Result<(), StartError> {
        self.problems.first().cloned().map_or(Ok(()), Err)
    }
}

/// The limits of the task as the ledger counts them. Args that do not fit the task have no key: running them says so.
fn gates<T: Task>(message: &Message) -> Vec<Gate> {
    let policy = T::POLICY;
    if !policy.is_limited() {
        return Vec::new();
    }
    let task: Option<T> = message.args.decode().ok();
    let key = task.and_then(|task| task.limit_key());
    let limits = policy.limits.iter().flatten().enumerate();
    limits
        .filter_map(|(number, limit)| limit.gate(number, T::NAME, key.as_deref()))
        .collect()
}

/// From args to output, with the task's own types in between.
async fn run<S, H: Handler<S>>(
    message: Arc<Message>,
    cx: TaskContext,
    state: Arc<S>,
) -> TaskResult<Box<RawValue>> {
    let task: H::Task = message
        .args
        .decode()
        .map_err(|error| TaskError::new(ErrorKind::BadArgs, error))?;
    sapari_telemetry::framework::set_keys(cx.span(), &task.correlation());
    let output = H::run(task, cx, &state).await?;
    to_raw_value(&output).permanent()
}
