//! Schedules: tasks that are kicked by the clock. An [`Entry`] says what and [`When`]; the [`Planner`] says, purely, which
//! ticks are to be fired now; a [`Scheduler`] fires them, with others beside it. Rules about clocks stand in `when`, rules about what was missed in `planner`.

mod adding;
mod clock;
mod entry;
mod fire;
mod firing;
mod lead;
mod planner;
mod scheduler;
mod standby;
mod state_file;
mod timetable;
mod when;
mod written;

pub use adding::{Adding, ScheduleError};
pub use clock::Clock;
pub use entry::{BadEntry, Entry, Missed, Overlap};
pub use firing::Firing;
pub use planner::{Due, Known, Planner};
pub use scheduler::Scheduler;
pub use state_file::{BadStateFile, StateFile};
pub use timetable::Timetable;
pub use when::{BadWhen, Tick, When};
pub use written::{FindQueue, WrittenEntry, missed_of, overlap_of};
