//! `sapari ping`: the round trip through broker, worker and result store.

use std::sync::Arc;
use std::time::Duration;

use sapari_runtime::client::Tasks;
use sapari_runtime::handle::OutputError;
use sapari_runtime::host::{Exit, Failure};
use sapari_runtime::ledger::LedgerError;
use sapari_runtime::ping::{Ping as Ask, Pong};
use tokio::time::Instant;

use crate::args::Ping;
use crate::console::line;
use crate::servers::{check, connect};

pub(crate) fn run(arguments: &Ping) -> Result<(), Failure> {
    check(&arguments.servers, arguments.role.queue())?;
    crate::with_telemetry(ping(arguments))
}

async fn ping(arguments: &Ping) -> Result<(), Failure> {
    let broker = connect(&arguments.servers, arguments.role.queue()).await?;
    let results = arguments.servers.store.results().await?;
    let tasks = Tasks::new(Arc::clone(&broker), results);
    let answered = match is_paused(&tasks, arguments).await {
        Ok(true) => Err(Exit::Failed.with(format!(
            "{role} is paused, so its workers start nothing; `sapari resume {role}` lets them go on",
            role = arguments.role
        ))),
        Ok(false) => ask_all(&tasks, arguments).await,
        Err(error) => Err(Exit::Unavailable.because(&error)),
    };
    broker.close().await;
    answered
}

async fn is_paused(tasks: &Tasks, arguments: &Ping) -> Result<bool, LedgerError> {
    let paused = tasks.ledger().paused().await?;
    Ok(paused.contains(arguments.role.queue().name()))
}

async fn ask_all(tasks: &Tasks, arguments: &Ping) -> Result<(), Failure> {
    let mut trips = Vec::new();
    for number in 1..=arguments.count {
        let (pong, trip) = ask(tasks, arguments).await?;
        line(format_args!(
            "{} answered: {number} of {}, pid {}, {}",
            arguments.role,
            arguments.count,
            pong.pid,
            ms(trip)
        ))?;
        trips.push(trip);
    }
    summary(&mut trips)
}

async fn ask(tasks: &Tasks, arguments: &Ping) -> Result<(Pong, Duration), Failure> {
    let begun = Instant::now();
    let handle = tasks
        .kick(Ask {})
        .on(arguments.role.queue())
        .await
        .map_err(|error| Exit::Unavailable.because(&error))?;
    match handle.output().within(arguments.within).await {
        Ok(pong) => Ok((pong, begun.elapsed())),
        Err(OutputError::NotYet(limit)) => Err(Exit::Failed.with(no_answer(arguments, limit))),
        Err(error) => Err(Exit::Failed.because(&error)),
    }
}

fn no_answer(arguments: &Ping, limit: Duration) -> String {
    format!(
        "no {} worker answered within {limit:?}; is one running, and has it a free slot?",
        arguments.role
    )
}

fn summary(trips: &mut [Duration]) -> Result<(), Failure> {
    trips.sort_unstable();
    match trips {
        [] | [_] => Ok(()),
        [first, .., last] => {
            let (first, last) = (ms(*first), ms(*last));
            line(format_args!(
                "round trip: min {first}, median {}, max {last}",
                ms(trips[trips.len() / 2])
            ))
        }
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}
