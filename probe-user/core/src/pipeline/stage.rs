//! What one step of a connection may use of the pipeline.

use std::sync::Arc;

use super::{Counters, Tap, named::NamedCalls};
use crate::{
    flow::{Blocked, Exchange, InflaterBudget},
    interpret::{self, Interpreter},
    profile::Profile,
    record::{Process, WebSocketEvent},
    stream::Delivery,
    wire::resp::Registration,
};

/// What a connection needs of the pipeline while it takes a step.
pub(super) struct Stage<'a> {
    pub(super) profile: &'a Arc<Profile>,
    pub(super) process: &'a Process,
    pub(super) interpreter: &'a mut Interpreter,
    pub(super) counters: &'a Counters,
    pub(super) events: &'a mut Vec<interpret::Event>,
    pub(super) blocked: &'a mut Vec<Blocked>,
    pub(super) exchanges: &'a mut Vec<Exchange>,
    pub(super) websocket: &'a mut Vec<WebSocketEvent>,
    pub(super) inflaters: &'a InflaterBudget,
    pub(super) registrations: &'a mut Vec<Registration>,
    pub(super) named: Option<&'a mut NamedCalls>,
    pub(super) tap: Option<&'a mut dyn Tap>,
}

impl Stage<'_> {
    /// Counts what a stream delivers.
    pub(super) fn count(&self, delivery: &Delivery<'_>) {
        self.counters.delivery(delivery);
    }
}
