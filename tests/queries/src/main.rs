//! What `scripts/capture-spans` needs to record the spans of a run: a receiver that keeps them, the world outside, the kick of a
//! TaskIQ scheduler, and the broom. It judges nothing.

mod broker;
mod http;
mod outside;
mod receiver;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["receive", file] => receiver::run(file.as_ref()),
        ["outside", files] => outside::run(files.as_ref()),
        ["scheduled", task, queue, schedule, args] => broker::kick(task, queue, schedule, args),
        ["clean"] => broker::clean(),
        _ => Err(
            "capture receive FILE | outside DIRECTORY | scheduled TASK QUEUE SCHEDULE ARGS | clean"
                .into(),
        ),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("capture: {error}");
            ExitCode::FAILURE
        }
    }
}
