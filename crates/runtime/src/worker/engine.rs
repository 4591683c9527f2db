//! What every attempt of a running worker shares. Made once from the plan; nothing in it changes while the worker runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use sapari_telemetry::framework::Parenting;
use tokio_util::sync::CancellationToken;

use super::Servers;
use super::plan::{Plan, Registered};
use super::running::Running;
use crate::client::Tasks;
use crate::middleware::Stack;
use crate::queue::Queue;

/// What every attempt of a running worker shares.
pub(super) struct Engine {
    pub(super) queue: Queue,
    pub(super) tasks: BTreeMap<&'static str, Registered>,
    pub(super) stack: Arc<Stack>,
    pub(super) servers: Servers,
    pub(super) client: Tasks,
    pub(super) parenting: Parenting,
    pub(super) running: Running,
    /// Trips when running attempts must end because the worker does.
    pub(super) interrupt: CancellationToken,
}

impl Engine {
    pub(super) fn new(plan: &mut Plan, servers: Servers) -> Self {
        let stack = Arc::new(plan.build_stack(servers.broker.system()));
        let client = Tasks::with_stack(
            Arc::clone(&servers.broker),
            Arc::clone(&servers.results),
            Arc::clone(&stack),
        );
        let tasks = std::mem::take(&mut plan.tasks);
        Self {
            queue: plan.queue,
            tasks,
            stack,
            servers,
            client,
            parenting: plan.parenting,
            running: Running::default(),
            interrupt: CancellationToken::new(),
        }
    }
}
