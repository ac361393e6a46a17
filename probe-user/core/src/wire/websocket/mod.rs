//! WebSocket after its handshake, one direction at a time: frames (RFC 6455, 5), permessage-deflate
//! (RFC 7692) and the members of JSON objects that a profile gives a role.
//!
//! Takes bytes as they come and holes. No payload is kept: it is unmasked, inflated and scanned in
//! small runs, so that a length field of any size allocates nothing. A hole inside a payload keeps the
//! framing; one that takes a header loses it.

mod extensions;
mod header;
mod inflate;
mod json;
mod parser;
mod part;

pub use extensions::{Deflate, Extensions};
pub use header::{FrameHeader, MAX_HEADER_BYTES, Opcode};
pub use inflate::{InflateError, Inflater, MAX_MESSAGE_BYTES};
pub use json::Scanner;
pub use parser::Parser;
pub use part::{Loss, Part, Payload, Step};

#[cfg(test)]
mod tests;
