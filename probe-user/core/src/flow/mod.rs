//! Frames to exchanges: calls of a gRPC connection, with their messages and their end.

mod event;

pub use event::{CallEnd, CallId, Event, Message, Method, Origin, Value};
