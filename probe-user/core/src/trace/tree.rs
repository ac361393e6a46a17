//! The spans of one utterance, and of a call or a synthesis that belongs to none that is known.
//!
//! ```text
//! synthesize_request              the client's message → the last audio sent to it
//! ├─ grpc_call_worker             first text sent → final frame, or the end of the call
//! │  └─ Synthesize                the same at the worker, from the first text received
//! │     ├─ model_inference        first text received → first frame sent
//! │     └─ audio_framing          first frame sent → last frame sent
//! └─ audio_processing             first frame received → first audio sent to the client
//! ```
//!
//! A span whose start or end may be wrong because something went unseen is left out, and what it would
//! have caused is caused by the span above it. A span that received a `traceparent` has the header's
//! parent. The trace is the one of the client's upgrade, else of the first call that says one; a call
//! that says another one goes there, with a link back.

use std::collections::BTreeMap;

use super::ids::{Seed, span_id, trace_id};
use super::span::{Kind, Parent, Place, Span};
use crate::flow::{CallEnd, CallId, Origin};
use crate::metrics::SkipReason;
use crate::model::{CallStory, Moment, Pacing, SynthesisStory, UtteranceId, UtteranceStory};
use crate::record::{KtimeNs, Role, SpanId, Tgid, TraceContext, TraceId};

/// gRPC's method, as it is named in traces.
const METHOD: &str = "Synthesize";

/// Spans being made.
pub(super) struct Tree {
    seed: Seed,
    trace: TraceId,
    pub(super) spans: Vec<Span>,
    /// Spans that are left out, by why.
    pub(super) skipped: Vec<SkipReason>,
}

/// The trace of an utterance, whether or not it is exported.
pub(super) fn trace_of(seed: Seed, id: UtteranceId, context: Option<TraceContext>) -> TraceId {
    context.map_or_else(|| trace_id(seed, &id), |context| context.trace)
}

/// The trace of a call that belongs to no utterance that is known, by the end of it that is.
pub(super) fn lone_trace(seed: Seed, call: CallId, context: Option<TraceContext>) -> TraceId {
    context.map_or_else(|| trace_id(seed, &call), |context| context.trace)
}

/// What a header says about an utterance's trace.
pub(super) fn context_of(story: &UtteranceStory) -> Option<TraceContext> {
    story
        .trace
        .or_else(|| story.calls.iter().find_map(|call| call.trace))
}

/// What is above a span.
#[derive(Clone, Copy)]
struct Above {
    trace: TraceId,
    span: Option<SpanId>,
}

impl Tree {
    /// Everything of an utterance; `syntheses` are what workers tell, by the call at their end.
    pub(super) fn utterance(
        seed: Seed,
        story: &UtteranceStory,
        syntheses: &BTreeMap<CallId, SynthesisStory>,
    ) -> Self {
        let mut tree = Self::new(seed, trace_of(seed, story.id, context_of(story)));
        let root = tree.root(story);
        for call in &story.calls {
            let spoken = call.peer.and_then(|peer| syntheses.get(&peer));
            tree.call(story.process, call, spoken, root);
            tree.processing(story, call, root);
        }
        tree
    }

    /// A call that belongs to no utterance that is known.
    pub(super) fn lone_call(
        seed: Seed,
        process: Tgid,
        call: &CallStory,
        synthesis: Option<&SynthesisStory>,
    ) -> Self {
        let mut tree = Self::new(seed, lone_trace(seed, call.call, call.trace));
        tree.call(process, call, synthesis, None);
        tree
    }

    /// A synthesis whose caller is not watched.
    pub(super) fn lone_synthesis(seed: Seed, story: &SynthesisStory) -> Self {
        let mut tree = Self::new(seed, lone_trace(seed, story.call, story.trace));
        let above = Above {
            trace: tree.trace,
            span: None,
        };
        tree.synthesis(story, story.trace, above);
        tree
    }

