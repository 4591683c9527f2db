//! The health port: a small HTTP server on a thread of its own, so that it answers while the event loop of the process
//! stands still, and while the process drains. Bounded in connections, time and bytes; it knows no page but [`page`]'s, and
//! takes no orders.

mod page;

use std::net::{SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

pub(super) use page::Pages;

use super::args::HEALTH_ADDR;
use super::exit::{Exit, Failure};

/// Who is beyond these waits in the socket's queue.
const MOST_CONNECTIONS: usize = 32;
/// The most that a request may take, from its connection to its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The most bytes of a request that are kept: the smallest that the library takes.
const REQUEST_BYTES: usize = 8 * 1024;
/// The most headers of a request.
const REQUEST_HEADERS: usize = 64;
/// The pause after the system gave no connection, which is mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Where the health port is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HealthAddr {
    /// Nowhere.
    Off,
    /// There; port 0 means any free one.
    At(SocketAddr),
}

/// A text that is no address.
#[derive(Debug, thiserror::Error)]
#[error(
    "an IP address with a port, like 127.0.0.1:9100 or [::1]:9100; port 0 for any free one; or off"
)]
pub(super) struct BadAddr;

impl FromStr for HealthAddr {
    type Err = BadAddr;

    fn from_str(text: &str) -> Result<Self, BadAddr> {
        match text {
            "off" => Ok(Self::Off),
            _ => text.parse().map(Self::At).map_err(|_| BadAddr),
        }
    }
}

/// A port that is taken, and that nobody answers yet.
pub(super) struct Port(TcpListener);

impl Port {
    /// Takes the port; nothing when health is off.
    pub(super) fn take(addr: HealthAddr) -> Result<Option<Self>, Failure> {
        let HealthAddr::At(addr) = addr else {
            return Ok(None);
        };
        let taken = TcpListener::bind(addr).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(Self(listener))
        });
        let failed = |error| {
            Exit::Unavailable.with(format!(
                "cannot listen on {addr} for health: {error}; give --{HEALTH_ADDR} another address, or off"
            ))
        };
        taken.map(Some).map_err(failed)
    }

    /// Answers with these pages from now on, until the process ends.
    pub(super) fn serve(self, pages: Pages) -> Result<(), Failure> {
        let started = self.start(pages);
        let address = started.map_err(|error| Exit::Software.because(&error))?;
        tracing::info!(%address, "health");
        Ok(())
    }

    fn start(self, pages: Pages) -> std::io::Result<SocketAddr> {
        let address = self.0.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.0)?
        };
        std::thread::Builder::new()
            .name("health".to_owned())
            .spawn(move || runtime.block_on(accept(listener, Arc::new(pages))))?;
        Ok(address)
    }
}

async fn accept(listener: tokio::net::TcpListener, pages: Arc<Pages>) {
    let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    while let Ok(place) = Arc::clone(&connections).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let answer = answer(stream, Arc::clone(&pages));
                tokio::spawn(async move {
                    answer.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the health port gets no connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request, one answer: a probe comes every few seconds, and a connection kept open would be a place taken up.
async fn answer(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = pages.answer(request.method(), request.uri().path());
        async { Ok::<_, std::convert::Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(REQUEST_BYTES)
        .max_headers(REQUEST_HEADERS)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Either error is the other side's: it went away, or did not speak HTTP. It has its answer, and nobody else wants one.
    let _ = timeout(REQUEST_TIMEOUT, connection).await;
}

#[cfg(test)]
mod tests;
