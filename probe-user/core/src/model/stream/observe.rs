//! What a stream's text, frames and end say in metrics, and what they leave unsaid.

use super::{Hold, Stream};
use crate::flow::CallEnd;
use crate::metrics::{Measure, Metrics, SkipReason, UNKNOWN};
use crate::model::Pacing;
use crate::model::pacing::Interval;
use crate::model::playout::Punctuality;
use crate::model::sequence::Step;
use crate::model::story::Moment;
use crate::record::KtimeNs;

impl Stream {
    /// The synthesis is over: by its final frame (`None`), or with its call.
    pub(in crate::model) fn finish(
        &mut self,
        at: KtimeNs,
        end: Option<CallEnd>,
        metrics: &Metrics,
    ) {
        if self.finished {
            return;
        }
        self.finished = true;
        self.queued = false;
        let labels = [self.worker.as_str(), self.model_label()];
        match (self.first_text, end) {
            (Moment::At(text), None | Some(CallEnd::Status(_) | CallEnd::Reset { .. })) => metrics
                .worker
                .synthesis_duration
                .with(&labels)
                .observe(at.ms_since(text)),
            (Moment::At(_), Some(_)) => {
                metrics
                    .probe
                    .skip(Measure::SynthesisDuration, SkipReason::CutOff);
            }
            (Moment::Unknown, _) => {
                metrics
                    .probe
                    .skip(Measure::SynthesisDuration, SkipReason::Lost);
            }
            (Moment::NotYet, _) => {}
        }
        let held = self.rhythm.classify();
        self.observe_jitter(&held, metrics);
        self.observe_rtf(end, metrics);
    }

    /// Counts the frames dropped, whose reason the end of the call tells.
    pub(in crate::model) fn count_drops(&mut self, end: CallEnd, metrics: &Metrics) {
        let dropped = std::mem::take(&mut self.dropped);
        let reason = match end {
            CallEnd::Status(Some(0)) => "backpressure",
            CallEnd::Status(None) | CallEnd::Unknown => UNKNOWN,
            CallEnd::Status(Some(_))
            | CallEnd::Reset { .. }
            | CallEnd::Refused
            | CallEnd::ConnectionClosed => "error",
        };
        self.add_drops(dropped, reason, metrics);
    }

    pub(super) fn observe_inference_latency(&self, at: KtimeNs, metrics: &Metrics) {
        match self.first_text {
            Moment::At(text) => metrics
                .worker
                .inference_latency
                .with(&[self.worker.as_str(), self.model_label()])
                .observe(at.ms_since(text)),
            Moment::Unknown => metrics
                .probe
                .skip(Measure::InferenceLatency, SkipReason::Lost),
            // The worker speaks unasked: there is no latency.
            Moment::NotYet => {}
        }
    }

    pub(super) fn observe_sequence(&mut self, number: Option<i64>, metrics: &Metrics) {
        match self.sequence.frame(number) {
            Step::Whole => {}
            Step::Missing(frames) if self.hold == Hold::Free && !self.awaits_resume => {
                self.dropped = self.dropped.saturating_add(frames);
            }
            Step::Missing(frames) => self.add_drops(frames, "pause", metrics),
            Step::Implausible => metrics.probe.skip(Measure::Drops, SkipReason::Unreadable),
        }
    }

    /// Gives the interval and the frame's duration in nanoseconds, where they count.
    pub(super) fn observe_interval(
        &mut self,
        at: KtimeNs,
        duration_ns: Option<u64>,
        metrics: &Metrics,
    ) -> Option<(u64, u64)> {
        let interval = self.rhythm.frame(at, duration_ns);
        match interval {
            None => {}
            Some(Err(reason)) => metrics.probe.skip(Measure::Jitter, reason),
            Some(Ok(interval)) => {
                if let Some(jitter) = &self.handles.jitter {
                    jitter.observe(interval.jitter_ms());
                } else {
                    let held = self.rhythm.hold(interval);
                    self.observe_jitter(&held, metrics);
                }
            }
        }
        if self.hold != Hold::Free {
            self.rhythm.break_interval(SkipReason::Paused);
        }
        let interval = interval?.ok()?;
        Some((interval.interval_ns, interval.duration_ns))
    }

