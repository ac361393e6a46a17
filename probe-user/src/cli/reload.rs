//! Reading the configuration again: on SIGHUP, and when a file of it changes.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Overrides, Watching};
use crate::{
    agent::{Next, Reloads},
    settings::{Contents, Settings},
};

/// Between two looks at the files. Reading a few kilobytes costs less than a notification would, and
/// sees whatever a link leads to, as a `ConfigMap`'s does.
const LOOK: Duration = Duration::from_secs(1);

/// What a reload starts from.
pub(super) struct Reload {
    /// The flags, which win over the file again.
    pub(super) watching: Watching,
    /// More of them.
    pub(super) overrides: Overrides,
    /// The settings in force.
    pub(super) running: Settings,
}

impl Reload {
    /// Reads the configuration again whenever that is asked for, as long as it is polled.
    pub(super) async fn serve(mut self, next: Next, reloads: Reloads) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut applied = Contents::read(&self.running.files);
        let mut seen = applied.clone();
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                _ = look.tick() => false,
            };
            let now = Contents::read(&self.running.files);
            // A file that is being written is read when it is the same at two looks.
            let is_settled = now == std::mem::replace(&mut seen, now.clone());
            if !(asked || now != applied && is_settled) {
                continue;
            }
            applied = now;
            match self.watching.reload(&self.overrides, &self.running) {
                Ok(settings) => {
                    self.running = settings.clone();
                    applied = Contents::read(&self.running.files);
                    next.put(settings);
                }
                Err(error) => {
                    reloads.refused();
                    tracing::error!(%error, "configuration refused: the old one stays");
                }
            }
        }
    }
}

/// Says why there is no reload, whenever one is asked for: SIGHUP would end the agent otherwise.
pub(super) async fn refuse(reloads: Reloads) -> std::io::Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        hangup.recv().await;
        reloads.refused();
        tracing::warn!("no reload while a capture is written: it holds one configuration");
    }
}
