//! gRPC messages in one direction of a captured connection, read apart from the agent's own
//! decoders (RFC 9113 section 4.1; gRPC over HTTP/2, "Length-Prefixed-Message").

use std::collections::BTreeMap;

use crate::capture::Stream;

/// Size of a frame header, in bytes.
const HEADER_BYTES: usize = 9;

/// Size of the gRPC message prefix, in bytes: compressed flag and length.
const PREFIX_BYTES: usize = 5;

/// Frame type DATA.
const DATA: u8 = 0;

/// Flag PADDED.
const PADDED: u8 = 8;

/// One gRPC message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// When its first byte was sent or received, in monotonic nanoseconds.
    pub at_ns: u64,
    /// Its length without prefix, in bytes.
    pub length: u32,
}

/// A message whose prefix or content is not complete.
#[derive(Default)]
struct Partial {
    prefix: Vec<u8>,
    at_ns: u64,
    left: usize,
}

/// The messages of each HTTP/2 stream, in order. `preface` is what precedes the first frame.
pub fn messages(stream: &Stream<'_>, preface: usize) -> BTreeMap<u32, Vec<Message>> {
    let bytes = stream.bytes();
    let mut messages: BTreeMap<u32, Vec<Message>> = BTreeMap::new();
    let mut partial: BTreeMap<u32, Partial> = BTreeMap::new();
    let mut at = preface;
    while let Some(header) = bytes.get(at..at + HEADER_BYTES) {
        let &[l2, l1, l0, kind, flags, s3, s2, s1, s0] = header else {
            unreachable!("nine bytes")
        };
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        let id = u32::from_be_bytes([s3, s2, s1, s0]) & 0x7fff_ffff;
        at += HEADER_BYTES;
        if kind == DATA {
            assert_eq!(flags & PADDED, 0, "no peer here pads");
            let payload = bytes.get(at..(at + length).min(bytes.len()));
            let state = partial.entry(id).or_default();
            let found = messages.entry(id).or_default();
            for position in at..at + payload.unwrap_or_default().len() {
                state.take(position, &bytes, stream, found);
            }
        }
        at += length;
    }
    messages
}

impl Partial {
    fn take(
        &mut self,
        position: usize,
        bytes: &[u8],
        stream: &Stream<'_>,
        found: &mut Vec<Message>,
    ) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        if self.prefix.is_empty() {
            self.at_ns = stream.time_of(position as u64).expect("the byte was seen");
        }
        self.prefix.push(bytes[position]);
        if let [_, l3, l2, l1, l0] = self.prefix[..] {
            let length = u32::from_be_bytes([l3, l2, l1, l0]);
            found.push(Message {
                at_ns: self.at_ns,
                length,
            });
            self.left = length as usize;
            self.prefix = Vec::with_capacity(PREFIX_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Capture;
    use probe_core::record::{ConnectionId, Direction};

    fn chunk(offset: u64, enter: u64, bytes: &[u8], holes: &str) -> String {
        let length = bytes.len() + if holes.is_empty() { 0 } else { 3 };
        format!(
            "{{\"Chunk\":{{\"connection\":1,\"direction\":\"Sent\",\"tid\":1,\"offset\":{offset},\
             \"enter\":{enter},\"exit\":0,\"length\":{length},\"bytes\":{bytes:?},\
             \"holes\":[{holes}]}}}}"
        )
    }

    #[test]
    fn message_over_two_frames_and_chunks_counts_from_its_first_byte() {
        let first = [0, 0, 6, 0, 0, 0, 0, 0, 3, 0, 0, 0];
        let second = [0, 4, 9, 0, 0, 3, 0, 0, 0, 0, 0, 3];
        let hole = "{\"at\":12,\"length\":3,\"reason\":\"Elided\"}";
        let third = [0, 0, 5, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0];
        let text = [
            chunk(0, 10, &first, ""),
            chunk(12, 20, &second, hole),
            chunk(27, 30, &third, ""),
        ];
        let capture = Capture::parse(&text.join("\n"));
        let stream = capture.stream(ConnectionId(1), Direction::Sent);
        assert_eq!(stream.discontinuity(), None);
        let message = |at_ns, length| vec![Message { at_ns, length }];
        let expected = [(3, message(10, 4)), (5, message(30, 0))];
        assert_eq!(messages(&stream, 0), expected.into());
    }
}
