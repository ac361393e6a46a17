//! What calls mean to the voice system: exchanges of the `flow` stage become sessions, synthesis
//! streams, audio frames, control commands and models.
//!
//! Takes [`flow::Event`](crate::flow::Event)s; gives [`Event`]s. Knows methods and fields only by
//! the roles the profile gives them. Keeps, per open call, what a response needs of its request, and
//! nothing else. Both sides of a connection are interpreted alike; each event carries the side, and
//! whoever uses it decides which side counts.
//!
//! What clients say over WebSocket becomes [`ClientEvent`]s by [`client_event`], message by message.
//!
//! Proto3 does not send defaults: in an intact message an absent command is number 0, an absent
//! bool is false, an absent integer is 0. In a message that is not intact an absent field may have
//! been there, so it is unknown and stays unknown.

mod call;
mod client;
mod client_event;
mod event;
mod field;
mod id;
mod interpreter;

pub use crate::record::ConnectionEnd;
pub use client::{ClientEvent, ClientFields, ClientWhat, MessageKind};
pub use client_event::client_event;
pub use event::{AudioFrame, Command, Event, Failure, LoadDuration, What};
pub use id::Id;
pub use interpreter::{Counts, Interpreter, MAX_CALLS};

#[cfg(test)]
mod tests;
