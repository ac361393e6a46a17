//! Frames to exchanges: calls of a gRPC connection, with their messages and their end; commands of a
//! Redis connection, with their answers.

mod calls;
mod detect;
mod event;
mod headers;
mod http2;
mod infer;
mod redis;
mod sink;

pub use crate::wire::{Message, Value};
pub use detect::{Detection, detect};
pub use event::{CallEnd, CallId, Event, Method, Origin};
pub use http2::Http2Connection;
pub use infer::InferenceState;
pub use redis::{Exchange, QUIET_NS, RedisConnection};
pub use sink::{Problem, Sink};

#[cfg(test)]
mod tests;
