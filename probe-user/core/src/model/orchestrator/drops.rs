//! Frames that an orchestrator received and did not send on, by reason: `pause` where a PAUSE or STOP
//! was in force after they came, `error` where the call was reset or failed or the client is gone,
//! else `backpressure`.
//!
//! What an orchestrator that numbers on its own dropped around a pause cannot be told from what it
//! dropped at other times: there the reason is `unknown`.

use super::OrchestratorModel;
use super::bounds::SETTLE_NS;
use super::stream::{Owner, Stream};
use crate::flow::{CallEnd, CallId};
use crate::interpret::Id;
use crate::metrics::{Measure, SkipReason, UNKNOWN};
use crate::record::KtimeNs;

impl OrchestratorModel {
    /// Frames dropped while a PAUSE or STOP was in force.
    pub(super) fn count_held(&self, call: CallId, frames: u64) {
        if let Some(stream) = self.streams.get(&call) {
            self.add_drops(stream, "pause", frames);
        }
    }

    /// Nothing more of a stream that ended will be sent on.
    pub(super) fn settle_stream(&mut self, call: CallId) {
        let hidden = self
            .streams
            .get(&call)
            .and_then(Stream::session)
            .and_then(|key| self.sessions.get(&key))
            .is_some_and(|session| session.sent.may_hide_audio());
        if hidden {
            self.give_up_forwarding(call, SkipReason::Unreadable);
        }
        self.tell_call(call);
        let rest = self.change_forwarding(call, |stream| stream.forwarding.finish(stream.hold));
        let Some(stream) = self.streams.remove(&call) else {
            return;
        };
        if let Some(orchestrator) = self.processes.get_mut(&stream.process) {
            orchestrator.open_streams.remove(&call);
        }
        if let Some(session) = stream.session().and_then(|key| self.sessions.get_mut(&key)) {
            session.streams.retain(|other| *other != call);
            session.utterances.end_stream(call);
            session.source.take_if(|source| *source == call);
        }
        if let Some(key) = stream.session() {
            self.tell_over(key);
        }
        let rest = rest.unwrap_or_default();
        if !stream.forwards && stream.session().is_some() {
            return;
        }
        match (&stream.owner, stream.forwarding.broken()) {
            (Owner::One(_), None) => {
                self.add_drops(&stream, "pause", rest.held);
                let free = stream.dropped.saturating_add(rest.free);
                self.add_drops(&stream, reason(&stream), free);
            }
            (Owner::One(_), Some(reason)) => self.skip(Measure::ForwardingDrops, reason),
            (Owner::OneOf(_), _) => self.skip(Measure::ForwardingDrops, SkipReason::Ambiguous),
            (Owner::Undecided | Owner::Nobody, _) => {}
        }
    }

    /// Time passed: settles streams whose audio has come to rest.
    pub(super) fn settle_streams(&mut self, now: KtimeNs) {
        let still = |stream: &Stream| {
            stream
                .ended
                .is_some_and(|(_, at)| now.since(at.max(stream.last_audio)) >= SETTLE_NS)
        };
        let done: Vec<CallId> = self
            .streams
            .iter()
            .filter(|(_, stream)| still(stream))
            .map(|(call, _)| *call)
            .collect();
        for call in done {
            self.settle_stream(call);
        }
    }

    /// A worker has another name: what is dropped from now on counts under it.
    pub fn handle_renamed(&mut self, from: &str, to: &str) {
        let is_old = |name: &Id| name.as_str() == from;
        let Some(to) = Id::new(to) else {
            return;
        };
        self.peers.rename_worker(from, &to);
        for stream in self.streams.values_mut() {
            if stream.worker.as_ref().is_some_and(is_old) {
                stream.worker = Some(to.clone());
            }
        }
    }

    fn add_drops(&self, stream: &Stream, reason: &str, frames: u64) {
        if frames > 0 {
            let worker = stream.worker.as_ref().map_or(UNKNOWN, Id::as_str);
            self.metrics
                .worker
                .audio_frame_drops
                .with(&[worker, reason])
                .inc_by(frames);
        }
    }
}

/// Why frames were dropped while nothing was held.
fn reason(stream: &Stream) -> &'static str {
    if stream.unheard {
        return "error";
    }
    if stream.hold.is_some() && stream.forwarding.counts_only() {
        return UNKNOWN;
    }
    match stream.ended {
        Some((CallEnd::Status(Some(0)), _)) => "backpressure",
        None | Some((CallEnd::Status(None) | CallEnd::Unknown, _)) => UNKNOWN,
        Some(_) => "error",
    }
}
