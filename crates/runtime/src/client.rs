//! The side that kicks: `tasks.kick(Task { .. }).await`, a builder that is awaited where it stands.
//! It returns once the broker has confirmed; what becomes of the message is the [`Handle`]'s to say.

use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::broker::{Baton, Broker};
use crate::handle::{AnyHandle, Handle};
use crate::ledger::Ledger;
use crate::message::{
    Args, ArgsError, KickMoment, Labels, Message, MessageId, Route, label, new_kick,
    new_kick_again, unix_seconds,
};
use crate::middleware::{Middleware, Outlet, Stack};
pub use crate::outbound::KickError;
use crate::outbound::Outbound;
use crate::queue::{Priority, Queue};
use crate::result::{Meant, ResultError, Results};
use crate::task::Task;
use crate::unique::{self, Mode};
pub use crate::unique::{Kicked, UniqueKick};

/// How many messages of one `kick_all` wait for their confirms at once.
const CONFIRMS_IN_FLIGHT: usize = 256;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Kicks tasks. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    broker: Arc<dyn Broker>,
    results: Arc<dyn Results>,
    stack: Arc<Stack>,
}

impl Tasks {
    /// A client of a broker and a result store, with tracing and metrics on.
    #[must_use]
    pub fn new(broker: Arc<dyn Broker>, results: Arc<dyn Results>) -> Self {
        let stack = Arc::new(Stack::new(broker.system()));
        Self {
            broker,
            results,
            stack,
        }
    }

    pub(crate) fn with_stack(
        broker: Arc<dyn Broker>,
        results: Arc<dyn Results>,
        stack: Arc<Stack>,
    ) -> Self {
        Self {
            broker,
            results,
            stack,
        }
    }

    /// The same client with one more middleware, innermost.
    #[must_use]
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.stack = Arc::new(Stack::clone(&self.stack).with(Arc::new(middleware)));
        self
    }

    /// Kicks one task. Await it: `tasks.kick(Add { x: 1, y: 2 }).priority(Priority::High).await?`.
    #[allow(clippy::needless_pass_by_value)] // A kick takes the task: there is no use for it afterwards.
    pub fn kick<T: Task>(&self, task: T) -> Kick<'_, T> {
        let args = Args::of(&task);
        let mut order = Order::new(self, T::NAME, T::QUEUE, args, T::POLICY.priority);
        order.unique_key = task.unique_key();
        order.expires = T::POLICY.expires;
        Kick {
            order,
            task: PhantomData,
        }
    }

    /// Kicks many tasks of one kind with their confirms pipelined, and returns their handles in order.
    ///
    /// # Errors
    /// The first that failed; those before it are kicked, some after it may be. Kick again with ids to be sure.
    pub async fn kick_all<T: Task>(
        &self,
        tasks: impl IntoIterator<Item = T> + Send,
    ) -> Result<Vec<Handle<T>>, KickError> {
        // Collected because an iterator may not be `Send`; each message is made when its turn comes.
        let tasks: Vec<T> = tasks.into_iter().collect();
        let kicks = tasks.into_iter().map(|task| self.kick(task).into_future());
        stream::iter(kicks)
            .buffered(CONFIRMS_IN_FLIGHT)
            .try_collect()
            .await
    }

    /// Kicks a task that is only known by name, as an operator does.
    pub fn kick_named(&self, queue: Queue, name: impl Into<String>, args: Args) -> KickNamed<'_> {
        KickNamed {
            order: Order::new(self, name, queue, Ok(args), Priority::default()),
        }
    }

    /// A handle for a message that somebody else kicked.
    #[must_use]
    pub fn handle<T: Task>(&self, id: MessageId) -> Handle<T> {
        Handle::new(self.handle_named(id))
    }

    /// The same, when the task's type is not known.
    #[must_use]
    pub fn handle_named(&self, id: MessageId) -> AnyHandle {
        AnyHandle::new(id, Arc::clone(&self.results))
    }

    /// Gives an end, `kept` from now, to results that somebody stored without one. Returns how many there were.
    ///
    /// # Errors
    /// [`ResultError`]: the result store cannot be reached.
    pub async fn prune_results(&self, kept: Duration) -> Result<u64, ResultError> {
        self.results.prune(kept).await
    }

    /// The ledger: who runs what, what was cancelled, who is alive.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        self.results.ledger()
    }

    /// Kicks what was put together elsewhere.
    pub(crate) async fn kick_outbound(&self, outbound: Outbound) -> Result<AnyHandle, KickError> {
        self.send(outbound).await
    }

    /// Kicks with the baton, for whoever fires by the clock.
    pub(crate) async fn kick_with(
        &self,
        baton: &dyn Baton,
        outbound: Outbound,
    ) -> Result<(), KickError> {
        self.stack.send(outbound, Outlet::Baton(baton)).await
    }

    async fn send(&self, outbound: Outbound) -> Result<AnyHandle, KickError> {
        let id = outbound.message.id.clone();
        let again = outbound.message.kick().and_then(KickMoment::of_again);
        let outlet = Outlet::Broker(self.broker.as_ref());
        self.stack.send(outbound, outlet).await?;
        Ok(self
            .handle_named(id)
            .of_kick(again.map_or(Meant::Any, Meant::From)))
    }
}

