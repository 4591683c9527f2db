//! The scheduler of the product: its timetable, and what wakes it. How ticks are planned, fired once and settled is the runtime's.

mod ticker;
mod timetable;

pub use ticker::ticker;
pub use timetable::timetable;

use sapari_runtime::host::Process;
use sapari_tasks::Role;

/// The process that fires the timetable. It is no role: it serves no queue.
#[derive(Debug, Clone, Copy)]
pub struct Scheduler;

impl Process for Scheduler {
    const APP: &'static str = Role::APP;

    fn name(self) -> &'static str {
        "scheduler"
    }

    fn about(self) -> &'static str {
        "Kicks the tasks of the timetable on time, once, however many schedulers run"
    }
}
