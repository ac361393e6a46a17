//! The frame header (RFC 6455, 5.2).

/// Longest header: two octets, a 64-bit length and a masking key.
pub const MAX_HEADER_BYTES: usize = 14;

/// Longest payload of a control frame (RFC 6455, 5.5).
const MAX_CONTROL_BYTES: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opcode {
    /// More of the message before it.
    #[default]
    Continuation,
    /// A text message begins.
    Text,
    /// A binary message begins.
    Binary,
    /// The sender will send nothing more.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    /// Whether it may stand between the frames of a message.
    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// The message ends with this frame.
    pub fin: bool,
    /// permessage-deflate: the message is compressed (RFC 7692, 6).
    pub rsv1: bool,
    /// Kind.
    pub opcode: Opcode,
    /// Masking key; `None` for an unmasked frame.
    pub key: Option<[u8; 4]>,
    /// Bytes of payload.
    pub length: u64,
    /// The length is written in no more octets than it takes, as it must be.
    pub minimal: bool,
}

impl FrameHeader {
    /// Octets of a header, told by its second one.
    pub fn size(second: u8) -> usize {
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if second & 0x80 == 0 { 0 } else { 4 }
    }

    /// Reads a complete header; `None` where no peer may send it.
    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = octets.split_first_chunk()?;
        // RSV2 and RSV3 belong to no extension that is known here.
        if first & 0x30 != 0 {
            return None;
        }
        let (length, minimal, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = u64::from(u16::from_be_bytes(*length));
                (length, length > 125, rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                let length = u64::from_be_bytes(*length);
                (length, length > u64::from(u16::MAX), rest)
            }
            length => (u64::from(length), true, rest),
        };
        let header = Self {
            fin: first & 0x80 != 0,
            rsv1: first & 0x40 != 0,
            opcode: Opcode::from_number(first & 0x0f)?,
            key: if second & 0x80 == 0 {
                None
            } else {
                Some(*rest.first_chunk()?)
            },
            length,
            minimal,
        };
        header.is_legal().then_some(header)
    }

    fn is_legal(&self) -> bool {
        let control = self.opcode.is_control();
        let whole = self.fin && self.length <= MAX_CONTROL_BYTES;
        // RSV1 stands on the first frame of a data message only (RFC 7692, 6).
        let compressible = matches!(self.opcode, Opcode::Text | Opcode::Binary);
        // The most significant bit of a length must be 0.
        self.length >> 63 == 0 && (!control || whole) && (!self.rsv1 || compressible)
    }
}
