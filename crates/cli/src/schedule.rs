//! `sapari schedule`: what is fired by the clock, and changing it while schedulers run. It speaks to the ledger alone; only `run-now`
//! needs the broker.

mod args;
mod show;

use std::sync::Arc;
use std::time::SystemTime;

use sapari_runtime::client::Tasks;
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::{Ledger, LedgerError, Written};
use sapari_runtime::schedule::{Clock, Entry, Tick, WrittenEntry};
use sapari_tasks::{Role, find, find_queue};

pub(crate) use args::Schedule;
use args::{Add, List, Next, One, RunNow};

use crate::args::Store;
use crate::console::{self, line, note};
use crate::servers::{check, check_store, connect};

pub(crate) fn run(command: Schedule) -> Result<(), Failure> {
    match command {
        Schedule::List(arguments) => on_store(&arguments.store, list(&arguments)),
        Schedule::Add(arguments) => {
            let entry = written(&arguments)?;
            on_store(&arguments.store, add(&arguments, &entry))
        }
        Schedule::Remove(arguments) => on_store(&arguments.store, remove(&arguments)),
        Schedule::Pause(arguments) => on_store(&arguments.store, pause(&arguments, true)),
        Schedule::Resume(arguments) => on_store(&arguments.store, pause(&arguments, false)),
        Schedule::RunNow(arguments) => {
            check(&arguments.servers, Role::ALL[0].queue())?;
            crate::with_telemetry(run_now(&arguments))
        }
        Schedule::Next(arguments) => on_store(&arguments.store, next(&arguments)),
    }
}

