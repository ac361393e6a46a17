//! Heads of HTTP/1.1 messages (RFC 9112), as far as the upgrade to another protocol needs them.
//!
//! Takes one direction's bytes as they come, cut anywhere, until the head is complete; gives the few
//! facts that tell whether the connection changes to WebSocket and where the message ends.

use super::traceparent;
use super::websocket::Extensions;
use crate::record::TraceContext;

/// Longest head in bytes: what Python's servers accept at most is 16 KiB (h11) or 8 KiB a line.
pub const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Most header fields in a head: common servers take 100 or 128.
const MAX_FIELDS: usize = 128;

/// What follows a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// This many bytes (`Content-Length`, RFC 9112, 6.2).
    Length(u64),
    /// Something whose end is not looked for (chunked, or until the connection closes).
    Unbounded,
    /// The head does not say.
    #[default]
    Unsaid,
}

/// A request's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// It asks for WebSocket (RFC 6455, 4.2.1).
    pub websocket: bool,
    /// Its method is HEAD: the response has no body.
    pub head: bool,
    /// Its body.
    pub body: Body,
    /// The trace that it belongs to (W3C Trace Context, 3.2), where it says one.
    pub trace: Option<TraceContext>,
}

/// A response's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// It names WebSocket as the protocol to switch to (RFC 6455, 4.2.2).
    pub websocket: bool,
    /// Extensions that the server agreed to.
    pub extensions: Extensions,
    /// Its body.
    pub body: Body,
}

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is no HTTP/1.
    #[error("not a head of HTTP/1")]
    Bad,
    /// It is longer than [`MAX_HEAD_BYTES`] or has too many fields.
    #[error("head is too long")]
    TooLong,
}

/// A head being collected.
#[derive(Debug, Default)]
pub struct Collector {
    bytes: Vec<u8>,
}

