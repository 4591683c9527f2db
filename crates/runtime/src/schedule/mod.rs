//! Schedules: tasks that are kicked by the clock. An [`Entry`] says what and [`When`]; the [`Planner`] says, purely, which
//! ticks are to be fired now. Rules about clocks stand in `when`, rules about what was missed in `planner`.

mod entry;
mod planner;
mod timetable;
mod when;

pub use entry::{BadEntry, Entry, Missed, Overlap};
pub use planner::{Due, Known, Planner};
pub use timetable::Timetable;
pub use when::{BadWhen, Tick, When};
