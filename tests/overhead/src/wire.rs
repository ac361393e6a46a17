//! The bytes of one gRPC call as a text-to-speech worker and its client exchange them, so that the
//! probe follows the connection and decodes every message, as it does in service.

/// Bytes of one write: one DATA frame with one audio message. Audio of 20 ms at 48 kHz is 1920.
pub(crate) const WRITE_BYTES: usize = 2048;

/// RFC 9113, section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Octets of a frame header (RFC 9113, section 4.1).
const FRAME_HEADER_BYTES: usize = 9;
/// Frame types (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const WINDOW_UPDATE: u8 = 8;
/// Flag of HEADERS and DATA (RFC 9113, sections 6.1 and 6.2).
pub(crate) const END_STREAM: u8 = 1;
/// Flag of HEADERS (RFC 9113, section 6.2).
pub(crate) const END_HEADERS: u8 = 4;
/// The windows' highest value, the setting that gives streams theirs, and the value that windows have
/// before (RFC 9113, sections 6.9.1, 6.5.2 and 6.9.2).
const MAX_WINDOW: u32 = (1 << 31) - 1;
const INITIAL_WINDOW_SIZE: u16 = 4;
const DEFAULT_WINDOW: u32 = 65535;
/// Octets before a gRPC message: compressed flag and length.
const GRPC_PREFIX_BYTES: usize = 5;
/// Octets of the sequence number: a varint that is always written at full length, so that it can
/// be replaced in place. Protobuf allows it.
const SEQUENCE_BYTES: usize = 5;

/// The client's stream number `index`: odd numbers (RFC 9113, section 5.1.1).
pub(crate) fn stream(index: u32) -> u32 {
    2 * index + 1
}

/// What the client sends first: preface, SETTINGS and the HEADERS of so many calls.
pub(crate) fn client_opening(calls: u32) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let block = header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/tts.TTSService/Synthesize"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]);
    for call in 0..calls {
        frame(&mut bytes, HEADERS, END_HEADERS, stream(call), &block);
    }
    bytes
}

/// What the server sends first: SETTINGS and the answers' HEADERS.
pub(crate) fn server_opening(calls: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    let block = header_block(&[(":status", "200"), ("content-type", "application/grpc")]);
    for call in 0..calls {
        frame(&mut bytes, HEADERS, END_HEADERS, stream(call), &block);
    }
    bytes
}

/// The client's leave to send `bytes` more, on the connection and on its first stream.
pub(crate) fn window_updates(bytes: u32) -> Vec<u8> {
    let mut updates = Vec::new();
    for stream in [0, stream(0)] {
        frame(&mut updates, WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }
    updates
}

/// The client's leave to send two gigabytes, on the connection and on each stream.
pub(crate) fn wide_windows() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend(MAX_WINDOW.to_be_bytes());
    frame(&mut bytes, SETTINGS, 0, 0, &setting);
    let more = MAX_WINDOW - DEFAULT_WINDOW;
    frame(&mut bytes, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    bytes
}

/// One audio message in one DATA frame, [`WRITE_BYTES`] long.
pub(crate) struct AudioFrame {
    bytes: Vec<u8>,
}

impl AudioFrame {
    /// Of call number `call` on its connection; sessions are told apart by their numbers.
    pub(crate) fn new(call: u32, session: u32) -> Self {
        // Field numbers are those of `AudioFrame` in tests/data/tts.proto: 48 kHz, 20 ms. Sequence number
        // last.
        const TAIL: [u8; 6] = [3 << 3, 0x80, 0xF7, 0x02, 4 << 3, 20];
        let session = format!("bench-{session:04}");
        let mut message = vec![1 << 3 | 2, session.len() as u8];
        message.extend(session.as_bytes());
        let audio = WRITE_BYTES
            - FRAME_HEADER_BYTES
            - GRPC_PREFIX_BYTES
            - message.len()
            - 3
            - TAIL.len()
            - 1
            - SEQUENCE_BYTES;
        // Two octets of varint hold lengths from 128 to 16383.
        message.extend([2 << 3 | 2, audio as u8 & 0x7F | 0x80, (audio >> 7) as u8]);
        message.extend(std::iter::repeat_n(0, audio));
        message.extend(TAIL);
        message.push(5 << 3);
        message.extend([0; SEQUENCE_BYTES]);

        let mut payload = vec![0];
        payload.extend((message.len() as u32).to_be_bytes());
        payload.extend(message);
        let mut bytes = Vec::new();
        frame(&mut bytes, DATA, 0, stream(call), &payload);
        Self { bytes }
    }

    /// The bytes of the frame with this sequence number.
    pub(crate) fn numbered(&mut self, sequence: u32) -> &[u8] {
        let start = self.bytes.len() - SEQUENCE_BYTES;
        for (index, octet) in self.bytes[start..].iter_mut().enumerate() {
            let more = if index + 1 < SEQUENCE_BYTES { 0x80 } else { 0 };
            *octet = (u64::from(sequence) >> (7 * index)) as u8 & 0x7F | more;
        }
        &self.bytes
    }
}

/// One frame.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    // The length has three octets; every payload here is below 2^24.
    out.extend(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// Literal fields without indexing, names and values not compressed (RFC 7541, section 6.2.2).
pub(crate) fn header_block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // Below 127, where the length is one octet (RFC 7541, section 5.1).
            block.push(text.len() as u8);
            block.extend(text.as_bytes());
        }
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_frame_fills_one_write_and_its_lengths_agree() {
        let mut frame = AudioFrame::new(0, 0);
        let bytes = frame.numbered(1).to_vec();
        assert_eq!(bytes.len(), WRITE_BYTES);
        assert_eq!(
            bytes[..3],
            (WRITE_BYTES as u32 - FRAME_HEADER_BYTES as u32).to_be_bytes()[1..]
        );
        let message = WRITE_BYTES - FRAME_HEADER_BYTES - GRPC_PREFIX_BYTES;
        assert_eq!(bytes[10..14], (message as u32).to_be_bytes());
    }

    #[test]
    fn sequence_number_is_a_varint_of_constant_length() {
        let mut frame = AudioFrame::new(0, 0);
        let tail = |bytes: &[u8]| bytes[bytes.len() - SEQUENCE_BYTES..].to_vec();
        assert_eq!(tail(frame.numbered(300)), [0xAC, 0x82, 0x80, 0x80, 0]);
        assert_eq!(
            tail(frame.numbered(u32::MAX)),
            [0xFF, 0xFF, 0xFF, 0xFF, 0x0F]
        );
    }
}
