//! HTTP/2 frames of one direction (RFC 9113), as an observer reads them.
//!
//! Takes bytes as they come and holes; gives [`Part`]s. Payloads are passed on and never kept, but
//! for header blocks. A hole inside a payload keeps the framing; a hole over a frame header loses
//! it, until [`Framer::search`] finds it again.

mod framer;
mod header;
mod part;
mod resync;

pub use framer::Framer;
pub use header::{FrameHeader, HEADER_BYTES, flag, kind};
pub use part::{Loss, Part, Step};

/// What a client's connection starts with (RFC 9113, 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
