//! The nine-octet frame header (RFC 9113, 4.1) and what a sane one looks like.

/// Octets of a frame header.
pub const HEADER_BYTES: usize = 9;

/// Longest header block in bytes, over HEADERS and all CONTINUATION frames. gRPC peers refuse more
/// than 8 to 16 KiB of metadata.
pub(super) const MAX_HEADER_BLOCK_BYTES: u32 = 64 * 1024;

/// Most bytes of settings believed while searching for the framing: sixteen settings.
const MAX_PLAUSIBLE_SETTINGS_BYTES: u32 = 16 * 6;

/// Most bytes of GOAWAY believed while searching for the framing: its debug text is a sentence.
const MAX_PLAUSIBLE_GOAWAY_BYTES: u32 = 4096;

/// Frame types (RFC 9113, 6).
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// PRIORITY
    pub const PRIORITY: u8 = 2;
    /// `RST_STREAM`
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// `PUSH_PROMISE`
    pub const PUSH_PROMISE: u8 = 5;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// `WINDOW_UPDATE`
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// Frame flags (RFC 9113, 6).
pub mod flag {
    /// Acknowledgement of SETTINGS or PING.
    pub const ACK: u8 = 0x01;
    /// Last frame of the sender in this stream.
    pub const END_STREAM: u8 = 0x01;
    /// Last frame of a header block.
    pub const END_HEADERS: u8 = 0x04;
    /// A pad length and padding are there.
    pub const PADDED: u8 = 0x08;
    /// Priority fields are there.
    pub const PRIORITY: u8 = 0x20;
}

/// Settings that are read (RFC 9113, 6.5.2).
pub(super) mod setting {
    /// Octets of one: identifier and value (RFC 9113, 6.5.1).
    pub(in super::super) const BYTES: usize = 6;

    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// A frame header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of payload.
    pub length: u32,
    /// One of [`kind`], or unknown.
    pub kind: u8,
    /// Of [`flag`].
    pub flags: u8,
    /// Whether the reserved bit is set.
    pub reserved: bool,
    /// Stream identifier; 0 for the connection.
    pub stream: u32,
}

impl FrameHeader {
    /// Reads a header.
    pub fn parse(octets: &[u8; HEADER_BYTES]) -> Self {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = *octets;
        let stream = u32::from_be_bytes([s3, s2, s1, s0]);
        Self {
            length: u32::from_be_bytes([0, l2, l1, l0]),
            kind,
            flags,
            reserved: stream >> 31 == 1,
            stream: stream & 0x7fff_ffff,
        }
    }

    /// Whether a flag is set.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether length and stream fit the type: what every receiver must check (RFC 9113, 6.1 to
    /// 6.10). A header that does not fit means that the framing is lost.
    pub fn is_valid(&self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            kind::DATA | kind::HEADERS | kind::CONTINUATION => on_stream,
            kind::PRIORITY => on_stream && self.length == 5,
            kind::RST_STREAM => on_stream && self.length == 4,
            kind::SETTINGS => {
                let whole = self.length.is_multiple_of(6);
                !on_stream && whole && (!self.has(flag::ACK) || self.length == 0)
            }
            kind::PUSH_PROMISE => on_stream && self.length >= 4,
            kind::PING => !on_stream && self.length == 8,
            kind::GOAWAY => !on_stream && self.length >= 8,
            kind::WINDOW_UPDATE => self.length == 4,
            _ => true,
        }
    }

    /// Whether this is likely a header, where nothing else tells: valid, of a known type, with no
    /// undefined flag or reserved bit, on a stream that a client opened, of a usual length.
    pub fn is_plausible(&self, from_client: bool) -> bool {
        let flags = match self.kind {
            kind::DATA => flag::END_STREAM | flag::PADDED,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS | flag::PADDED | flag::PRIORITY,
            kind::SETTINGS | kind::PING => flag::ACK,
            kind::PUSH_PROMISE => flag::END_HEADERS | flag::PADDED,
            kind::CONTINUATION => flag::END_HEADERS,
            _ => 0,
        };
        let longest = match self.kind {
            kind::HEADERS | kind::CONTINUATION | kind::PUSH_PROMISE => MAX_HEADER_BLOCK_BYTES,
            kind::SETTINGS => MAX_PLAUSIBLE_SETTINGS_BYTES,
            kind::GOAWAY => MAX_PLAUSIBLE_GOAWAY_BYTES,
            _ => u32::MAX,
        };
        self.is_valid()
            && self.kind <= kind::CONTINUATION
            && self.flags & !flags == 0
            && !self.reserved
            && (self.stream == 0 || self.stream % 2 == 1)
            && self.length <= longest
            && !(from_client && self.kind == kind::PUSH_PROMISE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_read_field_by_field() {
        let header = FrameHeader::parse(&[0x01, 0x02, 0x03, 0x00, 0x09, 0x80, 0x00, 0x01, 0x05]);
        assert_eq!(
            header,
            FrameHeader {
                length: 0x0001_0203,
                kind: kind::DATA,
                flags: flag::END_STREAM | flag::PADDED,
                reserved: true,
                stream: 0x105,
            }
        );
        assert!(header.is_valid() && !header.is_plausible(true));
    }

    #[test]
    fn lengths_and_streams_that_do_not_fit_the_type_are_invalid() {
        let header = |length, kind, flags, stream| FrameHeader {
            length,
            kind,
            flags,
            reserved: false,
            stream,
        };
        assert!(!header(7, kind::PING, 0, 0).is_valid());
        assert!(!header(8, kind::PING, 0, 1).is_valid());
        assert!(!header(5, kind::SETTINGS, 0, 0).is_valid());
        assert!(!header(6, kind::SETTINGS, flag::ACK, 0).is_valid());
        assert!(!header(3, kind::RST_STREAM, 0, 1).is_valid());
        assert!(!header(10, kind::DATA, 0, 0).is_valid());
        assert!(header(10, kind::DATA, 0, 1).is_plausible(false));
        assert!(!header(10, kind::DATA, 0, 2).is_plausible(false));
        assert!(!header(10, kind::DATA, flag::PRIORITY, 1).is_plausible(false));
        assert!(header(10, 42, 0xff, 1).is_valid());
        assert!(!header(10, 42, 0, 1).is_plausible(false));
    }
}
