//! Flushing at the end of the process.
//!
//! The global subscriber is never dropped, so nothing is flushed unless somebody does it here.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::Scraper;

/// How long a drop waits when nobody called [`Guard::shutdown`].
const DROP_DEADLINE: Duration = Duration::from_secs(3);

/// Keeps telemetry on; flushes when it is shut down or dropped.
#[derive(Debug)]
#[must_use = "telemetry is flushed and stopped when the guard is dropped"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    scraper: Scraper,
}

impl Guard {
    pub(super) fn new(
        traces: Option<SdkTracerProvider>,
        metrics: Option<SdkMeterProvider>,
        scraper: Scraper,
    ) -> Self {
        Self {
            traces,
            metrics,
            scraper,
        }
    }

    /// The metrics as text, for a page to scrape. Empty unless [`Settings::scraped`](crate::Settings::scraped) is set, and
    /// once telemetry has stopped.
    #[must_use]
    pub fn scraper(&self) -> Scraper {
        self.scraper.clone()
    }

    /// Sends what is left and stops; gives up at the deadline. Says whether all of it was sent.
    ///
    /// It blocks: call it outside the runtime, or through `spawn_blocking`.
    pub fn shutdown(mut self, deadline: Duration) -> bool {
        self.stop(deadline)
    }

    fn stop(&mut self, deadline: Duration) -> bool {
        let (done, finished) = mpsc::channel();
        let traces = self.traces.take();
        let metrics = self.metrics.take();
        // From a helper thread: the SDK's own timeout does not interrupt a request that hangs.
        let helper = thread::Builder::new()
            .name("telemetry-stop".to_owned())
            .spawn(move || {
                let sent = stop_all(traces, metrics, deadline);
                // The receiver is gone when the deadline passed.
                let _ = done.send(sent);
            });
        helper.is_ok() && finished.recv_timeout(deadline).unwrap_or(false)
    }
}

/// Traces and metrics side by side: one dead receiver must not use up the other's time.
fn stop_all(
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    deadline: Duration,
) -> bool {
    thread::scope(|scope| {
        let metrics = scope.spawn(|| {
            let stopped = metrics.map(|provider| provider.shutdown_with_timeout(deadline));
            stopped.is_none_or(|result| result.is_ok())
        });
        let traces = traces.map(|provider| provider.shutdown_with_timeout(deadline));
        let traces = traces.is_none_or(|result| result.is_ok());
        metrics.join().unwrap_or(false) && traces
    })
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.traces.is_some() || self.metrics.is_some() {
            self.stop(DROP_DEADLINE);
        }
    }
}
