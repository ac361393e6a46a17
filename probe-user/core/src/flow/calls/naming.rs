//! Naming calls whose path cannot be read.

use std::sync::Arc;

use super::Calls;
use crate::flow::infer::{Decision, Inference};
use crate::flow::sink::Sink;
use crate::flow::{CallId, Event, Method, Origin};
use crate::profile::{MessageIndex, Profile};
use crate::record::KtimeNs;
use crate::wire::grpc::Outcome;

impl Calls {
    pub(super) fn with_inference(mut self, incomplete: bool) -> Self {
        if incomplete {
            self.infer();
        }
        self
    }

    /// Header blocks of one side cannot be read any more: paths may be unknown from now on.
    pub(in crate::flow) fn headers_lost(&mut self, origin: Origin) {
        if origin == Origin::Client {
            self.infer();
        }
    }

    /// Starts to infer methods.
    pub(super) fn infer(&mut self) {
        if self.inference.is_some() {
            return;
        }
        let mut inference = Inference::new(Arc::clone(&self.profile));
        for (stream, call) in self.open.iter() {
            inference.open(stream, None, call.method, false);
        }
        self.inference = Some(Box::new(inference));
    }

    /// Weighs the evidence and carries out what follows.
    pub(super) fn settle(&mut self, at: KtimeNs, sink: &mut dyn Sink) {
        let Some(inference) = &mut self.inference else {
            return;
        };
        inference.weigh(at);
        while let Some(state) = inference.poll_state() {
            sink.inferred(state);
        }
        while let Some(outcome) = inference.poll_outcome() {
            sink.inferred_call(outcome);
        }
        while let Some(decision) = self.inference.as_mut().and_then(|it| it.poll_decision()) {
            self.carry_out(decision, at, sink);
        }
    }

    /// Tells which streams may have been commanded by a call that is not known.
    pub(super) fn tell_commanded(&mut self, at: KtimeNs, sink: &mut dyn Sink) {
        while let Some(stream) = self.inference.as_mut().and_then(|it| it.poll_commanded()) {
            let call = CallId {
                connection: self.connection,
                stream,
            };
            sink.event(Event::MaybeCommanded { call, at });
        }
    }

    fn carry_out(&mut self, decision: Decision, at: KtimeNs, sink: &mut dyn Sink) {
        let Some(inference) = &self.inference else {
            return;
        };
        for open in inference.open_calls(decision.group) {
            let Some(call) = self.open.get_mut(open.stream) else {
                continue;
            };
            let id = CallId {
                connection: self.connection,
                stream: open.stream,
            };
            call.method = decision.method;
            let Some((Method::Known(method), messages)) = described(&self.profile, decision.method)
            else {
                call.messages = None;
                sink.event(Event::MethodContradicted { call: id, at });
                continue;
            };
            call.messages = messages;
            sink.event(Event::MethodInferred {
                call: id,
                at,
                method,
            });
            for (origin, missed) in [Origin::Client, Origin::Server]
                .into_iter()
                .zip(open.missed)
            {
                if missed {
                    let call = id;
                    sink.event(Event::MessagesLost { call, at, origin });
                }
            }
        }
    }
}

/// A method's name and messages.
pub(super) type Described = (Method, Option<(MessageIndex, MessageIndex)>);

pub(super) fn described(profile: &Profile, position: Option<usize>) -> Option<Described> {
    let method = profile.methods().get(position?)?;
    let messages = (method.request, method.response);
    Some((Method::Known(method.role), Some(messages)))
}

/// Gives the inference what a deframer found; whether that is a message.
pub(super) fn told(
    outcome: &Outcome<'_>,
    inference: &mut Inference,
    (stream, origin): (u32, Origin),
    at: KtimeNs,
) -> bool {
    match outcome {
        Outcome::Message(message) => inference.message(stream, origin, message, at),
        Outcome::Lost(_) => inference.lost(stream, origin),
        Outcome::Nothing => {}
    }
    matches!(outcome, Outcome::Message(_))
}
