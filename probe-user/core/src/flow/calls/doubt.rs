//! Calls that may be over without a sign: their end may have been in a gap.

use super::{Calls, side};
use crate::flow::sink::Sink;
use crate::flow::{CallEnd, CallId, Event, Origin};
use crate::record::KtimeNs;

/// How long after a gap a call is believed to go on without a frame from its server, in
/// nanoseconds. Speech streams send many frames a second, and models load in less.
const DOUBT_NS: u64 = 30_000_000_000;

impl Calls {
    /// An unknown number of one side's frames is missing.
    pub(in crate::flow) fn frames_lost(
        &mut self,
        origin: Origin,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        self.incomplete = true;
        self.infer();
        if let Some(inference) = &mut self.inference {
            inference.frames_lost();
        }
        if !self.open.is_empty() {
            self.doubt_ends = Some(at.plus(DOUBT_NS));
        }
        for (stream, call) in self.open.iter_mut() {
            call.doubtful = true;
            if let Some(inference) = &mut self.inference {
                inference.lost(stream, origin);
            }
            let ended = origin == Origin::Client && call.requests_ended;
            if let Some(deframer) = call.deframers.get_mut(side(origin))
                && deframer.lose()
                && !ended
            {
                let call = CallId {
                    connection: self.connection,
                    stream,
                };
                sink.event(Event::MessagesLost { call, at, origin });
            }
        }
    }

    /// Time passes: weighs what was seen until then, and gives up calls whose end must have been in
    /// a gap. Once for a moment, however many pieces the bytes of that moment come in: a capture cuts
    /// them where it leaves some out, and has to give the same names.
    #[inline]
    pub(in crate::flow) fn advance(&mut self, at: KtimeNs, sink: &mut dyn Sink) {
        if self.advanced == Some(at) {
            return;
        }
        self.advanced = Some(at);
        if self.inference.is_some() {
            self.settle(at, sink);
        }
        if self.doubt_ends.is_some_and(|ends| at >= ends) {
            self.give_up_doubtful(at, sink);
        }
    }

    fn give_up_doubtful(&mut self, at: KtimeNs, sink: &mut dyn Sink) {
        self.doubt_ends = None;
        let doubtful = self.open.iter().filter(|(_, call)| call.doubtful);
        let doubtful: Vec<u32> = doubtful.map(|(stream, _)| stream).collect();
        for stream in doubtful {
            self.end(stream, CallEnd::Unknown, at, sink);
        }
    }
}
