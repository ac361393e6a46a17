//! One synthesis stream: text in, frames out, from the open of its call to its end.

use prometheus::{Histogram, IntCounter};

use super::Pacing;
use super::pacing::Rhythm;
use super::playout::Playout;
use super::sequence::{Sequence, Step};
use super::settings::MAX_FRAME_MS;
use crate::flow::CallEnd;
use crate::interpret::{AudioFrame, Id};
use crate::metrics::{Measure, Metrics, SkipReason, UNKNOWN};
use crate::record::{KtimeNs, Tgid};

/// A stream that is open.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag is one independent fact about the stream"
)]
pub(super) struct Stream {
    pub(super) worker: Id,
    pub(super) process: Tgid,
    pub(super) session: Option<Id>,
    /// Model of the session, as known when the stream's first message came.
    pub(super) model: Option<Id>,
    /// The request was counted, and with it session and model were looked up.
    pub(super) identified: bool,
    /// It counts as a session of its own, because its session is unknown.
    pub(super) counts_as_session: bool,
    /// It has text and no frame yet.
    pub(super) queued: bool,
    /// Its synthesis ended: final frame sent, or the call is over.
    pub(super) finished: bool,
    pub(super) hold: Hold,
    /// A RESUME waits for its first frame.
    pub(super) awaits_resume: bool,
    /// A PAUSE or STOP waits for its last frame.
    pub(super) watched: bool,
    pub(super) last_frame: Option<KtimeNs>,
    pub(super) frames: u64,
    pub(super) underruns: u64,
    pub(super) last_late_ns: Option<u64>,
    pub(super) rhythm: Rhythm,
    pub(super) playout: Playout,
    first_text: Moment,
    first_frame: Moment,
    sequence: Sequence,
    /// Frames dropped while nothing was paused; the stream's end tells why.
    dropped: u64,
    /// Audio sent, nanoseconds; `None` once some of it is unknown.
    audio_ns: Option<u64>,
    paused: Paused,
    handles: Handles,
}

/// Whether a command holds the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// No.
    Free,
    /// Paused since.
    Paused(KtimeNs),
    /// Stopped since.
    Stopped(KtimeNs),
}

/// When something first happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    NotYet,
    At(KtimeNs),
    /// It may have happened unseen.
    Unknown,
}

/// Nanoseconds of pauses, counted from the first text on.
#[derive(Clone, Copy, Debug, Default)]
struct Paused {
    /// In all, without a pause in force.
    ended_ns: u64,
    before_first_frame_ns: u64,
    before_last_frame_ns: u64,
    /// A command went unread: there may have been others.
    uncertain: bool,
}

/// Series the stream observes into once per frame, looked up once per stream.
#[derive(Debug, Default)]
struct Handles {
    emitted: Option<IntCounter>,
    jitter: Option<Histogram>,
    lateness: Option<Histogram>,
}

impl Stream {
    pub(super) fn new(worker: Id, process: Tgid) -> Self {
        Self {
            worker,
            process,
            session: None,
            model: None,
            identified: false,
            counts_as_session: false,
            queued: false,
            finished: false,
            hold: Hold::Free,
            awaits_resume: false,
            watched: false,
            last_frame: None,
            frames: 0,
            underruns: 0,
            last_late_ns: None,
            rhythm: Rhythm::default(),
            playout: Playout::default(),
            first_text: Moment::NotYet,
            first_frame: Moment::NotYet,
            sequence: Sequence::default(),
            dropped: 0,
            audio_ns: Some(0),
            paused: Paused::default(),
            handles: Handles::default(),
        }
    }

    /// Label `model_id`.
    pub(super) fn model_label(&self) -> &str {
        self.model.as_ref().map_or(UNKNOWN, Id::as_str)
    }

    /// Whether `emit` needs a handle first.
    pub(super) fn lacks_counter(&self) -> bool {
        self.handles.emitted.is_none()
    }

    /// The series that counts the stream's frames.
    pub(super) fn set_counter(&mut self, counter: IntCounter) {
        self.handles.emitted = Some(counter);
    }

    /// Text arrived.
    pub(super) fn handle_text(&mut self, at: KtimeNs) {
        if self.first_text == Moment::NotYet {
            self.first_text = Moment::At(at);
        }
        let waits = self.first_text == Moment::At(at) && self.first_frame == Moment::NotYet;
        self.queued |= waits && !self.finished;
    }

    /// Text may have been lost.
    pub(super) fn handle_text_lost(&mut self) {
        if self.first_text == Moment::NotYet {
            self.first_text = Moment::Unknown;
        }
    }

    /// Frames may have been lost.
    pub(super) fn handle_frames_lost(&mut self, reason: SkipReason, metrics: &Metrics) {
        if self.first_frame == Moment::NotYet {
            self.first_frame = Moment::Unknown;
            metrics.probe.skip(Measure::InferenceLatency, reason);
        }
        metrics.probe.skip(Measure::Frames, reason);
        self.queued = false;
        self.audio_ns = None;
        self.rhythm.break_interval(reason);
        self.playout.lose();
        self.sequence.lose();
    }

