//! `sapari kick`: a task by name, with args as JSON, on a real broker.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::client::{KickError, KickNamed, Tasks};
use sapari_runtime::handle::{AnyHandle, OutputError};
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::queue::{Priority, Queue};
use sapari_runtime::result::memory::MemoryResults;
use sapari_runtime::result::{Record, Results};
use sapari_tasks::{Role, catalogue, find, is_ping};

use crate::args::Kick;
use crate::console::{json_text, line};
use crate::servers::{check, connect};

pub(crate) fn run(arguments: Box<Kick>) -> Result<(), Failure> {
    let target = Target::of(&arguments.task, arguments.role)?;
    check(&arguments.servers, target.queue)?;
    crate::with_telemetry(kick(*arguments, target))
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

async fn kick(arguments: Kick, target: Target) -> Result<(), Failure> {
    let broker = connect(&arguments.servers, target.queue).await?;
    // Who does not wait needs no result store to be there.
    let results: Arc<dyn Results> = match arguments.wait {
        Some(_) => arguments.servers.store.results().await?,
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

fn order<'a>(tasks: &'a Tasks, arguments: &Kick, target: &Target) -> KickNamed<'a> {
    let kick = tasks.kick_named(target.queue, &arguments.task, arguments.args.clone());
    let kick = kick
        .priority(arguments.priority.unwrap_or(target.priority))
        .delay(arguments.delay.unwrap_or_default());
    let kick = match arguments.expires {
        Some(after) => kick.expires(after),
        None => kick,
    };
    match &arguments.id {
        Some(id) => kick.id(id.clone()),
        None => kick,
    }
}

fn exit_of(error: &KickError) -> Failure {
    match error {
        // The same kick can be taken later: it is the broker that is not there, or does not take it now.
        KickError::Publish(refused) if refused.may_pass() => Exit::Unavailable.because(error),
        _ => Exit::Usage.because(error),
    }
}

async fn print_result(handle: &AnyHandle, limit: Duration) -> Result<(), Failure> {
    match handle.record().within(limit).await {
        Ok(Record {
            outcome: Ok(output),
            ..
        }) => line(json_text(output.get())),
        Ok(Record {
            outcome: Err(failure),
            ..
        }) => Err(Exit::Failed.because(&OutputError::Failed(failure))),
        Err(OutputError::Results(error)) => Err(Exit::Unavailable.because(&error)),
        Err(error) => Err(Exit::Failed.because(&error)),
    }
}
