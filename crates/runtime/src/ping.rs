//! The small task that every worker answers, whatever its queue: for round trips and health.

use serde::{Deserialize, Serialize};

use crate::duration::{minutes, seconds};
use crate::error::TaskResult;
use crate::queue::{Priority, Queue};
use crate::task::{Policy, Task};

/// Asks a worker to answer. Kick it `.on(queue)`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Ping {}

/// A worker's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The process that answered.
    pub pid: u32,
}

impl Task for Ping {
    const NAME: &'static str = "ping";
    const QUEUE: Queue = Queue::named("ping");
    const POLICY: Policy = Policy::DEFAULT
        .attempts(1)
        .timeout(seconds(5))
        .priority(Priority::Urgent)
        .keep_result(minutes(1));
    type Output = Pong;
}

#[sapari_macros::task(crate = crate)]
pub(crate) async fn ping(_ask: Ping) -> TaskResult<Pong> {
    Ok(Pong {
        pid: std::process::id(),
    })
}
