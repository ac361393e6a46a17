//! The calls of one connection: from first frame to end.

mod doubt;
mod naming;
mod tell;

use std::collections::VecDeque;
use std::sync::Arc;

use naming::{described, told};
use tell::tell;

use super::headers::Headers;
use super::infer::{Inference, Key};
use super::sink::{Keeper, Problem, Sink};
use super::streams::Streams;
use super::{CallEnd, CallId, Event, Method, Origin};
use crate::profile::{MessageIndex, Profile};
use crate::record::{ConnectionId, KtimeNs};
use crate::wire::grpc::{Deframer, LossCause, Outcome};

/// Calls followed at once on one connection. gRPC servers allow 100 to some hundred; each takes
/// about half a kilobyte, and at most 300 KB if both its messages hold all the values they may.
pub(super) const MAX_CALLS: usize = 512;

/// Ended calls remembered, so that frames that cross with a call's end do not start another one.
const MAX_CLOSED: usize = 256;

/// Deframers kept for calls to come, with their buffers.
const MAX_SPARE: usize = 16;

/// The open calls of one connection.
pub(super) struct Calls {
    connection: ConnectionId,
    profile: Arc<Profile>,
    open: Streams<Box<Call>>,
    /// Ended calls, oldest first.
    closed: VecDeque<u32>,
    spare: Vec<[Deframer; 2]>,
    /// Counts uses, to find the least recently used call.
    uses: u64,
    /// Whether calls may exist whose start was not seen.
    incomplete: bool,
    /// Tells methods whose paths cannot be read, where there may be any.
    inference: Option<Box<Inference>>,
    /// The moment that was last passed.
    advanced: Option<KtimeNs>,
    /// When calls that did not show a sign of life since the last gap are given up.
    doubt_ends: Option<KtimeNs>,
}

struct Call {
    /// Position of its method in the profile, where it is known.
    method: Option<usize>,
    /// Request and response message, where the method is known.
    messages: Option<(MessageIndex, MessageIndex)>,
    /// By origin.
    deframers: [Deframer; 2],
    requests_ended: bool,
    /// Its end may have been in a gap.
    doubtful: bool,
    last_use: u64,
}

impl Call {
    fn schema(&self, origin: Origin) -> Option<MessageIndex> {
        self.messages.map(|(request, response)| match origin {
            Origin::Client => request,
            Origin::Server => response,
        })
    }
}

fn side(origin: Origin) -> usize {
    match origin {
        Origin::Client => 0,
        Origin::Server => 1,
    }
}

impl Calls {
    pub(super) fn new(connection: ConnectionId, profile: Arc<Profile>, incomplete: bool) -> Self {
        Self {
            connection,
            profile,
            open: Streams::default(),
            closed: VecDeque::new(),
            spare: Vec::new(),
            uses: 0,
            incomplete,
            inference: None,
            advanced: None,
            doubt_ends: None,
        }
        .with_inference(incomplete)
    }

