//! Where sessions wait for each other and for a word from outside.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::serving;

/// Opens when a line comes on stdin, or its end, after every session has come.
pub(crate) struct Gate {
    /// Sessions that have not come yet.
    missing: AtomicU64,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A gate for this many sessions.
    pub(crate) fn new(sessions: u64) -> Self {
        Self {
            missing: AtomicU64::new(sessions),
            open: watch::Sender::new(false),
        }
    }

    /// Waits until it opens. Whoever comes last says so on stdout.
    pub(crate) async fn pass(&self) -> anyhow::Result<()> {
        if self.missing.fetch_sub(1, Ordering::Relaxed) == 1 {
            serving::print_line("waiting")?;
            let open = self.open.clone();
            std::thread::spawn(move || {
                serving::next_line();
                open.send_replace(true);
            });
        }
        let mut opening = self.open.subscribe();
        // The sender lives as long as the gate.
        drop(opening.wait_for(|open| *open).await);
        Ok(())
    }
}