    fn new(seed: Seed, trace: TraceId) -> Self {
        Self {
            seed,
            trace,
            spans: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn root(&mut self, story: &UtteranceStory) -> Option<SpanId> {
        let first = story.calls.first();
        let start = story.asked.or_else(|| first?.text);
        let ended = story.calls.iter().map(|call| call.end.map(|(at, _)| at));
        let last = match &story.audio {
            Some(audio) => Some(audio.last),
            None => ended
                .collect::<Option<Vec<_>>>()
                .and_then(|all| all.into_iter().max()),
        };
        let (start, end) = match (story.doubt, start, last) {
            (None, Some(start), Some(end)) => (start, end),
            (Some(reason), ..) => return self.skip(reason),
            _ => return self.skip(SkipReason::Lost),
        };
        let place = Place {
            role: Role::Orchestrator,
            process: story.process,
            worker: None,
        };
        let mut span = self.span("synthesize_request", &story.id, place, (start, end))?;
        span.kind = Kind::Server;
        span.parent = story.trace.map_or(Parent::None, Parent::Remote);
        let heard = story.audio.map(|audio| audio.first);
        span.first_audio = heard.or_else(|| first?.first_frame);
        let sum = |of: fn(&CallStory) -> Option<u64>| story.calls.iter().map(of).sum();
        span.say("session_id", story.session.as_ref());
        span.say("model_id", story.model.as_ref());
        span.say("transport", Some(story.transport));
        span.say::<u64>("text_length", sum(|call| call.text_bytes));
        let sent = story.audio.map(|audio| audio.frames);
        span.say("frames_count", sent.or_else(|| sum(|call| call.frames)));
        span.say("fal_ms", story.first_audio_ms());
        span.say("barge_in_ms", story.barge_in_ms);
        Some(self.add(span))
    }

    fn call(
        &mut self,
        process: Tgid,
        call: &CallStory,
        spoken: Option<&SynthesisStory>,
        root: Option<SpanId>,
    ) {
        let root = Above {
            trace: self.trace,
            span: root,
        };
        let own = self.client_call(process, call, root);
        if let Some(story) = spoken {
            let context = story.trace.or(call.trace);
            let above = Above {
                span: own.or(root.span),
                ..root
            };
            self.synthesis(story, context, above);
        }
    }

    fn client_call(&mut self, process: Tgid, call: &CallStory, above: Above) -> Option<SpanId> {
        let (start, end, how) = match (call.text, call.end) {
            (Some(start), Some((end, how))) => (start, end, how),
            _ if !call.has_spoken() => return None,
            (None, _) => return self.skip(SkipReason::Lost),
            (_, None) => return self.skip(SkipReason::CutOff),
        };
        let place = Place {
            role: Role::Orchestrator,
            process,
            worker: None,
        };
        let mut span = self.span("grpc_call_worker", &call.call, place, (start, end))?;
        span.kind = Kind::Client;
        span.parent = above.span.map_or(Parent::None, Parent::Span);
        span.say("worker", call.worker.as_ref());
        span.say("text_length", call.text_bytes);
        span.say("frames_count", call.frames);
        tell_end(&mut span, how);
        Some(self.add(span))
    }

    fn processing(&mut self, story: &UtteranceStory, call: &CallStory, root: Option<SpanId>) {
        let (Some(root), Some(audio), Some(frame)) = (root, story.audio, call.first_frame) else {
            return;
        };
        if audio.source != Some(call.call) || frame > audio.first {
            return;
        }
        let place = Place {
            role: Role::Orchestrator,
            process: story.process,
            worker: None,
        };
        let of = ("audio_processing", story.id);
        if let Some(mut span) = self.span("audio_processing", &of, place, (frame, audio.first)) {
            span.parent = Parent::Span(root);
            self.add(span);
        }
    }

    fn synthesis(&mut self, story: &SynthesisStory, context: Option<TraceContext>, above: Above) {
        let place = Place {
            role: Role::Worker,
            process: story.process,
            worker: Some(story.worker.clone()),
        };
        let trace = context.map_or(above.trace, |context| context.trace);
        let by_caller = above.span.map_or(Parent::None, Parent::Span);
        let parent = context.map_or(by_caller, Parent::Remote);
        let known = story.end != Some(CallEnd::Unknown);
        let own = match story.text {
            Moment::At(text) if known => {
                let of = ("Synthesize", story.call, text);
                self.span(METHOD, &of, place.clone(), (text, story.ended))
                    .map(|mut span| {
                        span.kind = Kind::Server;
                        span.trace = trace;
                        span.parent = parent;
                        let elsewhere = above.span.filter(|_| trace != above.trace);
                        span.link = elsewhere.map(|caller| (above.trace, caller));
                        span.say("session_id", story.session.as_ref());
                        span.say("model_id", story.model.as_ref());
                        span.say("worker", Some(&story.worker));
                        span.say("text_length", story.text_bytes);
                        span.say("frames_count", story.frames);
                        if story.frames.is_none() {
                            span.say("voxprobe.incomplete", Some(SkipReason::Lost.as_str()));
                        }
                        tell_end(&mut span, story.end);
                        self.add(span)
                    })
            }
            // It was never asked to speak.
            Moment::NotYet => None,
            Moment::At(_) | Moment::Unknown => self.skip(SkipReason::Lost),
        };
        let parent = own.map_or(parent, Parent::Span);
        let steps = [
            ("model_inference", story.text.at(), story.first_frame.at()),
            (
                "audio_framing",
                story.first_frame.at().filter(|_| story.frames.is_some()),
                story.last_frame,
            ),
        ];
        // A stream without audio has neither.
        let spoke = story.last_frame.is_some();
        for (name, start, end) in steps.into_iter().filter(|_| spoke) {
            let (Some(start), Some(end)) = (start, end) else {
                self.skipped.push(SkipReason::Lost);
                continue;
            };
            let of = (name, story.call, start);
            if let Some(mut span) = self.span(name, &of, place.clone(), (start, end)) {
                span.trace = trace;
                span.parent = parent;
                span.say("model_id", story.model.as_ref());
                span.say("worker", Some(&story.worker));
                if name == "audio_framing" {
                    span.say("frames_count", story.frames);
                    span.say("pacing", story.pacing.map(Pacing::as_str));
                }
                self.add(span);
            }
        }
    }

    /// A span of the tree's trace; `None`, and counted, where it would end before it starts: records of
    /// several connections or a caller's clock may say so.
    fn span(
        &mut self,
        name: &'static str,
        of: &impl std::hash::Hash,
        place: Place,
        (start, end): (KtimeNs, KtimeNs),
    ) -> Option<Span> {
        if end < start {
            return self.skip(SkipReason::Unreadable);
        }
        Some(Span {
            trace: self.trace,
            id: span_id(self.seed, &(name, of)),
            parent: Parent::None,
            link: None,
            name,
            kind: Kind::Internal,
            place,
            start,
            end,
            attributes: Vec::new(),
            first_audio: None,
            error: None,
        })
    }

    fn add(&mut self, span: Span) -> SpanId {
        let id = span.id;
        self.spans.push(span);
        id
    }

    fn skip<T>(&mut self, reason: SkipReason) -> Option<T> {
        self.skipped.push(reason);
        None
    }
}

/// How a call ended: OpenTelemetry's attributes of gRPC, and what is an error.
fn tell_end(span: &mut Span, end: Option<CallEnd>) {
    span.say("rpc.system", Some("grpc"));
    span.say("rpc.method", Some(METHOD));
    match end {
        // The final frame: what follows it is the call's business.
        None | Some(CallEnd::Status(None) | CallEnd::Unknown) => {}
        Some(CallEnd::Status(Some(status))) => {
            span.say("rpc.grpc.status_code", Some(u64::from(status)));
            if status != 0 {
                span.error = Some("the call ended with a gRPC status other than OK");
            }
        }
        // What an orchestrator does that is interrupted.
        Some(CallEnd::Reset {
            by: Origin::Client, ..
        }) => span.say("voxprobe.end", Some("cancelled")),
        Some(CallEnd::Reset { .. }) => span.error = Some("the worker reset the call"),
        Some(CallEnd::Refused) => span.error = Some("the worker refused the call"),
        Some(CallEnd::ConnectionClosed) => span.error = Some("the connection ended"),
    }
}
