//! What the model tells of sessions, speech and synthesis once it is over: traces and the log are made of
//! it.
//!
//! A time that may be wrong because something went unseen is not told. Stories are kept only where
//! somebody asked for them ([`Stories::keep`]), and until the end of the record that completed them.

use super::Pacing;
use crate::flow::{CallEnd, CallId};
use crate::interpret::Id;
use crate::metrics::SkipReason;
use crate::record::{ConnectionId, KtimeNs, Role, Tgid, TraceContext};

/// Stories of one record: what ends with a process of thousands of streams.
const MAX_STORIES: usize = 65_536;

/// Something that is over, or a session's start.
#[derive(Clone, Debug, PartialEq)]
pub enum Story {
    /// A session started or ended.
    Session(SessionStory),
    /// An orchestrator answered what its client asked to be spoken.
    Utterance(UtteranceStory),
    /// A call to a worker that belongs to no utterance that is known, and why.
    Call {
        /// The orchestrator.
        process: Tgid,
        /// The call.
        call: CallStory,
        /// Why it is not known.
        reason: SkipReason,
    },
    /// An interruption was measured.
    Interruption(InterruptionStory),
    /// A worker spoke a stream's text.
    Synthesis(SynthesisStory),
}

/// A session's start or end.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionStory {
    /// Process.
    pub process: Tgid,
    /// Its part: an orchestrator's session is a client's, a worker's is what an orchestrator asked for.
    pub role: Role,
    /// Label `worker`, of a worker's session.
    pub worker: Option<Id>,
    /// Its id, where that is known.
    pub session: Option<Id>,
    /// Its model, where that is known.
    pub model: Option<Id>,
    /// Label `transport`, of an orchestrator's session.
    pub transport: Option<&'static str>,
    /// Which of them.
    pub change: SessionChange,
}

/// What became of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionChange {
    /// It started.
    Started,
    /// It ended: label `reason`, where there is one.
    Ended(Option<&'static str>),
}

/// Which utterance. Given once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtteranceId {
    /// Connection of its session: the client's, or the worker's on which a `LiveKit` session was asked
    /// for.
    pub connection: ConnectionId,
    /// Its session's number among all sessions.
    pub session: u64,
    /// Its number in the session, from 1.
    pub number: u64,
}

/// An utterance, from what asked for it to its last audio.
#[derive(Clone, Debug, PartialEq)]
pub struct UtteranceStory {
    /// Which.
    pub id: UtteranceId,
    /// The orchestrator.
    pub process: Tgid,
    /// Its session's id, where that is known.
    pub session: Option<Id>,
    /// Its session's model, where that is known.
    pub model: Option<Id>,
    /// Label `transport`.
    pub transport: &'static str,
    /// The trace that the client's upgrade belongs to.
    pub trace: Option<TraceContext>,
    /// Receive of the client's message that asked for it; `None` where none did.
    pub asked: Option<KtimeNs>,
    /// Audio that the client was sent; `None` without any.
    pub audio: Option<SentAudio>,
    /// Why its beginning or its audio is not known.
    pub doubt: Option<SkipReason>,
    /// It was interrupted: from the trigger to its last audio or the worker's answer, milliseconds.
    pub barge_in_ms: Option<f64>,
    /// Calls that were opened for it, in order.
    pub calls: Vec<CallStory>,
}

/// Audio of one utterance, on its way to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentAudio {
    /// Its first message.
    pub first: KtimeNs,
    /// Its last message.
    pub last: KtimeNs,
    /// Messages.
    pub frames: u64,
    /// The stream whose frame the first one is, where that is known.
    pub source: Option<CallId>,
}

