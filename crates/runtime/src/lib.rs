//! Skeleton.
pub mod broker;
pub mod client;
pub mod context;
pub mod duration;
pub mod error;
pub mod handle;
pub mod handler;
pub mod host;
mod job;
pub mod message;
pub mod middleware;
pub mod outcome;
mod panics;
pub mod ping;
pub mod pipeline;
pub mod queue;
pub mod result;
mod stop;
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;
pub mod worker;

pub use job::Job;
pub use stop::Stop;

/// Everything that a file with tasks and handlers needs.
pub mod prelude {
    pub use async_trait::async_trait;
    pub use sapari_macros::{FromRef, task};
    pub use serde::{Deserialize, Serialize};

    pub use crate::client::Tasks;
    pub use crate::context::TaskContext;
    pub use crate::duration::{hours, minutes, seconds};
    pub use crate::error::{Classify, TaskError, TaskResult};
    pub use crate::handle::Handle;
    pub use crate::handler::{FromRef, State};
    pub use crate::job::Job;
    pub use crate::middleware::{Middleware, Next};
    pub use crate::outcome::Outcome;
    pub use crate::queue::{Priority, Queue};
    pub use crate::task::{Backoff, Policy, Task};
    pub use crate::worker::Worker;
}