/// A kick of a typed task, not sent until it is awaited.
#[must_use = "a kick is sent when it is awaited"]
pub struct Kick<'a, T: Task> {
    order: Order<'a>,
    task: PhantomData<fn() -> T>,
}

/// A kick of a task by name, not sent until it is awaited.
#[must_use = "a kick is sent when it is awaited"]
pub struct KickNamed<'a> {
    order: Order<'a>,
}

macro_rules! order_methods {
    () => {
        /// How much it matters beside the others of its queue.
        pub fn priority(mut self, priority: Priority) -> Self {
            self.order.priority = priority;
            self
        }

        /// How long before it may start. It waits in the broker.
        pub fn delay(mut self, delay: Duration) -> Self {
            self.order.delay = delay;
            self
        }

        /// An id of your own. Kicking twice with one id makes two messages with one result.
        pub fn id(mut self, id: MessageId) -> Self {
            self.order.id = id;
            self.order.own_id = true;
            self
        }

        /// How long from now it may still run, all attempts and waits included; then it is dead as `expired`.
        pub fn expires(mut self, after: Duration) -> Self {
            self.order.expires = Some(after);
            self
        }

        /// Sends it to another queue than the task's own.
        pub fn on(mut self, queue: Queue) -> Self {
            self.order.queue = queue;
            self
        }
    };
}

impl<'a, T: Task> Kick<'a, T> {
    order_methods!();

    /// Kicks unless an earlier kick of the same work is under way: queued, delayed or running, and not older than `window`.
    /// The same is what has the same [`Task::unique_key`], or the same args. A window is
    /// [`LONGEST_KEPT`](crate::task::LONGEST_KEPT) at most.
    pub fn unique_for(self, window: Duration) -> UniqueKick<'a, T> {
        UniqueKick::new(self.order, Mode::UntilDone, window)
    }

    /// Kicks unless the same work was kicked within `window`, done or not.
    pub fn throttle(self, window: Duration) -> UniqueKick<'a, T> {
        UniqueKick::new(self.order, Mode::Throttle, window)
    }

    /// Runs `pause` after the last such kick: an earlier one of the same work that has not started is superseded, and its
    /// record says so. The delay is the pause.
    pub fn debounce(self, pause: Duration) -> UniqueKick<'a, T> {
        UniqueKick::new(self.order, Mode::Debounce, pause)
    }
}

impl KickNamed<'_> {
    order_methods!();
}

impl<'a, T: Task> IntoFuture for Kick<'a, T> {
    type Output = Result<Handle<T>, KickError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.order.send().await.map(Handle::new) })
    }
}

impl<'a> IntoFuture for KickNamed<'a> {
    type Output = Result<AnyHandle, KickError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.order.send())
    }
}

/// What both kicks collect before they are sent.
pub(crate) struct Order<'a> {
    pub(crate) tasks: &'a Tasks,
    name: String,
    queue: Queue,
    args: Result<Args, ArgsError>,
    pub(crate) id: MessageId,
    /// Whether the caller chose the id, and may choose it again.
    own_id: bool,
    priority: Priority,
    pub(crate) delay: Duration,
    expires: Option<Duration>,
    pub(crate) unique_key: Option<String>,
    /// Labels beside those that every kick has.
    pub(crate) extra: Labels,
}

impl<'a> Order<'a> {
    fn new(
        tasks: &'a Tasks,
        name: impl Into<String>,
        queue: Queue,
        args: Result<Args, ArgsError>,
        priority: Priority,
    ) -> Self {
        Self {
            tasks,
            name: name.into(),
            queue,
            args,
            id: MessageId::new(),
            own_id: false,
            priority,
            delay: Duration::ZERO,
            expires: None,
            unique_key: None,
            extra: Labels::default(),
        }
    }

    /// What the ledger calls this work.
    pub(crate) fn unique_name(&self) -> Result<String, KickError> {
        let args = match &self.args {
            Ok(args) => serde_json::to_vec(&(&args.positional, &args.keyword)),
            Err(error) => return Err(error.clone().into()),
        };
        let args = args.expect("string keys and JSON values always serialize");
        Ok(unique::name(&self.name, self.unique_key.as_deref(), &args))
    }

    pub(crate) async fn send(self) -> Result<AnyHandle, KickError> {
        let tasks = self.tasks;
        tasks.send(self.outbound()?).await
    }

    fn outbound(self) -> Result<Outbound, KickError> {
        let mut labels = self.extra;
        if let Some(after) = self.expires {
            labels.set_float(label::EXPIRES_AT, unix_seconds_after(after));
        }
        labels.set_int(label::PRIORITY, i64::from(self.priority.number()));
        labels.set_float(label::QUEUED_AT, unix_seconds_after(self.delay));
        let kick = match self.own_id {
            true => new_kick_again(),
            false => new_kick(),
        };
        labels.set_text(label::KICK, kick);
        let route = Route {
            queue: self.queue,
            level: self.queue.level(self.priority),
            delay: self.delay,
        };
        Ok(Outbound {
            message: Message {
                id: self.id,
                task: self.name,
                labels,
                args: self.args?,
            },
            route,
        })
    }
}

/// When a message that is sent now may start, in seconds since 1970: what queue wait is counted from.
pub(crate) fn unix_seconds_after(delay: Duration) -> f64 {
    unix_seconds() + delay.as_secs_f64()
}
