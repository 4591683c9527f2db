//! Servers of a test's own, which it may stop, kill and restrict: a RabbitMQ that the fault tests lease one after the other, and a
//! Redis for whoever asks. How they are configured and run is `scripts/services`'s business.

mod broker;
mod server;
mod store;

pub(crate) use broker::{Lease, broker};
pub(crate) use store::Store;
