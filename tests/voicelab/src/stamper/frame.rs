//! HTTP/2 frames as the timing reference needs them (RFC 9113 section 4.1), and the few it sends.

use bytes::Bytes;
use prost::Message;

use crate::proto::AudioFrame;

/// What a client sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Size of a frame header, in bytes (RFC 9113 section 4.1).
pub(crate) const HEADER_BYTES: usize = 9;

/// Largest frame payload, in bytes: the initial `SETTINGS_MAX_FRAME_SIZE`, which is never raised
/// here (RFC 9113 section 6.5.2).
pub(crate) const MAX_PAYLOAD_BYTES: usize = 16_384;

/// Size of the gRPC message prefix, in bytes: compressed flag and length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Frame types (RFC 9113 section 6).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
}

/// Frame flags (RFC 9113 section 6).
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// `:status: 200` (static index 8) and `content-type: application/grpc`, name index 31, without
/// indexing (RFC 7541 section 6.2.2).
const RESPONSE_BLOCK: &[u8] = b"\x88\x0f\x10\x10application/grpc";

/// `grpc-status: 0` as a literal without indexing.
const TRAILER_BLOCK: &[u8] = b"\x00\x0bgrpc-status\x010";

/// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113 section 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 0x4;

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHeader {
    /// Reads a header.
    pub(crate) fn parse(bytes: [u8; HEADER_BYTES]) -> Self {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = bytes;
        Self {
            length: u32::from_be_bytes([0, l2, l1, l0]) as usize,
            kind,
            flags,
            // The top bit is reserved.
            stream: u32::from_be_bytes([s3, s2, s1, s0]) & 0x7fff_ffff,
        }
    }

    /// Whether `flag` is set.
    pub(crate) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A whole frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    let [_, length @ ..] = (payload.len() as u32).to_be_bytes();
    bytes.extend_from_slice(&length);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// The response headers of a gRPC call.
pub(crate) fn response_headers(stream: u32) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS, stream, RESPONSE_BLOCK)
}

/// The trailers that end a gRPC call with status 0.
pub(crate) fn trailers(stream: u32) -> Vec<u8> {
    frame(
        kind::HEADERS,
        flag::END_HEADERS | flag::END_STREAM,
        stream,
        TRAILER_BLOCK,
    )
}

/// One gRPC message in one DATA frame.
pub(crate) fn message(stream: u32, message: &impl Message) -> Vec<u8> {
    let encoded = message.encode_to_vec();
    let mut payload = Vec::with_capacity(PREFIX_BYTES + encoded.len());
    payload.push(0);
    payload.extend_from_slice(&(encoded.len() as u32).to_be_bytes());
    payload.extend_from_slice(&encoded);
    frame(kind::DATA, 0, stream, &payload)
}

/// One `AudioFrame` in one DATA frame.
pub(crate) fn audio(
    stream: u32,
    session: &str,
    sequence: i64,
    is_final: bool,
    samples: &Bytes,
) -> Vec<u8> {
    let audio = AudioFrame {
        session_id: session.to_owned(),
        audio_data: samples.clone(),
        sample_rate: 48_000,
        frame_duration_ms: 20,
        sequence_number: sequence,
        is_final,
    };
    message(stream, &audio)
}

/// An increment of the flow-control window of `stream` (0: of the connection).
pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// The payload of DATA or HEADERS without padding and priority; `None` if they exceed it.
pub(crate) fn without_padding(header: FrameHeader, payload: &[u8]) -> Option<&[u8]> {
    let (padding, mut content) = if header.has(flag::PADDED) {
        let (padding, content) = payload.split_first()?;
        (usize::from(*padding), content)
    } else {
        (0, payload)
    };
    if header.kind == kind::HEADERS && header.has(flag::PRIORITY) {
        content = content.get(5..)?;
    }
    content.get(..content.len().checked_sub(padding)?)
}

/// `SETTINGS_INITIAL_WINDOW_SIZE`, in bytes, if the payload of a SETTINGS frame has it.
pub(crate) fn initial_window(payload: &[u8]) -> Option<u32> {
    payload
        .as_chunks::<6>()
        .0
        .iter()
        .filter(|[id1, id0, ..]| u16::from_be_bytes([*id1, *id0]) == INITIAL_WINDOW_SIZE)
        .map(|[_, _, v3, v2, v1, v0]| u32::from_be_bytes([*v3, *v2, *v1, *v0]))
        .next_back()
}

/// The first gRPC message in `body`, once all of it is there.
pub(crate) fn first_message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_first_chunk::<PREFIX_BYTES>()?;
    let [_, l3, l2, l1, l0] = *prefix;
    rest.get(..u32::from_be_bytes([l3, l2, l1, l0]) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_header_survives_a_round_trip() {
        let bytes = frame(kind::DATA, flag::END_STREAM, 7, b"abc");
        let header = FrameHeader::parse(*bytes.first_chunk().unwrap());
        let expected = FrameHeader {
            length: 3,
            kind: kind::DATA,
            flags: flag::END_STREAM,
            stream: 7,
        };
        assert_eq!(header, expected);
        assert_eq!(&bytes[HEADER_BYTES..], b"abc");
    }

    #[test]
    fn header_blocks_decode_to_what_grpc_wants() {
        let decode = |block| loona_hpack::Decoder::new().decode(block).unwrap();
        let pair = |name: &str, value: &str| (name.into(), value.into());
        assert_eq!(
            decode(RESPONSE_BLOCK),
            [
                pair(":status", "200"),
                pair("content-type", "application/grpc")
            ]
        );
        assert_eq!(decode(TRAILER_BLOCK), [pair("grpc-status", "0")]);
    }

    #[test]
    fn padding_and_priority_are_cut_off_and_too_much_padding_is_refused() {
        let header = |flags| FrameHeader {
            length: 0,
            kind: kind::HEADERS,
            flags,
            stream: 1,
        };
        let both = header(flag::PADDED | flag::PRIORITY);
        assert_eq!(
            without_padding(both, b"\x02ppppp-abc--"),
            Some(b"-abc".as_slice())
        );
        assert_eq!(without_padding(header(flag::PADDED), b"\x09abc"), None);
        assert_eq!(without_padding(header(flag::PADDED), b""), None);
        assert_eq!(without_padding(header(flag::PRIORITY), b"abc"), None);
    }

    #[test]
    fn last_initial_window_of_a_settings_frame_counts() {
        let settings = [0, 3, 0, 0, 0, 1, 0, 4, 0, 0, 1, 0, 0, 4, 0, 0, 2, 0];
        assert_eq!(initial_window(&settings), Some(512));
        assert_eq!(initial_window(&settings[..6]), None);
    }

    #[test]
    fn first_message_waits_for_all_of_its_bytes() {
        let whole = message(
            1,
            &AudioFrame {
                sequence_number: 9,
                ..AudioFrame::default()
            },
        );
        let body = &whole[HEADER_BYTES..];
        for cut in 0..body.len() {
            assert_eq!(first_message(&body[..cut]), None);
        }
        assert_eq!(first_message(body), Some(&body[PREFIX_BYTES..]));
    }

    #[test]
    fn an_audio_frame_fits_one_data_frame() {
        let bytes = audio(1, "lab-0", 5, false, &Bytes::from_static(&[1; 1920]));
        assert!(bytes.len() <= HEADER_BYTES + MAX_PAYLOAD_BYTES);
    }
}
