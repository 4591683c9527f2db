//! The tasks that keep the runtime's own house in order. The analysis role runs them: it has slots to spare beside an encoder's.

use sapari_runtime::duration::{hours, minutes};
use sapari_runtime::queue::{Priority, Queue};
use sapari_runtime::task::{Policy, Task};
use sapari_runtime::upkeep::StuckRun;
use serde::{Deserialize, Serialize};

use crate::Role;

/// Gives an end to results that somebody stored without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PruneResults {}

/// Looks for runs that nobody holds as they should be held: reported by a worker that has lost them, or left behind by one that died.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueStuckTasks {}

/// What was found of stuck runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rescued {
    /// Those that nobody holds.
    pub stuck: Vec<StuckRun>,
}

impl Task for PruneResults {
    const NAME: &'static str = "prune_results";
    const QUEUE: Queue = Role::Analysis.queue();
    const POLICY: Policy = Policy::DEFAULT
        .attempts(2)
        .timeout(minutes(10))
        .priority(Priority::Low)
        .expires(hours(1));
    /// How many results were given an end.
    type Output = u64;
}

impl Task for RescueStuckTasks {
    const NAME: &'static str = "rescue_stuck_tasks";
    const QUEUE: Queue = Role::Analysis.queue();
    const POLICY: Policy = Policy::DEFAULT
        .attempts(1)
        .timeout(minutes(1))
        .priority(Priority::High)
        .expires(minutes(5))
        .keep_result(hours(1));
    type Output = Rescued;
}
