//! `sapari`: the command of those who try the workers and those who run them. Each subcommand is a file of its own.
//! Usage mistakes end with 64 before anything is connected; stdout carries results, stderr everything else.

mod args;
mod cancel;
mod console;
mod dead;
mod demo;
mod kick;
mod pause;
mod ping;
mod queues;
mod schedule;
mod servers;
mod table;
mod task;
mod workers;

use std::process::ExitCode;

use clap::Parser;
use sapari_runtime::host::{Exit, Failure};

use args::{Cli, Command};

fn main() -> ExitCode {
    if let Some(ended) = sapari_leash::divert() {
        return ended;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return sapari_runtime::host::usage(&usage),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        // Errors repeat what tasks and servers said: nothing of it may steer the terminal.
        Err(failure) => failure.exit.say(&table::plain(&failure.message)),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Kick(arguments) => kick::run(arguments),
        Command::Ping(arguments) => ping::run(&arguments),
        Command::Dead(arguments) => dead::run(&arguments),
        Command::Workers(arguments) => workers::run(&arguments),
        Command::Queues(arguments) => queues::run(&arguments),
        Command::Task(arguments) => task::run(arguments),
        Command::Schedule(command) => schedule::run(command),
        Command::Cancel(arguments) => cancel::run(&arguments),
        Command::Pause(arguments) => pause::run(&arguments, true),
        Command::Resume(arguments) => pause::run(&arguments, false),
    }
}

/// Runs a subcommand's async part with telemetry around it.
fn with_telemetry<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let guard = console::telemetry()?;
    let done = block_on(work);
    guard.shutdown(console::FLUSH_DEADLINE);
    done
}

/// Runs a subcommand's async part on a runtime of its own.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| Exit::Software.because(&error))?
        .block_on(work)
}
