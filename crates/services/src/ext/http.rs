//! Files from the web, fetched from addresses that strangers give.
//!
//! Every fetch runs in its `ext.http.fetch` span with the clip it is for. It deliberately keeps no
//! cookies, sends no credentials, uses no proxy of the environment, and follows redirects itself:
//! each address is checked before anything is sent to it. It retries nothing; what a broken
//! transfer left is gone on with by the next call.

mod address;
mod error;
mod fetch;
mod gate;
mod place;
mod resume;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sapari_telemetry::{Traced, ext_span};

pub use address::{AddressRule, BadNetwork, Network};
pub use error::FetchError;
pub use fetch::{FetchJob, Fetched};
pub(crate) use gate::Gate;

use super::ffmpeg::ClipCall;
use place::Place;

/// What bounds a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// The most bytes that a file may have.
    pub max_bytes: u64,
    /// The longest that one fetch may take.
    pub max_time: Duration,
    /// The longest that a server may send nothing, or take to answer.
    pub stall: Duration,
}

impl Default for FetchLimits {
    /// 20 GiB, an hour, half a minute.
    fn default() -> Self {
        Self {
            max_bytes: 20 << 30,
            max_time: Duration::from_hours(1),
            stall: Duration::from_secs(30),
        }
    }
}

/// A client of the web. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Http {
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    address: AddressRule,
    limits: FetchLimits,
}

impl Http {
    /// Fetches from these addresses, within these limits. Installs ring as the process's TLS
    /// provider if none is installed.
    #[must_use]
    pub fn new(address: AddressRule, limits: FetchLimits) -> Self {
        // An error only says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            rules: Arc::new(Rules { address, limits }),
        }
    }

    /// What bounds a fetch.
    #[must_use]
    pub fn limits(&self) -> &FetchLimits {
        &self.rules.limits
    }

    /// The host of an address, which is all of it that may be shown.
    pub(crate) fn host(url: &str) -> Result<String, FetchError> {
        Ok(Place::of(url)?.host)
    }

    /// Fetches `job.url` to `job.to`. `progress` gets the fraction done, where the server says how
    /// much there is.
    ///
    /// # Cancel safety
    ///
    /// `job.to` appears only when it is whole. After an error that may heal, and after a dropped
    /// future, `<to>.fetching` is left, and the next call goes on with it if the server's file is still
    /// the same.
    ///
    /// # Errors
    ///
    /// See [`FetchError`].
    pub async fn fetch(
        &self,
        call: ClipCall<'_>,
        job: FetchJob<'_>,
        progress: impl FnMut(f64) + Send,
    ) -> Result<Fetched, FetchError> {
        let place = Place::of(job.url)?;
        let span = ext_span!(http.fetch {
            clip_file_uuid = %call.clip_file_uuid,
            server.address = %place.host,
            http.response.status_code = tracing::field::Empty,
            http.response.body.size = tracing::field::Empty,
            http.resumed_from = tracing::field::Empty
        });
        let work = self.bounded(call, place, job.to, progress);
        // Boxed: it holds buffers and a TLS connection.
        Box::pin(work).traced(span).await
    }
}