    fn observe_jitter(&mut self, intervals: &[Interval], metrics: &Metrics) {
        let Some(pacing) = self.rhythm.pacing().filter(|_| !intervals.is_empty()) else {
            return;
        };
        let jitter = metrics
            .worker
            .audio_frame_jitter
            .with(&[self.worker.as_str(), pacing.as_str()]);
        for interval in intervals {
            jitter.observe(interval.jitter_ms());
        }
        self.handles.jitter = Some(jitter);
    }

    /// Gives by how much the deadline was missed, nanoseconds.
    pub(super) fn observe_lateness(
        &mut self,
        at: KtimeNs,
        duration_ns: Option<u64>,
        prebuffer_ns: u64,
        metrics: &Metrics,
    ) -> u64 {
        let paused_ns = match self.hold {
            Hold::Free => 0,
            Hold::Paused(since) => at.since(since),
            // Nobody listens to what follows a STOP.
            Hold::Stopped(_) => {
                metrics.probe.skip(Measure::Lateness, SkipReason::Paused);
                return 0;
            }
        };
        self.punctuality = self.playout.frame(at, duration_ns, prebuffer_ns, paused_ns);
        let Some(Punctuality { late_ns, .. }) = self.punctuality else {
            metrics.probe.skip(Measure::Lateness, SkipReason::Lost);
            return 0;
        };
        let worker = self.worker.as_str();
        self.handles
            .lateness
            .get_or_insert_with(|| metrics.worker.audio_frame_lateness.with(&[worker]))
            .observe(late_ns as f64 / 1e6);
        if late_ns > 0 {
            self.underruns += 1;
        }
        late_ns
    }

    /// Burst: first text to last frame, less time paused, over the audio. Paced: the time to the
    /// first frame over the audio, because the rest of the time was spent waiting for the pacing
    /// clock; only when the stream came to its own end, because the audio that was cut off had been
    /// inferred too. One frame alone has no pacing, and both formulas agree.
    fn observe_rtf(&self, end: Option<CallEnd>, metrics: &Metrics) {
        if self.first_text == Moment::Unknown || self.first_frame == Moment::Unknown {
            metrics.probe.skip(Measure::InferenceRtf, SkipReason::Lost);
            return;
        }
        let (Moment::At(text), Moment::At(first), Some(last)) =
            (self.first_text, self.first_frame, self.last_frame)
        else {
            return;
        };
        let Some(audio_ns) = self.audio_ns.filter(|ns| *ns > 0) else {
            metrics.probe.skip(Measure::InferenceRtf, SkipReason::Lost);
            return;
        };
        let to_first = first
            .since(text)
            .saturating_sub(self.paused.before_first_frame_ns);
        let to_last = last
            .since(text)
            .saturating_sub(self.paused.before_last_frame_ns);
        // A worker that was told to stop ends its stream in good order too.
        let complete = matches!(end, None | Some(CallEnd::Status(Some(0))))
            && !matches!(self.hold, Hold::Stopped(_));
        let (mode, inference_ns) = match self.rhythm.pacing() {
            Some(Pacing::Burst) => (Pacing::Burst.as_str(), to_last),
            Some(Pacing::Paced) if complete => (Pacing::Paced.as_str(), to_first),
            None if self.frames == 1 => (UNKNOWN, to_first),
            Some(Pacing::Paced) => {
                metrics
                    .probe
                    .skip(Measure::InferenceRtf, SkipReason::CutOff);
                return;
            }
            None => {
                metrics
                    .probe
                    .skip(Measure::InferenceRtf, SkipReason::Unreadable);
                return;
            }
        };
        if self.paused.uncertain {
            metrics
                .probe
                .skip(Measure::InferenceRtf, SkipReason::Unreadable);
            return;
        }
        metrics
            .worker
            .inference_rtf
            .with(&[self.worker.as_str(), self.model_label(), mode])
            .observe(inference_ns as f64 / audio_ns as f64);
    }

    fn add_drops(&self, frames: u64, reason: &str, metrics: &Metrics) {
        if frames > 0 {
            metrics
                .worker
                .audio_frame_drops
                .with(&[self.worker.as_str(), reason])
                .inc_by(frames);
        }
    }
}
