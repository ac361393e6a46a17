//! One synthesis stream: text in, frames out, from the open of its call to its end.

mod observe;
mod tell;

use prometheus::IntCounter;

use super::late::Sent;
use super::pacing::Rhythm;
use super::playout::{Playout, Punctuality};
use super::sequence::Sequence;
use super::settings::{MAX_FRAME_MS, Objectives};
use super::story::Moment;
use crate::interpret::{AudioFrame, Id};
use crate::metrics::{Histogram, Measure, Metrics, SkipReason, UNKNOWN};
use crate::record::{KtimeNs, Tgid, TraceContext};

/// A stream that is open.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag is one independent fact about the stream"
)]
pub(in crate::model) struct Stream {
    pub(in crate::model) worker: Id,
    pub(in crate::model) process: Tgid,
    pub(in crate::model) session: Option<Id>,
    /// Model of the session, as known when the stream's first message came.
    pub(in crate::model) model: Option<Id>,
    /// The request was counted, and with it session and model were looked up.
    pub(in crate::model) identified: bool,
    /// It counts as a session of its own, because its session is unknown.
    pub(in crate::model) counts_as_session: bool,
    /// The trace that its call says it belongs to.
    pub(in crate::model) trace: Option<TraceContext>,
    /// It has text and no frame yet.
    pub(in crate::model) queued: bool,
    /// Its synthesis ended: final frame sent, or the call is over.
    pub(in crate::model) finished: bool,
    pub(in crate::model) hold: Hold,
    /// A RESUME waits for its first frame.
    pub(in crate::model) awaits_resume: bool,
    /// A PAUSE or STOP waits for its last frame.
    pub(in crate::model) watched: bool,
    pub(in crate::model) last_frame: Option<KtimeNs>,
    /// First text since the last frame.
    awaited_text: Option<KtimeNs>,
    pub(in crate::model) frames: u64,
    /// Frames went unseen.
    frames_lost: bool,
    /// Bytes of text received; `None` once some of it is unknown.
    text_bytes: Option<u64>,
    pub(in crate::model) underruns: u64,
    pub(in crate::model) punctuality: Option<Punctuality>,
    pub(in crate::model) rhythm: Rhythm,
    pub(in crate::model) playout: Playout,
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
pub(in crate::model) enum Hold {
    /// No.
    Free,
    /// Paused since.
    Paused(KtimeNs),
    /// Stopped since.
    Stopped(KtimeNs),
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
    pub(in crate::model) fn new(worker: Id, process: Tgid, objectives: Objectives) -> Self {
        Self {
            worker,
            process,
            session: None,
            model: None,
            identified: false,
            counts_as_session: false,
            trace: None,
            queued: false,
            finished: false,
            hold: Hold::Free,
            awaits_resume: false,
            watched: false,
            last_frame: None,
            awaited_text: None,
            frames: 0,
            frames_lost: false,
            text_bytes: Some(0),
            underruns: 0,
            punctuality: None,
            rhythm: Rhythm::new(objectives.frame_jitter_ms),
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
    pub(in crate::model) fn model_label(&self) -> &str {
        self.model.as_ref().map_or(UNKNOWN, Id::as_str)
    }

    /// Before its first frame: worker, model, and since when its first text waits.
    pub(in crate::model) fn waits_for_model(&self) -> Option<(Id, Id, KtimeNs)> {
        match (self.first_text, self.first_frame) {
            (Moment::At(asked), Moment::NotYet) => {
                Some((self.worker.clone(), self.model.clone()?, asked))
            }
            _ => None,
        }
    }

    /// How long its first frame took after its first text, nanoseconds.
    pub(in crate::model) fn starting_ns(&self) -> Option<u64> {
        match (self.first_text, self.first_frame) {
            (Moment::At(text), Moment::At(frame)) => Some(frame.since(text)),
            _ => None,
        }
    }

    /// Its worker has another name: the series are looked up anew.
    pub(in crate::model) fn rename(&mut self, worker: Id) {
        self.worker = worker;
        self.handles = Handles::default();
    }

    /// Whether `emit` needs a handle first.
    pub(in crate::model) fn lacks_counter(&self) -> bool {
        self.handles.emitted.is_none()
    }

    /// The series that counts the stream's frames.
    pub(in crate::model) fn set_counter(&mut self, counter: IntCounter) {
        self.handles.emitted = Some(counter);
    }

    /// Text arrived.
    pub(in crate::model) fn handle_text(&mut self, at: KtimeNs, length: Option<u32>) {
        let sum = self.text_bytes.zip(length);
        self.text_bytes = sum.map(|(sum, length)| sum.saturating_add(u64::from(length)));
        self.awaited_text.get_or_insert(at);
        if self.first_text == Moment::NotYet {
            self.first_text = Moment::At(at);
        }
        let waits = self.first_text == Moment::At(at) && self.first_frame == Moment::NotYet;
        self.queued |= waits && !self.finished;
    }

    /// Text may have been lost.
    pub(in crate::model) fn handle_text_lost(&mut self) {
        self.text_bytes = None;
        if self.first_text == Moment::NotYet {
            self.first_text = Moment::Unknown;
        }
    }

    /// Frames may have been lost.
    pub(in crate::model) fn handle_frames_lost(&mut self, reason: SkipReason, metrics: &Metrics) {
        if self.first_frame == Moment::NotYet {
            self.first_frame = Moment::Unknown;
            metrics.probe.skip(Measure::InferenceLatency, reason);
        }
        metrics.probe.skip(Measure::Frames, reason);
        self.frames_lost = true;
        self.queued = false;
        self.audio_ns = None;
        self.rhythm.break_interval(reason);
        self.playout.lose();
        self.sequence.lose();
    }

    /// A frame with audio was sent. Gives what its times say.
    pub(in crate::model) fn handle_frame(
        &mut self,
        at: KtimeNs,
        frame: &AudioFrame,
        prebuffer_ns: u64,
        metrics: &Metrics,
    ) -> Sent {
        self.frames += 1;
        if let Some(counter) = &self.handles.emitted {
            counter.inc();
        }
        if self.finished {
            metrics.probe.skip(Measure::Lateness, SkipReason::AfterEnd);
            return Sent::default();
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
        let previous = self.last_frame.replace(at);
        let paused_before_ns = std::mem::replace(&mut self.paused.before_last_frame_ns, paused_ns);
        self.audio_ns = self
            .audio_ns
            .zip(duration_ns)
            .map(|(sum, ns)| sum.saturating_add(ns));
        self.observe_sequence(frame.sequence, metrics);
        Sent {
            previous,
            interval: self.observe_interval(at, duration_ns, metrics),
            underrun_ns: self.observe_lateness(at, duration_ns, prebuffer_ns, metrics),
            text: self.awaited_text.take(),
            paused_ns: paused_ns.saturating_sub(paused_before_ns),
        }
    }

    /// A command that may concern the stream went unread.
    pub(in crate::model) fn handle_unread_command(&mut self) {
        self.paused.uncertain = true;
        self.rhythm.break_interval(SkipReason::Unreadable);
        self.playout.lose();
    }

    /// A PAUSE is in force from now on.
    pub(in crate::model) fn pause(&mut self, at: KtimeNs) {
        self.hold = Hold::Paused(at);
        self.rhythm.break_interval(SkipReason::Paused);
    }

    /// A STOP is in force from now on.
    pub(in crate::model) fn stop(&mut self, at: KtimeNs) {
        if let Hold::Paused(since) = self.hold {
            self.end_pause(since, at);
        }
        self.hold = Hold::Stopped(at);
        self.rhythm.break_interval(SkipReason::Paused);
    }

    /// The pause in force ends. Gives whether there was one.
    pub(in crate::model) fn resume(&mut self, at: KtimeNs) -> bool {
        let Hold::Paused(since) = self.hold else {
            return false;
        };
        self.end_pause(since, at);
        self.hold = Hold::Free;
        true
    }

    /// The command received at `received` was refused: it holds nothing.
    pub(in crate::model) fn release(&mut self, received: KtimeNs) {
        if self.hold == Hold::Paused(received) || self.hold == Hold::Stopped(received) {
            self.hold = Hold::Free;
            self.rhythm.mend_interval(SkipReason::Paused);
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
