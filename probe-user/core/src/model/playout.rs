//! What a listener hears of one stream: each frame has a moment at which it must be there.
//!
//! The listener starts to play one prebuffer after the first frame, and then needs frame *i* after
//! *i* frame durations. A frame that comes later leaves a gap (an underrun), which moves all later
//! deadlines by its length, because the listener resumes where it stopped. A pause moves them by its
//! length too. Once frames went unseen, the position in the audio is unknown, and with it every later
//! deadline of the stream.

use crate::record::KtimeNs;

/// When a frame was sent, seen from its deadline. Nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Punctuality {
    /// By which it was late; 0 when in time.
    pub(super) late_ns: u64,
    /// By which it was early: what the listener still had to play.
    pub(super) margin_ns: u64,
}

/// Playout of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Playout {
    /// No frame yet.
    #[default]
    Silent,
    /// The next frame must be there at this time.
    Playing(KtimeNs),
    /// The position in the audio is unknown.
    Unknown,
}

impl Playout {
    /// A frame was sent: how it kept its deadline; `None` when nobody can tell. `paused_ns` is how long a pause in force has lasted.
    pub(super) fn frame(
        &mut self,
        at: KtimeNs,
        duration_ns: Option<u64>,
        prebuffer_ns: u64,
        paused_ns: u64,
    ) -> Option<Punctuality> {
        let deadline = match *self {
            Self::Silent => at.plus(prebuffer_ns),
            Self::Playing(deadline) => deadline,
            Self::Unknown => return None,
        };
        let due = deadline.plus(paused_ns);
        let late_ns = at.since(due);
        *self = duration_ns.map_or(Self::Unknown, |ns| {
            Self::Playing(deadline.plus(late_ns).plus(ns))
        });
        Some(Punctuality {
            late_ns,
            margin_ns: due.since(at),
        })
    }

    /// Playing was paused for this long.
    pub(super) fn shift(&mut self, ns: u64) {
        if let Self::Playing(deadline) = self {
            *deadline = deadline.plus(ns);
        }
    }

    /// Frames went unseen.
    pub(super) fn lose(&mut self) {
        *self = Self::Unknown;
    }
}
