//! Frames to exchanges: calls of a gRPC connection, with their messages and their end; commands of a
//! Redis connection, with their answers; messages of a WebSocket connection, from its upgrade to its end.

mod calls;
mod detect;
mod event;
mod headers;
mod http2;
mod infer;
mod redis;
mod sink;
mod streams;
mod websocket;
mod windows;

pub use crate::wire::{Message, Value};
pub use detect::{Detection, detect};
pub use event::{CallEnd, CallId, Event, Method, Origin};
pub use http2::Http2Connection;
pub use infer::{InferenceState, Outcome as InferenceOutcome, Tellable, tellable};
pub use redis::{Exchange, QUIET_NS, RedisConnection};
pub use sink::{Problem, Sink};
pub use websocket::{InflaterBudget, WebSocketConnection};
pub(crate) use windows::MIN_BLOCKED_NS;
pub use windows::{Blocked, Limit};

#[cfg(test)]
mod tests;
