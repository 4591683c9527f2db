//! Which result store a URL means: the only place that knows all of them.

use std::sync::Arc;
use std::time::Duration;

use super::memory::MemoryResults;
use super::redis::{RedisConfig, RedisResults};
use super::{ResultError, Results};
use crate::broker::reach;

const SCHEMES: [&str; 3] = ["memory", "redis", "rediss"];

/// Whether the URL names a result store: `memory://`, `redis://` or `rediss://`. Connects nowhere.
///
/// # Errors
/// [`ResultError::BadUrl`], which says what is allowed and never repeats the URL.
pub fn check(url: &str) -> Result<(), ResultError> {
    let parsed = reach::parse(url, "result store", &SCHEMES).map_err(ResultError::BadUrl)?;
    if super::redis::SCHEMES.contains(&parsed.scheme()) {
        return super::redis::check(url);
    }
    Ok(())
}

/// Opens the result store that the URL names, with a ledger under `namespace` beside it. A `memory://` store is new, and ends with its last owner.
///
/// # Errors
/// [`ResultError`]: see [`check`] and [`RedisResults::connect`].
pub async fn open(
    url: &str,
    namespace: &str,
    boot_deadline: Duration,
) -> Result<Arc<dyn Results>, ResultError> {
    check(url)?;
    if url.starts_with("memory:") {
        return Ok(Arc::new(MemoryResults::new()));
    }
    let config = RedisConfig {
        boot_deadline,
        namespace: namespace.to_owned(),
        ..RedisConfig::new(url)
    };
    Ok(Arc::new(RedisResults::connect(config).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_of_result_stores_pass() {
        for good in ["memory://", "redis://127.0.0.1:6379", "rediss://u:p@host/1"] {
            check(good).expect(good);
        }
        for bad in [
            "",
            "127.0.0.1:6379",
            "amqp://host",
            "http://u:s3cret@host",
            "redis://u:s3cret@host:port",
        ] {
            let said = check(bad).expect_err(bad).to_string();
            assert!(said.contains("memory://, redis://, rediss://"), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