/// A call for synthesis at the orchestrator's end, up to its final frame or its end.
#[derive(Clone, Debug, PartialEq)]
pub struct CallStory {
    /// The call.
    pub call: CallId,
    /// The same at the worker's end, where that is watched.
    pub peer: Option<CallId>,
    /// Label `worker` of the process at the other end, where that is watched.
    pub worker: Option<Id>,
    /// The trace that the call says it belongs to.
    pub trace: Option<TraceContext>,
    /// Its first text was sent; `None` where that may have gone unseen.
    pub text: Option<KtimeNs>,
    /// Bytes of text sent; `None` where some went unseen.
    pub text_bytes: Option<u64>,
    /// Its first frame with audio was received; `None` where none was, or it may have gone unseen.
    pub first_frame: Option<KtimeNs>,
    /// Frames with audio received; `None` where some went unseen.
    pub frames: Option<u64>,
    /// `LiveKit`: from the last text before the first audio to that, milliseconds.
    pub answered_ms: Option<f64>,
    /// The final frame was received (`None`) or the call ended; `None` where nobody saw that.
    pub end: Option<(KtimeNs, Option<CallEnd>)>,
}

impl CallStory {
    /// Whether anything was said on it, or may have been.
    pub fn has_spoken(&self) -> bool {
        self.text.is_some() || self.text_bytes != Some(0) || self.frames != Some(0)
    }
}

/// An interruption, from its trigger to the last audio or answer.
#[derive(Clone, Debug, PartialEq)]
pub struct InterruptionStory {
    /// The utterance, where that is known.
    pub utterance: Option<UtteranceId>,
    /// The trace that the utterance belongs to, where a header says one.
    pub trace: Option<TraceContext>,
    /// The orchestrator.
    pub process: Tgid,
    /// Its session's id, where that is known.
    pub session: Option<Id>,
    /// Its session's model, where that is known.
    pub model: Option<Id>,
    /// Label `trigger`.
    pub trigger: &'static str,
    /// Milliseconds.
    pub latency_ms: f64,
}

/// When something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It did not happen.
    NotYet,
    /// It happened then.
    At(KtimeNs),
    /// It may have happened unseen.
    Unknown,
}

impl Moment {
    /// When, where that is known.
    pub fn at(self) -> Option<KtimeNs> {
        match self {
            Self::At(at) => Some(at),
            Self::NotYet | Self::Unknown => None,
        }
    }
}

/// A stream at the worker's end, up to its final frame or its end.
#[derive(Clone, Debug, PartialEq)]
pub struct SynthesisStory {
    /// The call.
    pub call: CallId,
    /// The worker's process.
    pub process: Tgid,
    /// Label `worker`.
    pub worker: Id,
    /// Session that the stream named.
    pub session: Option<Id>,
    /// Model of the session, where that is known.
    pub model: Option<Id>,
    /// The trace that the call says it belongs to.
    pub trace: Option<TraceContext>,
    /// Its first text was received.
    pub text: Moment,
    /// Bytes of text received; `None` where some went unseen.
    pub text_bytes: Option<u64>,
    /// Its first frame with audio was sent.
    pub first_frame: Moment,
    /// Its last frame with audio was sent.
    pub last_frame: Option<KtimeNs>,
    /// Frames with audio sent; `None` where some went unseen.
    pub frames: Option<u64>,
    /// Whether its frames were sent one by one, where that is known.
    pub pacing: Option<Pacing>,
    /// Its intervals.
    pub jitter: Jitter,
    /// The final frame was sent, or the call ended.
    pub ended: KtimeNs,
    /// How the call ended; `None` for the final frame.
    pub end: Option<CallEnd>,
}

/// Intervals of a stream against the objective for them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jitter {
    /// Intervals that count.
    pub intervals: u64,
    /// Those further from the frame's duration than the objective allows.
    pub above: u64,
    /// The furthest, milliseconds.
    pub worst_ms: f64,
}

/// Stories that wait to be told.
#[derive(Debug, Default)]
pub(super) struct Stories {
    kept: bool,
    stories: Vec<Story>,
}

impl Stories {
    /// Keeps them from now on.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether anybody asked for them.
    pub(super) fn are_kept(&self) -> bool {
        self.kept
    }

    /// One more. False beyond the bound.
    pub(super) fn add(&mut self, story: Story) -> bool {
        let fits = self.stories.len() < MAX_STORIES;
        if self.kept && fits {
            self.stories.push(story);
        }
        fits
    }

    /// Those that came since the last call.
    pub(super) fn take(&mut self) -> Vec<Story> {
        std::mem::take(&mut self.stories)
    }
}
