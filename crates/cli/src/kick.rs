//! `sapari kick`: a task by name, with args as JSON, on a real broker.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::broker::{self, Broker};
use sapari_runtime::client::{KickError, KickNamed, Tasks};
use sapari_runtime::duration::seconds;
use sapari_runtime::handle::{AnyHandle, OutputError};
use sapari_runtime::host::{Exit, Failure, connect_broker, connect_results};
use sapari_runtime::queue::{Priority, Queue};
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::result::{self, Record, Results};
use sapari_tasks::{Role, catalogue, find, is_ping};

use crate::args::{Kick, Servers};
use crate::console::{self, line};

/// How long a person waits for a server that does not answer.
const CONNECT_DEADLINE: Duration = seconds(5);

pub(crate) fn run(arguments: Box<Kick>) -> Result<(), Failure> {
    let target = Target::of(&arguments.task, arguments.role)?;
    check(&arguments.servers, target.queue)?;
    let guard = console::telemetry()?;
    let done = crate::block_on(kick(*arguments, target));
    guard.shutdown(console::FLUSH_DEADLINE);
    done
}

/// Where a name goes, and how much it matters unless somebody says.
struct Target {
    queue: Queue,
    priority: Priority,
}

impl Target {
    fn of(task: &str, role: Option<Role>) -> Result<Self, Failure> {
        match (role, find(task)) {
            (Some(role), found) => {
                let priority = found.map_or(Priority::Normal, |task| task.priority);
                Ok(Self {
                    queue: role.queue(),
                    priority,
                })
            }
            (None, Some(task)) => Ok(Self {
                queue: task.queue,
                priority: task.priority,
            }),
            (None, None) => Err(Exit::Usage.with(unknown(task))),
        }
    }
}

fn unknown(task: &str) -> String {
    if is_ping(task) {
        return "every role answers ping: say which with --role, or use `sapari ping ROLE`"
            .to_owned();
    }
    let known: Vec<&str> = catalogue().iter().map(|task| task.name).collect();
    format!(
        "there is no task {task:?} in the catalogue ({}); with --role it is kicked all the same",
        known.join(", ")
    )
}

/// Refuses URLs and names that make no sense, before anything is connected.
pub(crate) fn check(servers: &Servers, queue: Queue) -> Result<(), Failure> {
    broker::url::describe(&servers.broker_url, &servers.namespace, queue)
        .map_err(|error| Exit::Usage.because(&error))?;
    result::url::check(&servers.result_url).map_err(|error| Exit::Usage.because(&error))?;
    if servers.broker_url.starts_with("memory:") {
        return Err(Exit::Usage.with("memory:// lives and ends within one process; `sapari demo` uses it, other commands need a real broker"));
    }
    Ok(())
}

async fn kick(arguments: Kick, target: Target) -> Result<(), Failure> {
    let broker = connect(&arguments.servers, target.queue).await?;
    // Who does not wait needs no result store to be there.
    let results: Arc<dyn Results> = match arguments.wait {
        Some(_) => arguments.servers.results().await?,
        None => Arc::new(MemoryResults::new()),
    };
    let tasks = Tasks::new(Arc::clone(&broker), results);
    let handle = order(&tasks, &arguments, &target)
        .await
        .map_err(|error| exit_of(&error))?;
    line(handle.id())?;
    let waited = match arguments.wait {
        Some(limit) => print_result(&handle, limit).await,
        None => Ok(()),
    };
    broker.close().await;
    waited
}

impl Servers {
    /// The result store, with the ledger beside it.
    pub(crate) async fn results(&self) -> Result<Arc<dyn Results>, Failure> {
        connect_results(&self.result_url, &self.namespace, CONNECT_DEADLINE).await
    }
}

/// Connects and makes sure that the queue is there, so that the message can wait for a worker that has never run.
pub(crate) async fn connect(servers: &Servers, queue: Queue) -> Result<Arc<dyn Broker>, Failure> {
    let broker = connect_broker(
        &servers.broker_url,
        &servers.namespace,
        console::SERVICE,
        CONNECT_DEADLINE,
    )
    .await?;
    broker
        .declare(queue)
        .await
        .map_err(|error| Exit::Unavailable.because(&error))?;
    Ok(broker)
}

fn order<'a>(tasks: &'a Tasks, arguments: &Kick, target: &Target) -> KickNamed<'a> {
    let kick = tasks.kick_named(target.queue, &arguments.task, arguments.args.clone());
    let kick = kick
        .priority(arguments.priority.unwrap_or(target.priority))
        .delay(arguments.delay.unwrap_or_default());
    match &arguments.id {
        Some(id) => kick.id(id.clone()),
        None => kick,
    }
}

fn exit_of(error: &KickError) -> Failure {
    match error {
        KickError::Publish(_) => Exit::Unavailable.because(error),
        _ => Exit::Usage.because(error),
    }
}

async fn print_result(handle: &AnyHandle, limit: Duration) -> Result<(), Failure> {
    match handle.record().within(limit).await {
        Ok(Record {
            outcome: Ok(output),
            ..
        }) => line(output.get()),
        Ok(Record {
            outcome: Err(failure),
            ..
        }) => Err(Exit::Failed.because(&OutputError::Failed(failure))),
        Err(OutputError::Results(error)) => Err(Exit::Unavailable.because(&error)),
        Err(error) => Err(Exit::Failed.because(&error)),
    }
}
