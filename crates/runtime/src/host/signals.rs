//! SIGTERM and SIGINT: the first asks the process to drain, the second ends it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A process that was told twice to end.
const ENDED_AT_ONCE: i32 = 130;

/// Trips `shutdown` at the first signal, and ends the process at the second. Ends with the runtime.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub async fn until_signalled(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    tracing::info!("signal received: draining; a second one ends the process at once");
    shutdown.cancel();
    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    // Unsettled messages go back to their queues when the connections break.
    std::process::exit(ENDED_AT_ONCE);
}
