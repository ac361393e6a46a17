//! Ending: SIGINT, SIGTERM or the end of the time.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

/// Waits for a signal to stop, or for the time to pass.
pub(super) async fn requested(limit: Option<Duration>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let time = async {
        match limit {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt.recv() => tracing::info!("stopping: interrupted"),
        _ = terminate.recv() => tracing::info!("stopping: terminated"),
        () = time => {}
    }
    Ok(())
}