    pub(super) fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(super) fn connection(&self) -> ConnectionId {
        self.connection
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// A header block, or that there was one.
    pub(super) fn headers(
        &mut self,
        origin: Origin,
        stream: u32,
        end_stream: bool,
        headers: &Headers,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        match origin {
            Origin::Client => {
                if !self.open.contains(stream) && !self.closed.contains(&stream) {
                    self.start(stream, headers, true, at, sink);
                }
                if end_stream {
                    self.requests_ended(stream, at, sink);
                }
            }
            Origin::Server => {
                // Interim responses (RFC 9110, 15.2) are followed by the real one.
                let interim = headers
                    .status
                    .is_some_and(|status| (100..200).contains(&status));
                let Some(call) = self.seen(origin, stream, at, sink) else {
                    return;
                };
                if headers.other_content
                    && let Some(deframer) = call.deframers.get_mut(side(origin))
                {
                    deframer.ignore();
                }
                if end_stream && !interim {
                    self.end(stream, CallEnd::Status(headers.grpc_status), at, sink);
                }
            }
        }
    }

    /// The content of a DATA frame starts, `length` bytes of it.
    pub(super) fn data_start(
        &mut self,
        origin: Origin,
        stream: u32,
        length: u32,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        if let Some(call) = self.seen(origin, stream, at, sink)
            && let Some(deframer) = call.deframers.get_mut(side(origin))
        {
            deframer.start_frame(length);
        }
    }

    /// Bytes of a DATA frame, which start at `position` of the slice that `keeper` reports on.
    pub(super) fn data(
        &mut self,
        origin: Origin,
        stream: u32,
        (bytes, position): (&[u8], usize),
        at: KtimeNs,
        keeper: &mut Keeper<'_>,
    ) {
        if self.seen(origin, stream, at, keeper.sink()).is_none() {
            return;
        }
        let (id, profile) = (self.id(stream), &*self.profile);
        let Some(call) = self.open.found_mut() else {
            return;
        };
        let schema = call.schema(origin);
        let Some(deframer) = call.deframers.get_mut(side(origin)) else {
            return;
        };
        let mut inference = self.inference.as_deref_mut();
        let looks_of = |inference: &Inference| inference.looks(stream, origin).cloned();
        let mut looks = inference.as_deref().and_then(looks_of);
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let run = deframer.step(profile, (schema, looks.as_ref()), rest);
            let start = position + done;
            if run.keep {
                keeper.keep(start, start + run.used);
            }
            done += run.used;
            let place = (stream, origin);
            let told = inference
                .as_deref_mut()
                .is_some_and(|inference| told(&run.outcome, inference, place, at));
            tell(id, origin, run.outcome, at, keeper.sink());
            if looks.is_some()
                && let Some(masked) = deframer.take_masked()
            {
                keeper.replace(start, &masked);
            }
            if let (true, Some(inference)) = (told, inference.as_deref_mut())
                && let Some(shape) = deframer.shape()
            {
                inference.shape(stream, origin, shape, at);
                looks = looks_of(inference);
            }
        }
        if self.inference.is_some() {
            self.tell_commanded(at, keeper.sink());
        }
    }

    /// Missing bytes of a DATA frame.
    pub(super) fn data_hole(
        &mut self,
        origin: Origin,
        stream: u32,
        length: u32,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        if self.seen(origin, stream, at, sink).is_none() {
            return;
        }
        let id = self.id(stream);
        let Some(call) = self.open.found_mut() else {
            return;
        };
        let Some(deframer) = call.deframers.get_mut(side(origin)) else {
            return;
        };
        let mut inference = self.inference.as_deref_mut();
        let mut left = length;
        while left > 0 {
            let (used, outcome) = deframer.step_hole(left);
            left = left.saturating_sub(used);
            let place = (stream, origin);
            let told = inference
                .as_deref_mut()
                .is_some_and(|inference| told(&outcome, inference, place, at));
            tell(id, origin, outcome, at, sink);
            if let (true, Some(inference)) = (told, inference.as_deref_mut())
                && let Some(shape) = deframer.shape()
            {
                inference.shape(stream, origin, shape, at);
            }
        }
        if self.inference.is_some() {
            self.tell_commanded(at, sink);
        }
    }

    /// An unknown number of bytes of a DATA frame cannot be read.
    pub(super) fn data_lost(
        &mut self,
        origin: Origin,
        stream: u32,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        let id = self.id(stream);
        if let Some(call) = self.seen(origin, stream, at, sink)
            && let Some(deframer) = call.deframers.get_mut(side(origin))
            && deframer.lose()
        {
            tell(id, origin, Outcome::Lost(LossCause::Hole), at, sink);
        }
        if let Some(inference) = &mut self.inference {
            inference.lost(stream, origin);
        }
    }

    /// A DATA frame ended its sender's side of the stream.
    pub(super) fn end_stream(
        &mut self,
        origin: Origin,
        stream: u32,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        let Some(call) = self.seen(origin, stream, at, sink) else {
            return;
        };
        let deframer = call.deframers.get(side(origin));
        if deframer.is_some_and(Deframer::is_inside) {
            sink.problem(Problem::CutShort);
        }
        match origin {
            Origin::Client => self.requests_ended(stream, at, sink),
            Origin::Server => self.end(stream, CallEnd::Status(None), at, sink),
        }
    }

    /// `RST_STREAM`.
    pub(super) fn reset(
        &mut self,
        origin: Origin,
        stream: u32,
        code: Option<u32>,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        let end = code.map_or(CallEnd::Unknown, |code| CallEnd::Reset { code, by: origin });
        self.end(stream, end, at, sink);
    }

    /// The server's GOAWAY (RFC 9113, 6.8).
    pub(super) fn go_away(&mut self, last_stream: u32, at: KtimeNs, sink: &mut dyn Sink) {
        while let Some(stream) = self.open.above(last_stream) {
            self.end(stream, CallEnd::Refused, at, sink);
        }
    }

