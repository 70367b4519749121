//! When to stop: Ctrl-C or SIGTERM. The first asks all phones to hang up and un-register; a second one ends the process at once.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// From the signal to the end of the process at the latest.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long phones have to hang up and un-register (their user agents give up after 4 s); the rest of [`GRACE`] is the SIP stack's.
pub const PHONES_GRACE: Duration = Duration::from_millis(4_200);

/// Waits for Ctrl-C or SIGTERM, then watches for a second one, which exits with status 130.
///
/// # Errors
/// The system refuses to watch for signals.
pub async fn requested() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    info!("shutting down: hanging up and un-registering (again to end at once)");
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}
