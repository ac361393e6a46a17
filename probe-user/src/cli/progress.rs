//! How a watch is going, in one line on a terminal that is written over.

use std::{
    convert::Infallible,
    io::Write as _,
    sync::PoisonError,
    time::{Duration, Instant},
};

use crate::agent::Shared;

/// Between two lines: as often as there is news.
const INTERVAL: Duration = Duration::from_millis(500);

/// Characters of the line: it must not wrap on the smallest terminal.
const WIDTH: usize = 79;

/// Goes to the first column and clears the line (ECMA-48: CR, EL).
const CLEAR: &str = "\r\x1b[K";

/// Shows how a watch is going, or nothing.
pub(super) struct Progress<'a> {
    is_on: bool,
    limit: Option<Duration>,
    shared: &'a Shared,
}

impl<'a> Progress<'a> {
    pub(super) fn new(is_on: bool, limit: Option<Duration>, shared: &'a Shared) -> Self {
        Self {
            is_on,
            limit,
            shared,
        }
    }

    /// Shows it until something is done; then the line is gone.
    pub(super) async fn until<T>(&self, done: impl Future<Output = T>) -> T {
        if !self.is_on {
            return done.await;
        }
        let result = tokio::select! {
            result = done => result,
            never = self.show() => match never {},
        };
        say(CLEAR);
        result
    }

    async fn show(&self) -> Infallible {
        let started = Instant::now();
        let mut beat = tokio::time::interval(INTERVAL);
        loop {
            beat.tick().await;
            let line: String = self.line(started.elapsed()).chars().take(WIDTH).collect();
            say(&format!("{CLEAR}{line}"));
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let streams = self.shared.streams.rows().len();
        let summary = self.shared.diagnosis.lock();
        let summary = summary.unwrap_or_else(PoisonError::into_inner);
        let frames: u64 = summary.frames.values().sum();
        let limit = self.limit.map(|limit| format!(" of {} s", limit.as_secs()));
        let causes = summary.by_cause().into_iter();
        let causes: Vec<String> = causes
            .map(|(cause, tally)| format!(", {} {}", tally.frames, cause.label()))
            .collect();
        format!(
            "{} s{}: {streams} streams, {frames} frames, {} late{}",
            elapsed.as_secs(),
            limit.unwrap_or_default(),
            summary.late_frames(),
            causes.concat()
        )
    }
}

/// A terminal that is gone is told by the signal that comes with it.
fn say(text: &str) {
    let mut stderr = std::io::stderr();
    stderr.write_all(text.as_bytes()).ok();
    stderr.flush().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_says_how_long_and_how_much() {
        let shared = Shared::default();
        let progress = Progress::new(true, Some(Duration::from_secs(30)), &shared);
        assert_eq!(
            progress.line(Duration::from_millis(4_900)),
            "4 s of 30 s: 0 streams, 0 frames, 0 late"
        );
    }
}
