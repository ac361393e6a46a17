//! HTTP/2 that says nothing: a connection's first frames, then frames of a type that every reader
//! ignores (RFC 9113 section 5.5), which may carry any bytes.

/// Bytes behind a client's opening in a first send that finds no room for all of it.
pub const FIRST_SEND_BYTES: usize = 400_000;

/// What a client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// An empty SETTINGS frame.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// Size of a frame header, in bytes.
const HEADER_BYTES: usize = 9;

/// Largest payload before any SETTINGS, in bytes (RFC 9113 section 6.5.2).
const MAX_PAYLOAD_BYTES: usize = 16_384;

/// A frame type that no specification defines.
const UNKNOWN: u8 = 0xfa;

/// A client's first bytes.
pub fn client_opening() -> Vec<u8> {
    [&PREFACE[..], &SETTINGS].concat()
}

/// A server's first bytes.
pub fn server_opening() -> Vec<u8> {
    SETTINGS.to_vec()
}

/// Exactly `bytes` bytes of whole frames; at least one frame header.
pub fn filler(bytes: usize) -> Vec<u8> {
    assert!(bytes >= HEADER_BYTES, "{bytes} bytes hold no frame");
    let mut frames = Vec::with_capacity(bytes);
    while frames.len() < bytes {
        let left = bytes - frames.len();
        let mut take = left.min(HEADER_BYTES + MAX_PAYLOAD_BYTES);
        // What is left must hold a frame header.
        if (1..HEADER_BYTES).contains(&(left - take)) {
            take -= HEADER_BYTES;
        }
        let payload = take - HEADER_BYTES;
        let [_, length @ ..] = (payload as u32).to_be_bytes();
        frames.extend_from_slice(&length);
        frames.extend_from_slice(&[UNKNOWN, 0, 0, 0, 0, 0]);
        frames.resize(frames.len() + payload, b'.');
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filler_is_whole_frames_of_the_wanted_size() {
        for bytes in [9, 10, 16_393, 16_394, 16_402, 40_000, 300_000] {
            let frames = filler(bytes);
            assert_eq!(frames.len(), bytes);
            let mut at = 0;
            while at < frames.len() {
                let length = u32::from_be_bytes([0, frames[at], frames[at + 1], frames[at + 2]]);
                assert_eq!(frames[at + 3], UNKNOWN);
                at += HEADER_BYTES + length as usize;
            }
            assert_eq!(at, frames.len());
        }
    }
}
