//! Intervals between the frames of one stream, and whether the stream is paced or sent in bursts.
//!
//! A stream whose median interval is under half a frame is a burst. The median needs intervals, so
//! the first [`CLASSIFY_AFTER`] that count are held back, the stream is classified by them for good,
//! and they are given out together; a stream that ends before is classified by what it has. This
//! depends on nothing but the stream itself.

use super::Pacing;
use super::story::Jitter;
use crate::metrics::SkipReason;
use crate::record::KtimeNs;

/// Intervals that classify a stream: 0.3 s of 20 ms frames. Odd, so that the median is one of
/// them; enough that a paced stream may begin with seven frames at once (a worker that fills the
/// listener's buffer) and still be seen as paced.
pub(super) const CLASSIFY_AFTER: usize = 15;

/// Jitters kept for the live view: 0.64 s of 20 ms frames.
const RECENT: usize = 32;

/// The frames' rhythm.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    last: Option<Sent>,
    /// Why the interval in progress does not count.
    broken: Option<SkipReason>,
    held: Vec<Interval>,
    pacing: Option<Pacing>,
    last_interval_ns: Option<u64>,
    recent: [f32; RECENT],
    recent_at: usize,
    recent_filled: usize,
    /// Milliseconds that count as too far.
    limit_ms: f64,
    jitter: Jitter,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: KtimeNs,
    /// Nanoseconds of audio.
    duration_ns: Option<u64>,
}

/// An interval that counts, with the audio the frame at its start holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) interval_ns: u64,
    pub(super) duration_ns: u64,
}

impl Interval {
    /// Distance from the frame duration, in milliseconds.
    pub(super) fn jitter_ms(self) -> f64 {
        self.interval_ns.abs_diff(self.duration_ns) as f64 / 1e6
    }

    /// Under half a frame.
    fn is_short(self) -> bool {
        self.interval_ns < self.duration_ns / 2
    }
}

impl Rhythm {
    /// Intervals that differ by more than `limit_ms` milliseconds from the frame's duration are too far.
    pub(super) fn new(limit_ms: u32) -> Self {
        Self {
            limit_ms: f64::from(limit_ms),
            ..Self::default()
        }
    }

    /// All intervals that counted.
    pub(super) fn jitter(&self) -> Jitter {
        self.jitter
    }

    /// A frame was sent. Gives the interval since the one before, or why it does not count; nothing
    /// for a first frame.
    pub(super) fn frame(
        &mut self,
        at: KtimeNs,
        duration_ns: Option<u64>,
    ) -> Option<Result<Interval, SkipReason>> {
        let broken = self.broken.take();
        let before = self.last.replace(Sent { at, duration_ns })?;
        let interval_ns = at.since(before.at);
        self.last_interval_ns = Some(interval_ns);
        if let Some(reason) = broken {
            return Some(Err(reason));
        }
        let Some(duration_ns) = before.duration_ns else {
            return Some(Err(SkipReason::Unreadable));
        };
        let interval = Interval {
            interval_ns,
            duration_ns,
        };
        self.remember(interval.jitter_ms());
        Some(Ok(interval))
    }

    /// The interval in progress does not count. The first reason stands.
    pub(super) fn break_interval(&mut self, reason: SkipReason) {
        self.broken.get_or_insert(reason);
    }

    /// The interval in progress counts after all: a command that was refused changed nothing.
    pub(super) fn mend_interval(&mut self, reason: SkipReason) {
        if self.broken == Some(reason) {
            self.broken = None;
        }
    }

    /// How the stream is sent, once that is known.
    pub(super) fn pacing(&self) -> Option<Pacing> {
        self.pacing
    }

    /// Holds an interval back until the stream can be classified; then gives all of them.
    pub(super) fn hold(&mut self, interval: Interval) -> Vec<Interval> {
        self.held.push(interval);
        if self.held.len() >= CLASSIFY_AFTER {
            self.classify()
        } else {
            Vec::new()
        }
    }

    /// Classifies by what there is, and gives the intervals held so far.
    pub(super) fn classify(&mut self) -> Vec<Interval> {
        let held = std::mem::take(&mut self.held);
        if self.pacing.is_none() && !held.is_empty() {
            // The median is under half a frame when more than half of the intervals are; with an
            // even number the upper of the two middle ones decides.
            let short = held.iter().filter(|interval| interval.is_short()).count();
            self.pacing = Some(if short * 2 > held.len() {
                Pacing::Burst
            } else {
                Pacing::Paced
            });
        }
        held
    }

    /// The last interval, in nanoseconds, whether it counts or not.
    pub(super) fn last_interval_ns(&self) -> Option<u64> {
        self.last_interval_ns
    }

    /// A quantile (0 to 1) of recent jitters in milliseconds, by nearest rank.
    pub(super) fn recent_jitter_ms(&self, quantile: f64) -> Option<f64> {
        let mut recent: Vec<f32> = self
            .recent
            .iter()
            .copied()
            .take(self.recent_filled)
            .collect();
        recent.sort_by(f32::total_cmp);
        let rank = (quantile * recent.len() as f64).ceil().max(1.0) as usize;
        recent.get(rank - 1).copied().map(f64::from)
    }

    fn remember(&mut self, jitter_ms: f64) {
        self.jitter.intervals += 1;
        self.jitter.above += u64::from(jitter_ms > self.limit_ms);
        self.jitter.worst_ms = self.jitter.worst_ms.max(jitter_ms);
        if let Some(slot) = self.recent.get_mut(self.recent_at) {
            *slot = jitter_ms as f32;
        }
        self.recent_at = (self.recent_at + 1) % RECENT;
        self.recent_filled = (self.recent_filled + 1).min(RECENT);
    }
}
