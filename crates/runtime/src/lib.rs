//! A task runtime: typed tasks over a message broker, with results and tracing built in.
//!
//! ```
//! # #[cfg(feature = "testing")] {
//! use sapari_runtime::{prelude::*, testing::Harness};
//!
//! /// Adds two numbers. The args struct is the task.
//! #[derive(Serialize, Deserialize)]
//! struct Add { x: i64, y: i64 }
//!
//! impl Task for Add {
//!     const NAME: &'static str = "add";
//!     const QUEUE: Queue = Queue::named("math");
//!     type Output = i64;
//! }
//!
//! #[task]
//! async fn add(args: Add) -> TaskResult<i64> {
//!     Ok(args.x + args.y)
//! }
//!
//! # tokio_test().block_on(async {
//! let (tasks, _worker) = Harness::new(Worker::new(Add::QUEUE, ()).task::<add>()).start();
//! let three = tasks.kick(Add { x: 1, y: 2 }).await?.output().await?;
//! # assert_eq!(three, 3);
//! # Ok::<_, TaskError>(()) }).unwrap();
//! # fn tokio_test() -> tokio::runtime::Runtime {
//! #     tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
//! # }
//! # }
//! ```
//!
//! A dependency that the worker's state lacks does not compile:
//!
//! ```compile_fail
//! # use sapari_runtime::prelude::*;
//! # #[derive(Serialize, Deserialize)] struct Add {}
//! # impl Task for Add {
//! #     const NAME: &'static str = "add";
//! #     const QUEUE: Queue = Queue::named("math");
//! #     type Output = ();
//! # }
//! #[derive(Clone)]
//! struct Database;
//!
//! #[task]
//! async fn add(_args: Add, State(_database): State<Database>) -> TaskResult<()> {
//!     Ok(())
//! }
//!
//! let worker = Worker::new(Add::QUEUE, ()).task::<add>();      // the state is `()`
//! ```
//!
//! It knows no product: names, roles and tasks come from outside. What promises it makes, and how they are kept, stands in
//! the modules: [`broker`] for delivery, [`worker`] for attempts, [`pipeline`] for steps, [`middleware`] for the onion.

pub mod broker;
pub mod client;
pub mod context;
pub mod duration;
pub mod error;
pub mod handle;
pub mod handler;
mod hash;
mod history;
pub mod host;
mod job;
pub mod ledger;
pub mod limit;
pub mod message;
pub mod middleware;
mod outbound;
pub mod outcome;
mod panics;
pub mod ping;
pub mod pipeline;
pub mod queue;
pub mod result;
pub mod schedule;
mod stop;
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod unique;
pub mod upkeep;
pub mod vitals;
pub mod worker;

pub use history::FailedAttempt;
pub use job::Job;
pub use stop::{Stop, StopReason};

/// Everything that a file with tasks and handlers needs.
pub mod prelude {
    pub use async_trait::async_trait;
    pub use sapari_macros::{FromRef, task};
    pub use serde::{Deserialize, Serialize};

    pub use crate::client::{Kicked, Tasks};
    pub use crate::context::TaskContext;
    pub use crate::duration::{hours, minutes, seconds};
    pub use crate::error::{Classify, TaskError, TaskResult};
    pub use crate::handle::Handle;
    pub use crate::handler::{FromRef, State};
    pub use crate::job::Job;
    pub use crate::limit::Limit;
    pub use crate::middleware::{Middleware, Next};
    pub use crate::outcome::Outcome;
    pub use crate::queue::{Priority, Queue};
    pub use crate::task::{Backoff, Policy, Task};
    pub use crate::worker::Worker;
}