impl Collector {
    /// Whether a head has begun.
    pub fn has_begun(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes a run of `input`: the bytes used, and the head once it is complete.
    fn take(&mut self, input: &[u8]) -> Result<(usize, bool), HeadError> {
        let before = self.bytes.len();
        let room = MAX_HEAD_BYTES - before.min(MAX_HEAD_BYTES);
        let taken = input.get(..room).unwrap_or(input);
        self.bytes.extend_from_slice(taken);
        // An empty line: the last three bytes before may begin it.
        let from = before.saturating_sub(3);
        let new = self.bytes.get(from..).unwrap_or_default();
        let end = (0..new.len()).find_map(|at| {
            let rest = new.get(at..).unwrap_or_default();
            [&b"\n\r\n"[..], b"\n\n"]
                .iter()
                .find_map(|line| rest.starts_with(line).then_some(from + at + line.len()))
        });
        match end {
            Some(end) => {
                self.bytes.truncate(end);
                Ok((end - before, true))
            }
            None if taken.len() < input.len() || room == 0 => Err(HeadError::TooLong),
            None => Ok((taken.len(), false)),
        }
    }

    /// Takes a run of a client's direction: the bytes used, and the head once it is complete.
    pub fn request(&mut self, input: &[u8]) -> Result<(usize, Option<Request>), HeadError> {
        let (used, complete) = self.take(input)?;
        if !complete {
            return Ok((used, None));
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        parsed(head.parse(&self.bytes))?;
        let (mut facts, method) = (Facts::default(), head.method.unwrap_or_default());
        facts.read(head.headers)?;
        let request = Request {
            websocket: method == "GET"
                && head.version == Some(1)
                && facts.upgrades
                && facts.is_websocket,
            head: method == "HEAD",
            // Without a length a request has no body (RFC 9112, 6.3).
            body: facts.body,
            trace: facts.trace.context(),
        };
        self.bytes = Vec::new();
        Ok((used, Some(request)))
    }

    /// As [`Collector::request`] for a server's direction.
    pub fn response(&mut self, input: &[u8]) -> Result<(usize, Option<Response>), HeadError> {
        let (used, complete) = self.take(input)?;
        if !complete {
            return Ok((used, None));
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        parsed(head.parse(&self.bytes))?;
        let mut facts = Facts::default();
        facts.read(head.headers)?;
        let response = Response {
            status: head.code.unwrap_or_default(),
            websocket: facts.upgrades && facts.is_websocket,
            extensions: facts.extensions,
            body: facts.body,
        };
        self.bytes = Vec::new();
        Ok((used, Some(response)))
    }
}

fn parsed(outcome: httparse::Result<usize>) -> Result<(), HeadError> {
    match outcome {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLong),
        Ok(httparse::Status::Partial) | Err(_) => Err(HeadError::Bad),
    }
}

/// What the fields of a head say.
#[derive(Default)]
struct Facts {
    upgrades: bool,
    is_websocket: bool,
    extensions: Extensions,
    body: Body,
    trace: traceparent::Said,
}

impl Facts {
    fn read(&mut self, fields: &[httparse::Header<'_>]) -> Result<(), HeadError> {
        for field in fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            if is("connection") {
                self.upgrades |= has_token(field.value, b"upgrade");
            } else if is("upgrade") {
                self.is_websocket |= has_token(field.value, b"websocket");
            } else if is("sec-websocket-extensions") {
                self.extensions.add(field.value);
            } else if is("traceparent") {
                self.trace.add(field.value);
            } else if is("transfer-encoding") {
                self.body = Body::Unbounded;
            } else if is("content-length") && self.body != Body::Unbounded {
                let text = std::str::from_utf8(field.value).map_err(|_| HeadError::Bad)?;
                let length = text.trim().parse().map_err(|_| HeadError::Bad)?;
                self.body = Body::Length(length);
            }
        }
        Ok(())
    }
}

/// Whether a comma-separated list has a token, in any case.
fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::Deflate;

    const REQUEST: &[u8] = b"GET /ws?token=x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, \
        Upgrade\r\nupgrade: WebSocket\r\nSec-WebSocket-Extensions: permessage-deflate; \
        client_max_window_bits\r\n\r\n";
    const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Extensions: permessage-deflate; \
        server_no_context_takeover; server_max_window_bits=\"12\"\r\n\r\n";

    #[test]
    fn upgrade_request_is_read_at_every_split_point() {
        for cut in 0..REQUEST.len() {
            let (first, second) = REQUEST.split_at(cut);
            let mut collector = Collector::default();
            assert_eq!(collector.request(first), Ok((cut, None)), "{cut}");
            let rest = [second, b"\x81\x00"].concat();
            let (used, head) = collector.request(&rest).unwrap();
            assert_eq!(used, second.len(), "{cut}: what follows is not used");
            let head = head.unwrap();
            assert!(head.websocket && !head.head && head.body == Body::Unsaid);
        }
    }

    #[test]
    fn switching_response_tells_the_extensions_at_every_split_point() {
        for cut in 0..RESPONSE.len() {
            let (first, second) = RESPONSE.split_at(cut);
            let mut collector = Collector::default();
            assert_eq!(collector.response(first), Ok((cut, None)), "{cut}");
            let (_, head) = collector.response(second).unwrap();
            let head = head.unwrap();
            assert!(head.websocket && head.status == 101);
            let deflate = Deflate {
                server_no_context_takeover: true,
                client_no_context_takeover: false,
            };
            assert_eq!(head.extensions.deflate, Some(deflate));
        }
    }

    #[test]
    fn trace_is_what_one_header_says() {
        let trace = |fields: &str| {
            request(&format!("GET / HTTP/1.1\r\n{fields}\r\n"))
                .unwrap()
                .trace
        };
        let field = "TraceParent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n";
        assert!(trace(field).is_some_and(|context| context.sampled));
        assert_eq!(trace(&field.repeat(2)), None, "which one holds is unknown");
        assert_eq!(trace("traceparent: 00-1-2-3\r\n"), None);
        assert_eq!(trace(""), None);
    }

    fn request(head: &str) -> Result<Request, HeadError> {
        let (_, head) = Collector::default().request(head.as_bytes())?;
        Ok(head.expect("complete"))
    }

    #[test]
    fn request_without_all_of_the_upgrade_is_none() {
        for head in [
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            "GET / HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
            "GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            "POST / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        ] {
            assert!(!request(head).unwrap().websocket, "{head}");
        }
    }

    #[test]
    fn body_is_as_long_as_the_head_says() {
        let body = |fields: &str| {
            let head = request(&format!("HEAD / HTTP/1.1\r\n{fields}\r\n"));
            head.map(|head| head.body)
        };
        assert_eq!(body(""), Ok(Body::Unsaid));
        assert_eq!(body("Content-Length: 12\r\n"), Ok(Body::Length(12)));
        let both = "Content-Length: 12\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n";
        assert_eq!(body(both), Ok(Body::Unbounded));
        assert_eq!(body("Content-Length: -1\r\n"), Err(HeadError::Bad));
        let huge = "Content-Length: 99999999999999999999\r\n";
        assert_eq!(body(huge), Err(HeadError::Bad));
    }

    #[test]
    fn head_that_is_too_long_or_nonsense_is_an_error() {
        let mut collector = Collector::default();
        let mut outcome = Ok((0, None));
        for _ in 0..1100 {
            outcome = collector.request(b"GET / HTTP/1.1 ");
            if outcome.is_err() {
                break;
            }
        }
        assert_eq!(outcome, Err(HeadError::TooLong));
        assert!(collector.bytes.len() <= MAX_HEAD_BYTES);
        let fields = "a: b\r\n".repeat(MAX_FIELDS + 1);
        let many = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(request(&many), Err(HeadError::TooLong));
        assert_eq!(request("\0\x01\x02 x\r\n\r\n"), Err(HeadError::Bad));
        let status = Collector::default().response(b"HTTP/1.1 1x1 No\r\n\r\n");
        assert_eq!(status, Err(HeadError::Bad));
    }
}
