//! Where the parser of a connection puts what it finds.

use super::{Counters, elide::Elided, named::NamedCalls, stage::Stage};
use crate::{
    flow::{Blocked, Event, Exchange, InferenceOutcome, InferenceState, Problem, Sink},
    interpret::{self, Interpreter},
    record::{Process, Side, WebSocketEvent},
    wire::resp::Registration,
};

/// Takes what a connection's parser finds.
pub(super) struct FlowSink<'a, 'b> {
    side: Side,
    process: &'a Process,
    interpreter: &'a mut Interpreter,
    events: &'a mut Vec<interpret::Event>,
    blocked: &'a mut Vec<Blocked>,
    exchanges: &'a mut Vec<Exchange>,
    registrations: &'a mut Vec<Registration>,
    websocket: &'a mut Vec<WebSocketEvent>,
    counters: &'a Counters,
    named: Option<&'a mut NamedCalls>,
    elided: Option<&'b mut Elided>,
}

impl<'a, 'b> FlowSink<'a, 'b> {
    pub(super) fn new(
        side: Side,
        stage: &'a mut Stage<'_>,
        elided: Option<&'b mut Elided>,
    ) -> Self {
        Self {
            side,
            process: stage.process,
            interpreter: stage.interpreter,
            events: stage.events,
            blocked: stage.blocked,
            exchanges: stage.exchanges,
            registrations: stage.registrations,
            websocket: stage.websocket,
            counters: stage.counters,
            named: stage.named.as_deref_mut(),
            elided,
        }
    }
}

impl Sink for FlowSink<'_, '_> {
    fn event(&mut self, event: Event<'_>) {
        if let Some(named) = &mut self.named {
            named.handle(&event);
        }
        self.interpreter
            .handle(self.process, self.side, &event, self.events);
    }

    fn blocked(&mut self, blocked: Blocked) {
        self.blocked.push(blocked);
    }

    fn redis(&mut self, exchange: Exchange) {
        self.exchanges.push(exchange);
    }

    fn websocket(&mut self, event: WebSocketEvent) {
        self.websocket.push(event);
    }

    fn registration(&mut self, registration: Registration) {
        self.registrations.push(registration);
    }

    fn keep(&mut self, start: usize, end: usize) {
        if let Some(elided) = &mut self.elided {
            elided.keep(start, end);
        }
    }

    fn mask(&mut self, start: usize, replacement: &[u8]) {
        if let Some(elided) = &mut self.elided {
            elided.mask(start, replacement);
        }
    }

    fn inferred(&mut self, state: InferenceState) {
        self.counters.inferred(state);
    }

    fn inferred_call(&mut self, outcome: InferenceOutcome) {
        self.counters.inferred_call(outcome);
    }

    fn problem(&mut self, problem: Problem) {
        self.counters.problem(problem);
    }
}
