//! The last calls that moved bytes, with the bytes, written by any thread.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::sync::{Mutex, PoisonError};

use memchr::memmem;

/// Calls kept, and bytes: seconds of a busy peer.
const MOST_CALLS: usize = 8192;
const MOST_BYTES: usize = 32 << 20;

/// Types of HTTP/2 frames. A frame begins with three bytes of length, one of type, one of flags and four of
/// the stream (RFC 9113, 4.1).
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// One call.
struct Call {
    at_ns: u64,
    fd: c_int,
    bytes: Vec<u8>,
}

struct Calls {
    calls: VecDeque<Call>,
    bytes: usize,
}

/// The last calls of one kind.
pub(crate) struct Log(Mutex<Calls>);

impl Log {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Calls {
            calls: VecDeque::new(),
            bytes: 0,
        }))
    }

    /// A call has moved these bytes.
    pub(crate) fn push(&self, at_ns: u64, fd: c_int, bytes: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += bytes.len();
        kept.calls.push_back(Call { at_ns, fd, bytes });
        while kept.calls.len() > MOST_CALLS || kept.bytes > MOST_BYTES {
            let oldest = kept.calls.pop_front();
            kept.bytes -= oldest.map_or(0, |call| call.bytes.len());
        }
    }

    /// The first call at or after a time that moved the end of these bytes.
    pub(crate) fn first_since(&self, since_ns: u64, bytes: &[u8]) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.first_since(since_ns, bytes)?;
        Some(kept.calls[index].at_ns)
    }

    /// The first call at or after a time that moved the header of the HTTP/2 stream on which this message
    /// was moved since then, or else the message itself.
    pub(crate) fn opening_since(&self, since_ns: u64, message: &[u8]) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.first_since(since_ns, message)?;
        let carrier = &kept.calls[index];
        let opening = stream_of(&carrier.bytes, message).and_then(|stream| {
            let mut before = kept.calls.range(..=index);
            before.find(|call| {
                call.at_ns >= since_ns && call.fd == carrier.fd && opens(&call.bytes, stream)
            })
        });
        Some(opening.unwrap_or(carrier).at_ns)
    }

    /// The last call that moved the end of these bytes.
    pub(crate) fn last(&self, bytes: &[u8]) -> Option<u64> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (0..kept.calls.len())
            .rev()
            .find(|index| kept.has_end(*index, bytes))
            .map(|index| kept.calls[index].at_ns)
    }
}

/// The stream of the DATA frame that begins with this message.
fn stream_of(bytes: &[u8], message: &[u8]) -> Option<[u8; 4]> {
    let (before, _) = bytes.split_at(memmem::find(bytes, message)?);
    let [.., DATA, _, a, b, c, d] = *before else {
        return None;
    };
    Some([a, b, c, d])
}

/// Whether a HEADERS frame of this stream is among them.
fn opens(bytes: &[u8], stream: [u8; 4]) -> bool {
    memmem::find_iter(bytes, &stream).any(|at| matches!(bytes.get(..at), Some([.., HEADERS, _])))
}

impl Calls {
    fn first_since(&self, since_ns: u64, bytes: &[u8]) -> Option<usize> {
        (0..self.calls.len())
            .filter(|index| self.calls[*index].at_ns >= since_ns)
            .find(|index| self.has_end(*index, bytes))
    }

    /// Whether these bytes end within a call's, begun there or in calls before it on the same socket.
    fn has_end(&self, index: usize, bytes: &[u8]) -> bool {
        let call = &self.calls[index];
        if memmem::find(&call.bytes, bytes).is_some() {
            return true;
        }
        let mut before = bytes.len().saturating_sub(1);
        let mut parts = vec![&call.bytes[..call.bytes.len().min(before)]];
        for earlier in self.calls.range(..index).rev() {
            if before == 0 {
                break;
            }
            if earlier.fd == call.fd {
                let from = earlier.bytes.len().saturating_sub(before);
                parts.push(&earlier.bytes[from..]);
                before -= earlier.bytes.len() - from;
            }
        }
        parts.reverse();
        memmem::find(&parts.concat(), bytes).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_is_opened_by_its_header_or_else_by_its_message() {
        let frame = |kind: u8, stream: u8, payload: &[u8]| {
            [&[0, 0, 9, kind, 4, 0, 0, 0, stream], payload].concat()
        };
        let log = Log::new();
        log.push(10, 3, frame(HEADERS, 5, b"head"));
        log.push(11, 4, frame(HEADERS, 7, b"head"));
        log.push(12, 3, frame(HEADERS, 7, b"head"));
        log.push(20, 3, frame(DATA, 7, b"text"));
        assert_eq!(log.first_since(0, b"text"), Some(20));
        assert_eq!(log.opening_since(0, b"text"), Some(12));
        assert_eq!(log.opening_since(13, b"text"), Some(20));
        log.push(30, 3, frame(DATA, 5, b"moretext"));
        assert_eq!(log.opening_since(21, b"text"), Some(30));
        assert_eq!(log.opening_since(0, b"none"), None);
    }

    #[test]
    fn bytes_are_found_whole_and_in_parts_until_they_are_overwritten() {
        let log = Log::new();
        assert_eq!((log.first_since(0, b"a"), log.last(b"a")), (None, None));
        log.push(10, 3, b"<one>".to_vec());
        log.push(20, 3, b"<tw".to_vec());
        log.push(25, 4, b"<one>".to_vec());
        log.push(30, 3, b"o".to_vec());
        log.push(40, 3, b"><three>".to_vec());
        assert_eq!(log.first_since(0, b"one"), Some(10));
        assert_eq!(log.first_since(11, b"one"), Some(25));
        assert_eq!(log.last(b"one"), Some(25));
        assert_eq!(log.first_since(0, b"two>"), Some(40));
        assert_eq!(log.last(b"<two>"), Some(40));
        assert_eq!(log.last(b"<two"), Some(30));
        assert_eq!(log.last(b"tw<one"), None);
        for at_ns in 0..MOST_CALLS as u64 {
            log.push(100 + at_ns, 3, b"-".to_vec());
        }
        assert_eq!(log.last(b"one"), None);
    }
}
