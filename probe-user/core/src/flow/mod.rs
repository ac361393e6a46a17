//! Frames to exchanges: calls of a gRPC connection, with their messages and their end.

mod event;

pub use crate::wire::{Message, Value};
pub use event::{CallEnd, CallId, Event, Method, Origin};
