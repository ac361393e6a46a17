//! Which protocol a connection speaks, by the first bytes of one direction.

use crate::wire::http2::{FrameHeader, HEADER_BYTES, PREFACE, kind};

/// The only method of a request for WebSocket (RFC 6455, 4.1).
const GET: &[u8] = b"GET ";

/// What the first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// An HTTP/2 client with prior knowledge (RFC 9113, 3.3).
    Http2Client,
    /// An HTTP/2 server: it starts with a SETTINGS frame (RFC 9113, 3.4).
    Http2Server,
    /// A Redis client: it starts with an array of bulk strings.
    RedisClient,
    /// An HTTP/1.1 client whose first request may become a WebSocket connection.
    Http1Client,
    /// Both are still possible, or one of them.
    NeedMore,
    /// Something else.
    Other,
}

/// Looks at the first bytes of one direction.
pub fn detect(first_bytes: &[u8]) -> Detection {
    if first_bytes.starts_with(PREFACE) {
        return Detection::Http2Client;
    }
    if PREFACE.starts_with(first_bytes) {
        return Detection::NeedMore;
    }
    if let Some(rest) = first_bytes.strip_prefix(b"*") {
        return redis(rest);
    }
    if first_bytes.starts_with(GET) {
        return Detection::Http1Client;
    }
    if GET.starts_with(first_bytes) {
        return Detection::NeedMore;
    }
    if let Some(octets) = first_bytes.first_chunk::<HEADER_BYTES>() {
        let header = FrameHeader::parse(octets);
        let settings = header.kind == kind::SETTINGS
            && header.flags == 0
            && !header.reserved
            && header.is_plausible(false);
        return if settings {
            Detection::Http2Server
        } else {
            Detection::Other
        };
    }
    // Length (two octets of zeros: a SETTINGS frame is short), one octet of it that is a multiple of
    // six, type, flags, stream 0.
    let fits = first_bytes
        .iter()
        .zip([
            Some(0),
            Some(0),
            None,
            Some(kind::SETTINGS),
            Some(0),
            Some(0),
            Some(0),
            Some(0),
        ])
        .all(|(octet, expected)| expected.map_or(octet % 6 == 0, |expected| *octet == expected));
    if fits {
        Detection::NeedMore
    } else {
        Detection::Other
    }
}

/// After the `*` of a request: its number of words, and the first one's type.
fn redis(rest: &[u8]) -> Detection {
    /// Digits of a request's number of words: it has at most 1 048 576.
    const MAX_DIGITS: usize = 7;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = rest.get(digits..).unwrap_or_default();
    let open = digits == 0 && !end.is_empty();
    if open || digits > MAX_DIGITS || rest.starts_with(b"0") {
        Detection::Other
    } else if end.starts_with(b"\r\n$") {
        Detection::RedisClient
    } else if b"\r\n$".starts_with(end) {
        Detection::NeedMore
    } else {
        Detection::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(bytes: &[u8]) -> Vec<Detection> {
        (0..=bytes.len())
            .map(|length| detect(&bytes[..length]))
            .collect()
    }

    #[test]
    fn client_is_detected_once_its_preface_is_complete() {
        let outcomes = outcomes(PREFACE);
        assert_eq!(outcomes[..PREFACE.len()], [Detection::NeedMore; 24]);
        assert_eq!(outcomes[PREFACE.len()], Detection::Http2Client);
    }

    #[test]
    fn server_is_detected_once_its_first_header_is_complete() {
        let outcomes = outcomes(&[0, 0, 12, 4, 0, 0, 0, 0, 0, 0]);
        assert_eq!(outcomes[..9], [Detection::NeedMore; 9]);
        assert_eq!(outcomes[9..], [Detection::Http2Server; 2]);
    }

    #[test]
    fn redis_client_is_detected_once_its_first_words_type_is_there() {
        let outcomes = outcomes(b"*12\r\n$3\r\nSET");
        assert_eq!(outcomes[..6], [Detection::NeedMore; 6]);
        assert_eq!(outcomes[6..], [Detection::RedisClient; 7]);
    }

    #[test]
    fn http1_client_is_detected_once_its_method_is_complete() {
        let outcomes = outcomes(b"GET /ws HTTP/1.1\r\n");
        assert_eq!(outcomes[..4], [Detection::NeedMore; 4]);
        assert_eq!(outcomes[4..], [Detection::Http1Client; 15]);
    }

    #[test]
    fn other_protocols_are_other() {
        for bytes in [
            &b"POST / HTTP/1.1\r\n"[..],
            b"GETX",
            b"PRI * HTTP/1.1\r\n",
            b"*1\r\n:4\r\n",
            b"*x",
            b"*0\r\n$",
            b"*12345678",
            b"HTTP/1.1 101 Switching",
            &[0x16, 0x03, 0x01, 0x00],
            &[0, 0, 13, 4],
            &[0, 0, 12, 4, 1, 0, 0, 0, 0],
        ] {
            assert_eq!(detect(bytes), Detection::Other, "{bytes:?}");
        }
    }
}
