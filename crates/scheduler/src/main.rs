//! `sapari-scheduler`: any number of them, and each tick of the timetable is fired once.

use std::process::ExitCode;

use sapari_scheduler::{Scheduler, ticker, timetable};
use sapari_tasks::find_queue;

fn main() -> ExitCode {
    sapari_runtime::host::schedule(Scheduler, timetable, find_queue, ticker)
}