fn on_store(store: &Store, work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    check_store(store)?;
    crate::with_telemetry(work)
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` hands it over.
fn unavailable(error: LedgerError) -> Failure {
    Exit::Unavailable.because(&error)
}

async fn ledger(store: &Store) -> Result<Arc<dyn Ledger>, Failure> {
    Ok(store.results().await?.ledger())
}

async fn list(arguments: &List) -> Result<(), Failure> {
    let ledger = ledger(&arguments.store).await?;
    let written = ledger.written().await.map_err(unavailable)?;
    let settled = ledger.settled_ticks().await.map_err(unavailable)?;
    let leader = ledger.leader().await.map_err(unavailable)?;
    let rows = show::rows(&written, &settled);
    if arguments.json {
        return rows
            .iter()
            .map(show::Row::json)
            .collect::<Vec<_>>()
            .iter()
            .try_for_each(console::json);
    }
    match leader {
        Some(leader) => note(format!("{} leads", leader.who)),
        None => note("no scheduler leads: nothing is fired until one does"),
    }
    show::table(&rows).iter().try_for_each(line)
}

/// Everything that can be refused without a server.
fn written(arguments: &Add) -> Result<WrittenEntry, Failure> {
    let task = &arguments.task;
    if task.is_empty() {
        return Err(Exit::Usage.with("--task is empty: give the name of a task"));
    }
    let queue = match (arguments.role, find(task)) {
        (Some(role), _) => role.queue(),
        (None, Some(declared)) => {
            let fit = declared.check(&arguments.args);
            fit.map_err(|error| Exit::Usage.because(&error))?;
            declared.queue
        }
        (None, None) => {
            return Err(Exit::Usage.with(format!(
                "there is no task {task:?} in the catalogue; with --role it is scheduled all the same"
            )));
        }
    };
    let entry = arguments.written(queue.name());
    let meant = entry.entry(&arguments.id, find_queue);
    let meant = meant.map_err(|error| Exit::Usage.because(&error))?;
    // Jitter would have it fired later than now, and the scheduler takes it for over.
    let passed = |at| at < Tick::before(SystemTime::now());
    if show::next(&meant).is_none() || arguments.at.is_some_and(passed) {
        return Err(Exit::Usage.with("its time has passed; `sapari kick` kicks a task at once"));
    }
    Ok(entry)
}

async fn add(arguments: &Add, entry: &WrittenEntry) -> Result<(), Failure> {
    let ledger = ledger(&arguments.store).await?;
    let written = ledger.written().await.map_err(unavailable)?;
    let id = &arguments.id;
    if written.posted.contains_key(id) {
        return Err(Exit::Usage.with(format!(
            "{id} is an entry of the timetable, which is changed where it is written; give this one another id"
        )));
    }
    ledger
        .add_entry(id, &entry.json())
        .await
        .map_err(unavailable)?;
    let word = if written.added.contains_key(id) {
        "replaced"
    } else {
        "added"
    };
    let entry = entry
        .entry(id, find_queue)
        .map_err(|error| Exit::Usage.because(&error))?;
    if written.paused.contains(id) {
        return line(format!(
            "{id} is {word}, and paused; `sapari schedule resume {id}` lets it go on"
        ));
    }
    let next = show::next(&entry).map(|firing| firing.to_string());
    line(format!(
        "{id} is {word}; next at {}",
        next.unwrap_or_default()
    ))
}

async fn remove(arguments: &One) -> Result<(), Failure> {
    let (ledger, id) = (ledger(&arguments.store).await?, &arguments.id);
    if ledger.remove_entry(id).await.map_err(unavailable)? {
        return line(format!("{id} is removed"));
    }
    let written = ledger.written().await.map_err(unavailable)?;
    Err(Exit::Usage.with(match written.posted.contains_key(id) {
        true => format!(
            "{id} is an entry of the timetable: pause it, or take it out where it is written"
        ),
        false => format!("there is no entry {id}; `sapari schedule list` shows all"),
    }))
}

async fn pause(arguments: &One, paused: bool) -> Result<(), Failure> {
    let (ledger, id) = (ledger(&arguments.store).await?, &arguments.id);
    let written = ledger.written().await.map_err(unavailable)?;
    if text_of(&written, id).is_none() {
        return Err(nobody(id));
    }
    ledger.pause_entry(id, paused).await.map_err(unavailable)?;
    line(match (paused, written.paused.contains(id)) {
        (true, false) => format!(
            "{id} is paused: until it is resumed its ticks are let go, and one that comes only once is held"
        ),
        (true, true) => format!("{id} was paused before"),
        (false, true) => format!("{id} is resumed"),
        (false, false) => format!("{id} was not paused"),
    })
}

fn nobody(id: &str) -> Failure {
    Exit::Usage.with(format!(
        "there is no entry {id}; `sapari schedule list` shows all"
    ))
}

/// As it is written. An added one with the id of one of the timetable is left out by the scheduler.
fn text_of<'a>(written: &'a Written, id: &str) -> Option<&'a String> {
    written.posted.get(id).or_else(|| written.added.get(id))
}

fn entry_of(written: &Written, id: &str) -> Result<Entry, Failure> {
    let text = text_of(written, id).ok_or_else(|| nobody(id))?;
    let entry = WrittenEntry::read(id, text).and_then(|it| it.entry(id, find_queue));
    entry.map_err(|error| Exit::Usage.because(&error))
}

async fn run_now(arguments: &RunNow) -> Result<(), Failure> {
    let results = arguments.servers.store.results().await?;
    let written = results.ledger().written().await.map_err(unavailable)?;
    let entry = entry_of(&written, &arguments.id)?;
    let broker = connect(&arguments.servers, entry.queue()).await?;
    let tasks = Tasks::new(Arc::clone(&broker), results);
    let kicked = tasks.run_now(&entry).await;
    let handle = kicked.map_err(|error| Exit::Unavailable.because(&error))?;
    let said = line(handle.id());
    broker.close().await;
    said
}

async fn next(arguments: &Next) -> Result<(), Failure> {
    let ledger = ledger(&arguments.store).await?;
    let written = ledger.written().await.map_err(unavailable)?;
    let ids: Vec<&String> = match &arguments.id {
        Some(id) => vec![id],
        None => written.posted.keys().chain(written.added.keys()).collect(),
    };
    let (mut runs, now) = (Vec::new(), Clock::system().now());
    for id in ids {
        if written.paused.contains(id) {
            note(format!("{id} is paused, and fired when it is resumed"));
            continue;
        }
        match entry_of(&written, id) {
            Ok(entry) => {
                let firings = entry.firings(now).take(arguments.count.into());
                runs.extend(firings.map(|firing| (firing, id.clone())));
            }
            // One that is broken does not hide the others.
            Err(failure) if arguments.id.is_none() => note(failure.message),
            Err(failure) => return Err(failure),
        }
    }
    runs.sort();
    let told = runs.iter().take(arguments.count.into());
    told.into_iter()
        .try_for_each(|(firing, id)| match arguments.json {
            true => console::json(&serde_json::json!({
                "at": firing.to_string(), "tick": firing.tick().to_string(), "entry": id,
            })),
            false => line(format!("{firing}  {id}")),
        })
}
