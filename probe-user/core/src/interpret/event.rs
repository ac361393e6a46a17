//! Events of the voice system.

use super::Id;
use crate::flow::{CallEnd, CallId};
use crate::profile::MethodRole;
use crate::record::{KtimeNs, Role, Side, Tgid, TraceContext};

/// Something the voice system did, as one watched process saw it.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The watched process.
    pub process: Tgid,
    /// Its part.
    pub role: Role,
    /// Which end of the connection it is.
    pub side: Side,
    /// The call it happened in.
    pub call: CallId,
    /// When.
    pub at: KtimeNs,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A synthesis stream was opened. Its session is not known yet.
    StreamOpened,
    /// The stream's first message that names its session; comes before that message's own event.
    StreamSession(Id),
    /// The call of the stream says which trace it belongs to. Follows `StreamOpened`.
    StreamTraced(TraceContext),
    /// Text crossed on the stream.
    Text {
        /// Whether it is the last of its utterance; `None` when unknown.
        is_final: Option<bool>,
        /// Bytes of it; `None` when unknown.
        length: Option<u32>,
    },
    /// At the client's end: it will send no more text on the stream.
    TextEnded,
    /// Messages from the client were lost: text may have been among them.
    TextLost,
    /// An audio message was sent on the stream.
    Frame(AudioFrame),
    /// Messages from the server were lost: frames may have been among them.
    FramesLost,
    /// A call that could not be read may have been a command for the stream's session.
    MaybeCommanded,
    /// The stream is over.
    StreamEnded(CallEnd),

    /// At the client's end: a session is asked for.
    SessionAsked {
        /// Session; `None` when its name is unknown.
        session: Option<Id>,
        /// Model; `None` when unknown or left to the worker.
        model: Option<Id>,
    },
    /// At the client's end: the end of a session is asked for.
    SessionEndAsked {
        /// Session; `None` when its name is unknown.
        session: Option<Id>,
    },
    /// At the client's end: a call that starts, ends or controls a session was not carried out.
    CallFailed {
        /// Which of them.
        method: MethodRole,
        /// Session; `None` when its name is unknown.
        session: Option<Id>,
        /// Model that the request named.
        model: Option<Id>,
        /// What became of it.
        failure: Failure,
    },
    /// A session was opened: the worker said so.
    SessionStarted {
        /// Session; `None` when its name is unknown.
        session: Option<Id>,
        /// Model it was opened for; `None` when unknown or left to the worker.
        model: Option<Id>,
    },
    /// A session may have been opened: the answer could not be read.
    SessionMaybeStarted,
    /// A session was ended: the worker said so.
    SessionEnded {
        /// Session; `None` when its name is unknown.
        session: Option<Id>,
    },
    /// A session may have been ended: the answer could not be read.
    SessionMaybeEnded,

    /// A control command arrived.
    ControlReceived {
        /// Session it is for; `None` when unknown, and then any session may be meant.
        session: Option<Id>,
        /// Command.
        command: Command,
    },
    /// A control command was answered.
    ControlAnswered {
        /// Session it was for.
        session: Option<Id>,
        /// Command.
        command: Command,
        /// When it arrived; `None` when that, or when the answer left, is unknown.
        received: Option<KtimeNs>,
        /// Whether it was carried out; `None` when unknown.
        success: Option<bool>,
    },

    /// The worker was asked for something that needs a model: a session or its loading.
    ModelRequested {
        /// Model; `None` when its name is unknown or left to the worker.
        model: Option<Id>,
    },
    /// The call of such a request is over.
    ModelRequestEnded,
    /// The worker loaded a model on request.
    ModelLoaded {
        /// Model; `None` when its name is unknown.
        model: Option<Id>,
        /// When the request arrived; `None` when unknown.
        received: Option<KtimeNs>,
        /// How long it took, in the worker's own words.
        duration: LoadDuration,
    },
    /// The worker unloaded a model on request.
    ModelUnloaded {
        /// Model; `None` when its name is unknown.
        model: Option<Id>,
    },
    /// The worker told which models are resident: all of them.
    ModelsListed {
        /// Resident models.
        resident: Vec<Id>,
    },
    /// The worker told which models are resident, and it could not be read in full.
    ModelsUnreadable,
}

/// Why a call was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The response says `success=false`.
    Refused,
    /// It ended without a response.
    Ended(CallEnd),
}

/// One audio message. A field is `None` when it may have been there and could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// Bytes of audio; 0 for an end marker without audio.
    pub audio_bytes: Option<u32>,
    /// Samples per second.
    pub sample_rate: Option<i64>,
    /// Milliseconds of audio; 0 when the worker does not say.
    pub duration_ms: Option<i64>,
    /// Number in the stream, from 1; 0 when the worker does not number.
    pub sequence: Option<i64>,
    /// Whether it is the stream's last.
    pub is_final: Option<bool>,
}

/// What the worker said about how long a load took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadDuration {
    /// Milliseconds.
    Said(u64),
    /// Nothing.
    Unsaid,
    /// Unreadable.
    Unknown,
}

/// A control command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Stop sending until resumed.
    Pause,
    /// Go on.
    Resume,
    /// Give up what is being spoken.
    Stop,
    /// Load the voice again.
    Reload,
    /// A number the profile does not name.
    Other,
    /// It could not be read.
    Unknown,
}

impl Command {
    /// As written in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "PAUSE",
            Self::Resume => "RESUME",
            Self::Stop => "STOP",
            Self::Reload => "RELOAD",
            Self::Other => "other",
            Self::Unknown => "unknown",
        }
    }

    /// The command a profile calls by this name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "PAUSE" => Self::Pause,
            "RESUME" => Self::Resume,
            "STOP" => Self::Stop,
            "RELOAD" => Self::Reload,
            _ => Self::Other,
        }
    }
}
