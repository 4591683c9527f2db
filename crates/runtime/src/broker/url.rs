//! Which broker a URL means: the only place that knows all of them.

use std::sync::Arc;
use std::time::Duration;

use super::memory::MemoryBroker;
use super::rabbitmq::{self, RabbitBroker, RabbitConfig};
use super::{Broker, BrokerError, reach};

const SCHEMES: [&str; 3] = ["memory", "amqp", "amqps"];

/// Whether the URL names a broker: `memory://`, `amqp://` or `amqps://`. Connects nowhere.
///
/// # Errors
/// [`BrokerError::BadUrl`], which says what is allowed and never repeats the URL.
pub fn check(url: &str) -> Result<(), BrokerError> {
    let parsed = reach::parse(url, "broker", &SCHEMES).map_err(BrokerError::BadUrl)?;
    if rabbitmq::SCHEMES.contains(&parsed.scheme()) {
        return rabbitmq::check(url);
    }
    Ok(())
}

/// Opens the broker that the URL names. A `memory://` broker is new, and ends with its last owner.
///
/// # Errors
/// [`BrokerError`]: see [`check`] and [`RabbitBroker::connect`].
pub async fn open(
    url: &str,
    namespace: &str,
    connection_name: &str,
    boot_deadline: Duration,
) -> Result<Arc<dyn Broker>, BrokerError> {
    check(url)?;
    if url.starts_with("memory:") {
        return Ok(Arc::new(MemoryBroker::new()));
    }
    let config = RabbitConfig {
        boot_deadline,
        ..RabbitConfig::new(url, namespace, connection_name)
    };
    Ok(Arc::new(RabbitBroker::connect(config).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_brokers_pass() {
        for good in [
            "memory://",
            "amqp://127.0.0.1:5672",
            "amqps://u:p@host/vhost",
        ] {
            check(good).expect(good);
        }
        for bad in [
            "",
            "127.0.0.1:5672",
            "redis://host",
            "http://u:s3cret@host",
            "amqp://u:s3cret@host:port",
        ] {
            let said = check(bad).expect_err(bad).to_string();
            assert!(said.contains("memory://, amqp://, amqps://"), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[tokio::test]
    async fn memory_needs_no_server() {
        let broker = open("memory://", "ns", "test", Duration::ZERO)
            .await
            .expect("in this process");
        assert_eq!(broker.system(), "memory");
    }
}
