//! Ending: SIGINT, SIGTERM, the end of the time, or of the agent.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Waits for a signal to stop, for the time to pass, or for the agent's thread to be gone.
pub(super) async fn requested(
    limit: Option<Duration>,
    agent_gone: oneshot::Receiver<()>,
) -> std::io::Result<()> {
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
        _ = agent_gone => {}
    }
    Ok(())
}