    /// The connection ended.
    pub(super) fn close(&mut self, at: KtimeNs, sink: &mut dyn Sink) {
        while let Some(stream) = self.open.first() {
            self.end(stream, CallEnd::ConnectionClosed, at, sink);
        }
        if let Some(inference) = &mut self.inference {
            inference.close();
        }
        self.settle(at, sink);
    }

    fn id(&self, stream: u32) -> CallId {
        CallId {
            connection: self.connection,
            stream,
        }
    }

    /// The call that a frame belongs to. One whose start was missed starts here; frames of a call
    /// that is over, or that a server has made up, belong to none.
    #[inline]
    fn seen(
        &mut self,
        origin: Origin,
        stream: u32,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) -> Option<&mut Call> {
        if !self.open.find(stream) && !self.start_unseen(stream, at, sink) {
            return None;
        }
        self.uses += 1;
        let call = self.open.found_mut()?;
        call.last_use = self.uses;
        if origin == Origin::Server {
            call.doubtful = false;
        }
        Some(call)
    }

    /// Starts a call whose start may have been missed, and finds it; false where that cannot be.
    #[cold]
    fn start_unseen(&mut self, stream: u32, at: KtimeNs, sink: &mut dyn Sink) -> bool {
        if !self.incomplete || self.closed.contains(&stream) {
            return false;
        }
        self.start(stream, &Headers::UNREADABLE, false, at, sink);
        self.open.find(stream)
    }

    /// Starts a call; `whole` tells whether its first frame was seen.
    fn start(
        &mut self,
        stream: u32,
        headers: &Headers,
        whole: bool,
        at: KtimeNs,
        sink: &mut dyn Sink,
    ) {
        // Clients open odd streams (RFC 9113, 5.1.1).
        if stream.is_multiple_of(2) {
            return;
        }
        if self.open.len() >= MAX_CALLS {
            let oldest = self.open.iter().min_by_key(|(_, call)| call.last_use);
            if let Some((oldest, _)) = oldest {
                sink.problem(Problem::TooManyCalls);
                self.end(oldest, CallEnd::Unknown, at, sink);
            }
        }
        let mut deframers = self.spare.pop().unwrap_or_default();
        for deframer in &mut deframers {
            deframer.restart(whole);
            if headers.other_content {
                deframer.ignore();
            }
        }
        self.uses += 1;
        let (mut method, mut messages) = (headers.method, headers.messages);
        let mut position = headers.position;
        if let Some(inference) = self
            .inference
            .as_deref_mut()
            .filter(|_| !headers.other_content)
        {
            if let Some(entry) = headers.written {
                inference.handle_path(position, entry);
            }
            let key = match method {
                Method::Unknown => Some(headers.key().unwrap_or(Key::Call(stream))),
                Method::Known(_) | Method::Other => None,
            };
            position = inference.open(stream, key, position, whole);
            if let (Method::Unknown, Some(known)) = (method, described(&self.profile, position)) {
                (method, messages) = known;
            }
        }
        let call = Call {
            method: position,
            messages,
            deframers,
            requests_ended: false,
            doubtful: false,
            last_use: self.uses,
        };
        self.open.insert(stream, Box::new(call));
        if headers.other_content {
            method = Method::Other;
        }
        let call = self.id(stream);
        sink.event(Event::CallStarted { call, at, method });
        if let Some(context) = headers.trace() {
            sink.event(Event::Traced { call, at, context });
        }
    }

    fn requests_ended(&mut self, stream: u32, at: KtimeNs, sink: &mut dyn Sink) {
        let id = self.id(stream);
        if let Some(call) = self.open.get_mut(stream)
            && !std::mem::replace(&mut call.requests_ended, true)
        {
            sink.event(Event::RequestsEnded { call: id, at });
        }
    }

    fn end(&mut self, stream: u32, end: CallEnd, at: KtimeNs, sink: &mut dyn Sink) {
        let Some(call) = self.open.remove(stream) else {
            return;
        };
        if self.spare.len() < MAX_SPARE {
            self.spare.push(call.deframers);
        }
        if self.closed.len() >= MAX_CLOSED {
            self.closed.pop_front();
        }
        self.closed.push_back(stream);
        if let Some(inference) = &mut self.inference {
            inference.end(stream);
        }
        let call = self.id(stream);
        sink.event(Event::CallEnded { call, at, end });
    }
}