    /// A frame with audio was sent.
    pub(super) fn handle_frame(
        &mut self,
        at: KtimeNs,
        frame: &AudioFrame,
        prebuffer_ns: u64,
        metrics: &Metrics,
    ) {
        self.frames += 1;
        if let Some(counter) = &self.handles.emitted {
            counter.inc();
        }
        if self.finished {
            return;
        }
        let duration_ns = frame
            .duration_ms
            .filter(|ms| (1..=MAX_FRAME_MS).contains(ms))
            .map(|ms| ms.unsigned_abs() * 1_000_000);
        let paused_ns = self.paused_ns(at);
        if self.first_frame == Moment::NotYet {
            self.first_frame = Moment::At(at);
            self.paused.before_first_frame_ns = paused_ns;
            self.observe_inference_latency(at, metrics);
        }
        self.queued = false;
        self.last_frame = Some(at);
        self.paused.before_last_frame_ns = paused_ns;
        self.audio_ns = self
            .audio_ns
            .zip(duration_ns)
            .map(|(sum, ns)| sum.saturating_add(ns));
        self.observe_sequence(frame.sequence, metrics);
        self.observe_interval(at, duration_ns, metrics);
        self.observe_lateness(at, duration_ns, prebuffer_ns, metrics);
    }

    /// A command that may concern the stream went unread.
    pub(super) fn handle_unread_command(&mut self) {
        self.paused.uncertain = true;
        self.rhythm.break_interval(SkipReason::Unreadable);
        self.playout.lose();
    }

    /// A PAUSE is in force from now on.
    pub(super) fn pause(&mut self, at: KtimeNs) {
        self.hold = Hold::Paused(at);
        self.rhythm.break_interval(SkipReason::Paused);
    }

    /// A STOP is in force from now on.
    pub(super) fn stop(&mut self, at: KtimeNs) {
        if let Hold::Paused(since) = self.hold {
            self.end_pause(since, at);
        }
        self.hold = Hold::Stopped(at);
        self.rhythm.break_interval(SkipReason::Paused);
    }

    /// The pause in force ends. Gives whether there was one.
    pub(super) fn resume(&mut self, at: KtimeNs) -> bool {
        let Hold::Paused(since) = self.hold else {
            return false;
        };
        self.end_pause(since, at);
        self.hold = Hold::Free;
        true
    }

    /// The command received at `received` was refused: it holds nothing.
    pub(super) fn release(&mut self, received: KtimeNs) {
        if self.hold == Hold::Paused(received) || self.hold == Hold::Stopped(received) {
            self.hold = Hold::Free;
            self.rhythm.mend_interval(SkipReason::Paused);
        }
    }

    /// The synthesis is over: by its final frame (`None`), or with its call.
    pub(super) fn finish(&mut self, at: KtimeNs, end: Option<CallEnd>, metrics: &Metrics) {
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
    pub(super) fn count_drops(&mut self, end: CallEnd, metrics: &Metrics) {
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

    fn observe_inference_latency(&self, at: KtimeNs, metrics: &Metrics) {
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

    fn observe_sequence(&mut self, number: Option<i64>, metrics: &Metrics) {
        match self.sequence.frame(number) {
            Step::Whole => {}
            Step::Missing(frames) if self.hold == Hold::Free && !self.awaits_resume => {
                self.dropped = self.dropped.saturating_add(frames);
            }
            Step::Missing(frames) => self.add_drops(frames, "pause", metrics),
            Step::Implausible => metrics.probe.skip(Measure::Drops, SkipReason::Unreadable),
        }
    }

    fn observe_interval(&mut self, at: KtimeNs, duration_ns: Option<u64>, metrics: &Metrics) {
        match self.rhythm.frame(at, duration_ns) {
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
    }

    fn observe_jitter(&mut self, intervals: &[super::pacing::Interval], metrics: &Metrics) {
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

    fn observe_lateness(
        &mut self,
        at: KtimeNs,
        duration_ns: Option<u64>,
        prebuffer_ns: u64,
        metrics: &Metrics,
    ) {
        let paused_ns = match self.hold {
            Hold::Free => 0,
            Hold::Paused(since) => at.since(since),
            // Nobody listens to what follows a STOP.
            Hold::Stopped(_) => {
                metrics.probe.skip(Measure::Lateness, SkipReason::Paused);
                return;
            }
        };
        let late = self.playout.frame(at, duration_ns, prebuffer_ns, paused_ns);
        self.last_late_ns = late;
        let Some(late_ns) = late else {
            metrics.probe.skip(Measure::Lateness, SkipReason::Lost);
            return;
        };
        let worker = self.worker.as_str();
        self.handles
            .lateness
            .get_or_insert_with(|| metrics.worker.audio_frame_lateness.with(&[worker]))
            .observe(late_ns as f64 / 1e6);
        if late_ns > 0 {
            self.underruns += 1;
            metrics
                .worker
                .audio_underruns
                .with(&[worker, UNKNOWN])
                .inc();
        }
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
        let complete = matches!(end, None | Some(CallEnd::Status(Some(0))));
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

    fn end_pause(&mut self, since: KtimeNs, at: KtimeNs) {
        self.paused.ended_ns = self
            .paused
            .ended_ns
            .saturating_add(at.since(self.counted_from(since)));
        self.playout.shift(at.since(since));
    }

    /// Nanoseconds paused so far, a pause in force included.
    fn paused_ns(&self, at: KtimeNs) -> u64 {
        let running = match self.hold {
            Hold::Paused(since) => at.since(self.counted_from(since)),
            Hold::Free | Hold::Stopped(_) => 0,
        };
        self.paused.ended_ns.saturating_add(running)
    }

    /// A pause counts from the first text on.
    fn counted_from(&self, since: KtimeNs) -> KtimeNs {
        match self.first_text {
            Moment::At(text) => since.max(text),
            Moment::NotYet | Moment::Unknown => since,
        }
    }
}
