//! One synthesis stream that an orchestrator opened on a worker.

use super::forwarding::Forwarding;
use super::session::SessionKey;
use crate::flow::{CallEnd, CallId};
use crate::interpret::Id;
use crate::record::{KtimeNs, Tgid, TraceContext};

/// Whose a stream is.
#[derive(Debug)]
pub(super) enum Owner {
    /// Nothing was said on it that tells.
    Undecided,
    /// A session's.
    One(SessionKey),
    /// One of several sessions'.
    OneOf(Vec<Candidate>),
    /// No session's that is known.
    Nobody,
}

/// A session that a stream may be of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) session: SessionKey,
    /// Its stray audio messages when the stream was opened.
    pub(super) sent_before: u64,
    /// Its stray audio messages that only this stream can explain.
    pub(super) support: u64,
}

/// A stream, until its audio is settled.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each flag is one independent fact about the stream"
)]
pub(super) struct Stream {
    pub(super) process: Tgid,
    pub(super) name: Option<Id>,
    pub(super) owner: Owner,
    pub(super) opened: KtimeNs,
    /// `LiveKit`: the last text sent for which no frame came yet.
    pub(super) awaiting: Option<KtimeNs>,
    /// Texts sent.
    pub(super) texts: u32,
    /// The last text said that it ends its utterance.
    pub(super) text_final: bool,
    /// Text or frames may have gone unseen.
    pub(super) lost: bool,
    /// Frames with audio received.
    pub(super) frames: u64,
    /// The final frame came.
    pub(super) finished: bool,
    pub(super) ended: Option<(CallEnd, KtimeNs)>,
    /// Last frame received or sent on.
    pub(super) last_audio: KtimeNs,
    pub(super) forwarding: Forwarding,
    /// Frames dropped while nothing was held; the end of the call tells why.
    pub(super) dropped: u64,
    /// When the latest PAUSE or STOP came into force.
    pub(super) hold: Option<KtimeNs>,
    /// It is in force still.
    pub(super) held: bool,
    /// Its frames are sent on to a client over `WebSocket`.
    pub(super) forwards: bool,
    /// The client is gone.
    pub(super) unheard: bool,
    /// Label `worker` of the process that speaks on it.
    pub(super) worker: Option<Id>,
    /// The call at the worker's end, where that is watched.
    pub(super) peer: Option<CallId>,
    /// The trace that the call says it belongs to.
    pub(super) trace: Option<TraceContext>,
    /// Its first text, where it cannot have gone unseen.
    pub(super) first_text: Option<KtimeNs>,
    /// Bytes of text sent; `None` where some cannot be read.
    pub(super) text_bytes: Option<u64>,
    /// Its first frame, where it cannot have gone unseen.
    pub(super) first_frame: Option<KtimeNs>,
    /// `LiveKit`: what the first audio took, milliseconds.
    pub(super) answered_ms: Option<f64>,
    /// The final frame came (`None`), or the call ended.
    pub(super) closed: Option<(KtimeNs, Option<CallEnd>)>,
    /// Its story was told.
    pub(super) told: bool,
}

impl Stream {
    pub(super) fn new(process: Tgid, opened: KtimeNs, worker: Option<Id>) -> Self {
        Self {
            process,
            name: None,
            owner: Owner::Undecided,
            opened,
            awaiting: None,
            texts: 0,
            text_final: false,
            lost: false,
            frames: 0,
            finished: false,
            ended: None,
            last_audio: opened,
            forwarding: Forwarding::default(),
            dropped: 0,
            hold: None,
            held: false,
            forwards: false,
            unheard: false,
            worker,
            peer: None,
            trace: None,
            first_text: None,
            text_bytes: Some(0),
            first_frame: None,
            answered_ms: None,
            closed: None,
            told: false,
        }
    }

    /// The session it is of, where that is known.
    pub(super) fn session(&self) -> Option<SessionKey> {
        match self.owner {
            Owner::One(session) => Some(session),
            Owner::Undecided | Owner::OneOf(_) | Owner::Nobody => None,
        }
    }

    /// Whether audio may still come from the worker.
    pub(super) fn is_open(&self) -> bool {
        self.ended.is_none() && !self.finished
    }
}
