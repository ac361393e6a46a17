//! Frames that came late: what a diagnosis starts from.

use std::collections::VecDeque;

use super::Pacing;
use super::stream::Stream;
use crate::flow::CallId;
use crate::interpret::Id;
use crate::metrics::{Metrics, UNKNOWN};
use crate::record::{KtimeNs, Tgid};

/// Late frames kept for whoever diagnoses them. They are taken after each record; one record
/// completes few frames.
const MAX_LATE: usize = 4096;

/// A frame that came late: more than the threshold over one frame after the one before (paced streams),
/// or after the listener's audio had run out (any stream).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateFrame {
    /// Its stream.
    pub call: CallId,
    /// Process that sent it.
    pub process: Tgid,
    /// Label `worker`.
    pub worker: Id,
    /// Session, where it is known.
    pub session: Option<Id>,
    /// Number of the frame among those seen of its stream, from 1.
    pub frame: u64,
    /// When the frame before was sent.
    pub previous: KtimeNs,
    /// When it was sent.
    pub at: KtimeNs,
    /// By how much it came later than it should have, nanoseconds: at most the whole interval.
    pub excess_ns: u64,
    /// By how much it missed its playout deadline, nanoseconds; 0 where the listener heard nothing.
    pub underrun_ns: u64,
    /// When the first text since the frame before arrived.
    pub text: Option<KtimeNs>,
    /// How long the stream's first frame took after its first text, nanoseconds; `None` when unknown.
    pub starting_ns: Option<u64>,
    /// How long a PAUSE held the stream since the frame before, nanoseconds.
    pub paused_ns: u64,
}

impl LateFrame {
    /// From the frame before to this one, nanoseconds.
    pub fn interval_ns(&self) -> u64 {
        self.at.since(self.previous)
    }
}

/// What a frame's times say; see [`LateFrame`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// When the frame before was sent.
    pub(super) previous: Option<KtimeNs>,
    /// Interval and frame duration, where the interval counts. Nanoseconds.
    pub(super) interval: Option<(u64, u64)>,
    /// By how much the deadline was missed, nanoseconds.
    pub(super) underrun_ns: u64,
    /// When the first text since the frame before arrived.
    pub(super) text: Option<KtimeNs>,
    /// How long a PAUSE held the stream since the frame before, nanoseconds.
    pub(super) paused_ns: u64,
}

/// Whether late frames are handed on or counted without a cause.
#[derive(Debug)]
pub(super) struct Lateness {
    threshold_ns: u64,
    collects: bool,
    frames: VecDeque<LateFrame>,
}

impl Lateness {
    pub(super) fn new(threshold_ms: u32) -> Self {
        Self {
            threshold_ns: u64::from(threshold_ms) * 1_000_000,
            collects: false,
            frames: VecDeque::new(),
        }
    }

    /// Another threshold from now on.
    pub(super) fn set_threshold(&mut self, threshold_ms: u32) {
        self.threshold_ns = u64::from(threshold_ms) * 1_000_000;
    }

    /// From now on late frames wait for [`Self::poll`], by this threshold.
    pub(super) fn collect(&mut self, threshold_ms: u32, collects: bool) {
        self.set_threshold(threshold_ms);
        self.collects = collects;
    }

    pub(super) fn poll(&mut self) -> Option<LateFrame> {
        self.frames.pop_front()
    }

    /// A frame was sent.
    pub(super) fn handle(
        &mut self,
        call: CallId,
        stream: &Stream,
        at: KtimeNs,
        sent: Sent,
        metrics: &Metrics,
    ) {
        let Some(previous) = sent.previous else {
            return;
        };
        let spacing_ns = sent
            .interval
            .filter(|_| stream.rhythm.pacing() == Some(Pacing::Paced))
            .map_or(0, |(interval, duration)| interval.saturating_sub(duration));
        if spacing_ns <= self.threshold_ns && sent.underrun_ns == 0 {
            return;
        }
        if !self.collects || self.frames.len() >= MAX_LATE {
            let labels = [stream.worker.as_str(), UNKNOWN];
            metrics.worker.late_frames.with(&labels).inc();
            if sent.underrun_ns > 0 {
                metrics.worker.audio_underruns.with(&labels).inc();
            }
            return;
        }
        self.frames.push_back(LateFrame {
            call,
            process: stream.process,
            worker: stream.worker.clone(),
            session: stream.session.clone(),
            frame: stream.frames,
            previous,
            at,
            excess_ns: spacing_ns.max(sent.underrun_ns).min(at.since(previous)),
            underrun_ns: sent.underrun_ns,
            text: sent.text,
            starting_ns: stream.starting_ns(),
            paused_ns: sent.paused_ns,
        });
    }
}
