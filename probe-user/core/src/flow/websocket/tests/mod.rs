//! A client and a server made of bytes, and what is seen of them.

mod ends;
mod handshake;
mod hostile;
mod late;
mod messages;
mod recorded;

use std::sync::{Arc, LazyLock};

use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::record::{Readability, SocketMessageForm};

static PROFILE: LazyLock<Arc<Profile>> = LazyLock::new(|| Arc::new(Profile::builtin()));

const CLIENT: Direction = Direction::Received;
const SERVER: Direction = Direction::Sent;

const REQUEST: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

fn response(extensions: &str) -> Vec<u8> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    match extensions {
        "" => format!("{head}\r\n").into_bytes(),
        _ => format!("{head}Sec-WebSocket-Extensions: {extensions}\r\n\r\n").into_bytes(),
    }
}

/// A frame of a server, or masked of a client.
fn frame(from: Direction, first: u8, payload: &[u8]) -> Vec<u8> {
    let masked = from == CLIENT;
    let mask_bit: u8 = if masked { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(mask_bit | length as u8),
        length @ 126..65536 => {
            bytes.push(mask_bit | 0x7e);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(mask_bit | 0x7f);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    let key = if masked {
        [0x37, 0xfa, 0x21, 0x3d]
    } else {
        [0; 4]
    };
    if masked {
        bytes.extend(key);
    }
    bytes.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

fn text(from: Direction, json: &str) -> Vec<u8> {
    frame(from, 0x81, json.as_bytes())
}

fn audio(number: u32) -> String {
    format!(
        r#"{{"type":"audio","pcm":"{}","frame_ms":20,"sequence":{number}}}"#,
        "QUJD".repeat(40)
    )
}

/// A sender that compresses.
struct Deflater(Compress);

impl Deflater {
    fn new() -> Self {
        Self(Compress::new(Compression::default(), false))
    }

    /// Payload of a compressed message (RFC 7692, 7.2.1).
    fn payload(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + 1024);
        self.0
            .compress_vec(message, &mut out, FlushCompress::Sync)
            .unwrap();
        out.truncate(out.len() - 4);
        out
    }

    fn text(&mut self, from: Direction, json: &str) -> Vec<u8> {
        frame(from, 0xc1, &self.payload(json.as_bytes()))
    }
}

/// What is seen of a connection: the server is the watched process.
struct Watched {
    connection: WebSocketConnection,
    notes: Notes,
    at: u64,
}

#[derive(Default)]
struct Notes {
    said: Vec<String>,
    problems: Vec<Problem>,
}

impl Sink for Notes {
    fn event(&mut self, _: crate::flow::Event<'_>) {
        panic!("no gRPC here");
    }

    fn websocket(&mut self, event: WebSocketEvent) {
        self.said.push(line(&event.what));
    }

    fn keep(&mut self, _: usize, _: usize) {
        panic!("no byte of a WebSocket connection is for a capture");
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

/// An event in a few words.
fn line(what: &WebSocketWhat) -> String {
    let end = |from: &Side| match from {
        Side::Client => "client",
        Side::Server => "server",
    };
    match what {
        WebSocketWhat::Upgraded { requested } => match requested {
            Some(at) => format!("upgraded, asked {}", at.0),
            None => "upgraded".to_owned(),
        },
        WebSocketWhat::Message { from, message } => {
            let form = match (message.form, message.readability) {
                (SocketMessageForm::Binary, _) => "binary",
                (SocketMessageForm::Unknown, _) => "unknown",
                (SocketMessageForm::Text, Readability::Partly) => "partly",
                (SocketMessageForm::Text, Readability::Whole) => "text",
            };
            let sequence = message.sequence.map(|number| number.to_string());
            let words = [Some(form), message.kind.as_deref(), sequence.as_deref()];
            let words: Vec<_> = words.into_iter().flatten().collect();
            format!("{}: {}", end(from), words.join(" "))
        }
        WebSocketWhat::MessagesLost { from } => format!("{} lost", end(from)),
        WebSocketWhat::Closing {
            from,
            code,
            keep_alive_timeout,
        } => {
            let code = code.map_or("-".to_owned(), |code| code.to_string());
            let silent = if *keep_alive_timeout { ", silent" } else { "" };
            format!("{} closes {code}{silent}", end(from))
        }
        WebSocketWhat::Ended(end) => format!("{end:?}"),
        WebSocketWhat::Traced(context) => format!("traced {}", context.trace),
    }
}

impl Watched {
    fn new(joined: Joined) -> Self {
        let budget = InflaterBudget::default();
        let profile = Arc::clone(&PROFILE);
        let id = ConnectionId(7);
        Self {
            connection: WebSocketConnection::new(id, Side::Server, joined, profile, budget),
            notes: Notes::default(),
            at: 0,
        }
    }

    /// A connection that agreed on these extensions.
    fn upgraded(extensions: &str) -> Self {
        let mut watched = Self::new(Joined::FromStart);
        watched.bytes(CLIENT, REQUEST);
        watched.bytes(SERVER, &response(extensions));
        assert_eq!(watched.take(), ["upgraded, asked 1"]);
        watched
    }

    fn bytes(&mut self, direction: Direction, bytes: &[u8]) {
        self.at += 1;
        let at = KtimeNs(self.at);
        self.connection
            .handle_bytes(direction, at, bytes, &mut self.notes);
    }

    fn hole(&mut self, direction: Direction, length: usize) {
        let at = KtimeNs(self.at);
        self.connection
            .handle_hole(direction, at, length as u64, &mut self.notes);
    }

    fn close(&mut self, end: ConnectionEnd) {
        let at = KtimeNs(self.at);
        self.connection.handle_closed(at, end, &mut self.notes);
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes.said)
    }
}
