//! One session of a worker: what was said when it started, and the streams that speak in it.

use crate::flow::CallId;
use crate::interpret::{Command, Id};
use crate::record::{ConnectionId, KtimeNs, Tgid};

/// A session. It lives while it is started or a stream names it.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) started: Option<Started>,
    /// Open streams that name it.
    pub(super) streams: Vec<CallId>,
    /// A PAUSE or STOP whose last frame is awaited.
    pub(super) effect: Option<Effect>,
    /// A RESUME whose first frame is awaited.
    pub(super) resumed: Option<KtimeNs>,
}

/// What a `StartSession` said.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: Tgid,
    pub(super) connection: ConnectionId,
    pub(super) model: Option<Id>,
}

/// A command whose effect on the audio is awaited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    pub(super) command: Command,
    /// When it arrived.
    pub(super) at: KtimeNs,
    /// The last frame known to have followed it, or its own time.
    pub(super) latest: KtimeNs,
    /// Streams whose last frame is still awaited.
    pub(super) awaited: usize,
    /// Frames went unseen: the last one is unknown.
    pub(super) lost: bool,
}

impl Session {
    /// Nothing keeps it any more.
    pub(super) fn is_over(&self) -> bool {
        self.started.is_none() && self.streams.is_empty()
    }
}
