//! Where the parser of a connection puts what it finds.

use super::{elide::Elided, stage::Stage};
use crate::{
    flow::{Blocked, Event, Exchange, InferenceOutcome, InferenceState, Problem, Sink},
    record::{Side, WebSocketEvent},
    wire::resp::Registration,
};

/// Takes what a connection's parser finds.
pub(super) struct FlowSink<'a, 'stage> {
    side: Side,
    stage: &'a mut Stage<'stage>,
    elided: Option<&'a mut Elided>,
}

impl<'a, 'stage> FlowSink<'a, 'stage> {
    pub(super) fn new(
        side: Side,
        stage: &'a mut Stage<'stage>,
        elided: Option<&'a mut Elided>,
    ) -> Self {
        Self {
            side,
            stage,
            elided,
        }
    }
}

impl Sink for FlowSink<'_, '_> {
    fn event(&mut self, event: Event<'_>) {
        let stage = &mut *self.stage;
        if let Some(named) = &mut stage.named {
            named.handle(&event);
        }
        stage
            .interpreter
            .handle(stage.process, self.side, &event, stage.events);
    }

    fn blocked(&mut self, blocked: Blocked) {
        self.stage.blocked.push(blocked);
    }

    fn redis(&mut self, exchange: Exchange) {
        self.stage.exchanges.push(exchange);
    }

    fn websocket(&mut self, event: WebSocketEvent) {
        self.stage.websocket.push(event);
    }

    fn registration(&mut self, registration: Registration) {
        self.stage.registrations.push(registration);
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
        self.stage.counters.inferred(state);
    }

    fn inferred_call(&mut self, outcome: InferenceOutcome) {
        self.stage.counters.inferred_call(outcome);
    }

    fn problem(&mut self, problem: Problem) {
        self.stage.counters.problem(problem);
    }
}
