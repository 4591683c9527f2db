//! `sapari-bench`: how fast the runtime is beside its client library alone, on this machine, now.
//!
//! The parent plans and prints; every measurement runs in a process of its own, because tracing is set up once per process
//! and memory is counted per process. What is compared runs in turns, so that a noisy machine is noisy to both.

mod load;
mod memory;
mod ours;
mod place;
mod plain;
mod report;
mod rounds;
mod sample;
mod sink;
mod steps;
mod table;

use std::process::ExitCode;

use sample::Sample;

/// What can go wrong here is for a person to read, and ends the run.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        None => rounds::measure_all(),
        Some("--quick") => rounds::measure_quickly(),
        Some("--one") => Sample::parse(&args[1..]).and_then(|sample| sample.measure_here()),
        Some(_) => Err(
            "usage: sapari-bench [--quick]; SAPARI_BROKER_URL and SAPARI_RESULT_URL say where"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::complain(&*failure);
            ExitCode::FAILURE
        }
    }
}
