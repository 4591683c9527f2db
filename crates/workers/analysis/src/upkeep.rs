//! The handlers of the tasks that keep the runtime's house in order: glue around what the runtime can do by itself.

use sapari_runtime::prelude::*;
use sapari_runtime::upkeep;
use sapari_tasks::{PruneResults, RescueStuckTasks, Rescued};

/// How long a result is kept that was stored without an end: as long as the runtime's own by default.
const KEPT: std::time::Duration = hours(24);

/// Gives an end to results that have none.
#[task]
pub async fn prune_results(_ask: PruneResults, cx: TaskContext) -> TaskResult<u64> {
    Ok(cx.tasks().prune_results(KEPT).await?)
}

/// Reports runs that nobody holds, and those that nobody has taken up again after their worker died.
#[task]
pub async fn rescue_stuck_tasks(_ask: RescueStuckTasks, cx: TaskContext) -> TaskResult<Rescued> {
    let stuck = upkeep::stuck_runs(&*cx.tasks().ledger(), upkeep::TAKEN_UP_WITHIN).await?;
    for run in &stuck {
        tracing::warn!(id = %run.id, task = run.task, queue = run.queue, worker = run.worker, "{}", run.state);
    }
    Ok(Rescued { stuck })
}
