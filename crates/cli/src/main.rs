//! `sapari`: the command of those who try the workers and those who run them. Each subcommand is a file of its own.
//! Usage mistakes end with 64 before anything is connected; stdout carries results, stderr everything else.

mod args;
mod console;
mod dead;
mod demo;
mod kick;
mod ping;

use std::process::ExitCode;

use clap::Parser;
use sapari_runtime::host::{Exit, Failure};

use args::{Cli, Command};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => return sapari_runtime::host::usage(&usage),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.say(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Kick(arguments) => kick::run(arguments),
        Command::Ping(arguments) => ping::run(&arguments),
        Command::Dead(arguments) => dead::run(&arguments),
    }
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
