//! Stub.
#![allow(missing_docs)]
use super::*;
pub fn check(_: &str) -> Result<(), BrokerError> {
    Ok(())
}
pub async fn open(
    _: &str,
    _: &str,
    _: &str,
    _: std::time::Duration,
) -> Result<std::sync::Arc<dyn Broker>, BrokerError> {
    Ok(std::sync::Arc::new(memory::MemoryBroker::new()))
}
pub fn describe(_: &str, _: &str, q: Queue) -> Result<Vec<String>, BrokerError> {
    Ok(memory::MemoryBroker::new().describe(q))
}
