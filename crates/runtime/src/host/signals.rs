//! SIGTERM and SIGINT: the first asks the process to drain, the second ends it at once.
//! Ending is the caller's: it drops the runtime, so that child processes die with the tasks that started them.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Trips `shutdown` at the first signal, and returns at the second.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn until_signalled_twice(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    tracing::info!("signal received: draining; a second one ends the process at once");
    shutdown.cancel();
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    Ok(())
}
