//! Bytes to frames: what one direction of a connection says, protocol by protocol. Every parser
//! takes bytes as they come, cut anywhere, and knows what to do when some are missing.

pub mod grpc;
pub mod hpack;
pub mod http1;
pub mod http2;
mod message;
pub mod protobuf;
pub mod resp;
pub mod traceparent;
pub mod websocket;

pub use message::{Message, Value};
