//! What the live view shows of the model, borrowed from it.

use super::stream::{Hold, Stream};
use super::{Model, Pacing};
use crate::flow::CallId;
use crate::interpret::{Event, Id, What};
use crate::record::KtimeNs;

/// What a stream is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    /// No frame sent yet.
    Waiting,
    /// Frames are being sent.
    Speaking,
    /// A PAUSE is in force.
    Paused,
    /// A STOP is in force.
    Stopped,
    /// The final frame was sent.
    Finished,
}

impl StreamState {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Speaking => "speaking",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Finished => "finished",
        }
    }
}

/// One open synthesis stream. `None` is unknown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamView<'a> {
    /// Its call.
    pub call: CallId,
    /// Worker.
    pub worker: &'a str,
    /// Session.
    pub session: Option<&'a str>,
    /// Model.
    pub model: Option<&'a str>,
    /// How its frames are sent.
    pub pacing: Option<Pacing>,
    /// Frames with audio sent.
    pub frames: u64,
    /// Last interval between two frames, milliseconds.
    pub last_interval_ms: Option<f64>,
    /// Median of the last 32 jitters, milliseconds.
    pub jitter_p50_ms: Option<f64>,
    /// 95th percentile of the last 32 jitters, milliseconds.
    pub jitter_p95_ms: Option<f64>,
    /// By how much the last frame was late, milliseconds.
    pub lateness_ms: Option<f64>,
    /// How long before its deadline the last frame came, milliseconds: the most by which the next
    /// one may be held back before the listener runs out of audio. Gaps that were heard add to it.
    pub margin_ms: Option<f64>,
    /// Playout gaps so far.
    pub underruns: u64,
    /// What it is doing.
    pub state: StreamState,
}

/// A frame with audio that a stream has just sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentFrame<'a> {
    /// Its call.
    pub call: CallId,
    /// Worker.
    pub worker: &'a Id,
    /// Session, where it is known.
    pub session: Option<&'a Id>,
    /// When it was sent.
    pub at: KtimeNs,
    /// Since the frame before, nanoseconds; `None` for the first one.
    pub interval_ns: Option<u64>,
    /// Whether the stream sends its frames as fast as they are made.
    pub is_burst: bool,
}

/// One worker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerView<'a> {
    /// Label `worker`.
    pub name: &'a str,
    /// Label `adapter_type`.
    pub adapter: &'a str,
    /// Watched processes.
    pub processes: usize,
    /// Sessions open, as `worker_sessions_active`.
    pub sessions: u64,
    /// Synthesis streams open.
    pub streams: u64,
    /// Streams waiting for their first frame.
    pub queue_depth: u64,
    /// Models resident.
    pub resident_models: Option<usize>,
}

impl Model {
    /// Open synthesis streams, in no particular order.
    pub fn streams(&self) -> impl Iterator<Item = StreamView<'_>> {
        self.streams.iter().map(|(call, stream)| StreamView {
            call: *call,
            worker: stream.worker.as_str(),
            session: stream.session.as_ref().map(Id::as_str),
            model: stream.model.as_ref().map(Id::as_str),
            pacing: stream.rhythm.pacing(),
            frames: stream.frames,
            last_interval_ms: stream.rhythm.last_interval_ns().map(|ns| ns as f64 / 1e6),
            jitter_p50_ms: stream.rhythm.recent_jitter_ms(0.5),
            jitter_p95_ms: stream.rhythm.recent_jitter_ms(0.95),
            lateness_ms: stream.punctuality.map(|it| it.late_ns as f64 / 1e6),
            margin_ms: stream.punctuality.map(|it| it.margin_ns as f64 / 1e6),
            underruns: stream.underruns,
            state: state(stream),
        })
    }

    /// The frame that an event told of, once [`Model::handle`] had it. Not one after the final frame:
    /// nobody waits for that.
    pub fn sent_frame(&self, event: &Event) -> Option<SentFrame<'_>> {
        let What::Frame(frame) = &event.what else {
            return None;
        };
        frame.audio_bytes.filter(|bytes| *bytes > 0)?;
        let stream = self.streams.get(&event.call)?;
        let is_last = stream.last_frame == Some(event.at);
        is_last.then(|| SentFrame {
            call: event.call,
            worker: &stream.worker,
            session: stream.session.as_ref(),
            at: event.at,
            interval_ns: stream.rhythm.last_interval_ns(),
            is_burst: stream.rhythm.pacing() == Some(Pacing::Burst),
        })
    }

    /// Workers, in no particular order.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView<'_>> {
        self.workers.values().map(|worker| WorkerView {
            name: worker.name.as_str(),
            adapter: &worker.adapter,
            processes: worker.processes.len(),
            sessions: worker.started + worker.anonymous,
            streams: worker.streams,
            queue_depth: worker.queue,
            resident_models: worker.resident(),
        })
    }
}

fn state(stream: &Stream) -> StreamState {
    match stream.hold {
        _ if stream.finished => StreamState::Finished,
        Hold::Paused(_) => StreamState::Paused,
        Hold::Stopped(_) => StreamState::Stopped,
        Hold::Free if stream.frames == 0 => StreamState::Waiting,
        Hold::Free => StreamState::Speaking,
    }
}
