//! Skeleton.
pub mod broker;
pub mod duration;
pub mod error;
pub mod message;
pub mod outcome;
pub mod queue;
pub mod result;
pub mod task;
/// Prelude.
pub mod prelude {
    pub use crate::{duration::*, queue::*, task::*};
    pub use serde::{Serialize, Deserialize};
}
