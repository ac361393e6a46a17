//! Capture files: everything the core was given, so that it can be given again.
//!
//! A file is [`MAGIC`], then an LZ4 frame of values: a length each (four bytes, little endian), a byte that
//! tells their kind, and so many bytes. The first is the [`Header`]. Headers and most records are postcard's;
//! chunks, which are nearly all of a file, are read where they lie (`chunk`). They hold only what carries no
//! audio and no text; the rest are holes of known length, which changes nothing for the metrics. Of WebSocket
//! connections a file holds what was read of their bytes, and no byte.

mod chunk;
mod reader;
mod writer;

use serde::{Deserialize, Serialize};

use crate::settings::Settings;

pub use reader::{CaptureError, Reader};
pub use writer::Writer;

/// First bytes of a capture file. The last one is the format's version.
pub const MAGIC: [u8; 8] = *b"vxcap\0\0\x02";

/// Bytes of one record; a chunk is at most 8 KiB, and a sample of many GPUs a few KiB more.
const MAX_RECORD_BYTES: u32 = 1024 * 1024;

/// Bytes of a value's length.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Kinds of values: postcard's, and chunks.
mod kind {
    pub(super) const VALUE: u8 = 0;
    pub(super) const CHUNK: u8 = 1;
    /// One that goes on where the one before ended.
    pub(super) const NEXT_CHUNK: u8 = 2;
}

/// What a replay needs to know beforehand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// voxprobe's version.
    pub version: String,
    /// Unix time in nanoseconds when the kernel's monotonic clock showed `anchor_ktime_ns`.
    pub anchor_unix_ns: u64,
    /// See `anchor_unix_ns`.
    pub anchor_ktime_ns: u64,
    /// The profile's text.
    pub profile: String,
    /// `playout.prebuffer` in milliseconds.
    pub prebuffer_ms: u32,
    /// `labels.sessions`.
    pub max_session_labels: u64,
    /// `models.resident_cap`.
    pub resident_cap: Option<u32>,
}

impl Header {
    /// For a capture that begins now.
    pub fn new(settings: &Settings) -> Self {
        let (anchor_unix_ns, anchor) = crate::ingest::anchor();
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            anchor_unix_ns,
            anchor_ktime_ns: anchor.0,
            profile: settings.profile_text.clone(),
            prebuffer_ms: settings.model.prebuffer_ms,
            max_session_labels: settings.limits.sessions as u64,
            resident_cap: settings.model.resident_cap,
        }
    }
}
