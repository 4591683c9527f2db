//! From URLs to servers, with the exit code that a failure deserves: 64 for a URL that makes no sense, 69 for a server that is away.

use std::sync::Arc;
use std::time::Duration;

use super::{Exit, Failure};
use crate::broker::{self, Broker, BrokerError};
use crate::result::{self, ResultError, Results};

/// Opens the broker of a URL. `deadline` bounds how long a broker that is still starting is waited for.
///
/// # Errors
/// [`Failure`] with 64 or 69; the password is never in its message.
pub async fn connect_broker(
    url: &str,
    namespace: &str,
    service: &str,
    deadline: Duration,
) -> Result<Arc<dyn Broker>, Failure> {
    broker::url::open(url, namespace, service, deadline)
        .await
        .map_err(|error| match error {
            BrokerError::BadUrl(_) | BrokerError::BadName { .. } => Exit::Usage.because(&error),
            _ => Exit::Unavailable.because(&error),
        })
}

/// Opens the result store of a URL, with the ledger of this namespace beside it. `deadline` bounds how long a store that is still starting is waited for.
///
/// # Errors
/// [`Failure`] with 64 or 69; the password is never in its message.
pub async fn connect_results(
    url: &str,
    namespace: &str,
    deadline: Duration,
) -> Result<Arc<dyn Results>, Failure> {
    result::url::open(url, namespace, deadline)
        .await
        .map_err(|error| match error {
            ResultError::BadUrl(_) => Exit::Usage.because(&error),
            _ => Exit::Unavailable.because(&error),
        })
}
