//! Two gRPC peers made of bytes, and a sink that writes down what is seen of them.

use std::sync::{Arc, LazyLock};

use crate::flow::{Blocked, Event, Http2Connection, Problem, Sink};
use crate::profile::Profile;
use crate::record::{ConnectionId, Direction, GapReason, Joined, KtimeNs, Side};
use crate::wire::http2::{PREFACE, flag, kind};

pub(in crate::flow) const CONNECTION: ConnectionId = ConnectionId(7);

/// What an audio payload is made of: must never be kept.
pub(in crate::flow) const AUDIO: u8 = 0xa5;

/// The text to speak: must never be kept.
pub(in crate::flow) const TEXT: &[u8] = b"speak THIS";

/// Metadata of the application: must never be kept either.
pub(in crate::flow) const TOKEN: &[u8] = b"Bearer SECRET";

/// One write of one peer.
#[derive(Clone, Debug)]
pub(in crate::flow) struct Push {
    pub(in crate::flow) from: Direction,
    pub(in crate::flow) bytes: Vec<u8>,
}

/// A client and a server with their header tables; the client is the watched process.
#[derive(Default)]
pub(in crate::flow) struct Peers {
    client: Encoder,
    server: Encoder,
}

/// Header encoder that does as grpc-core does: no Huffman; what is new goes into the table, what is
/// in the table is one index. The tests write less than the table holds.
#[derive(Default)]
struct Encoder {
    /// Oldest first.
    table: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Encoder {
    fn encode(&mut self, fields: &[(&[u8], &[u8])]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            let entry = (name.to_vec(), value.to_vec());
            let known = self.table.iter().rev().position(|known| *known == entry);
            match (*name, *value, known) {
                (b":method", b"POST", _) => block.push(0x83),
                (b":scheme", b"http", _) => block.push(0x86),
                (b":status", b"200", _) => block.push(0x88),
                (_, _, Some(position)) => block.push(0x80 | (62 + position) as u8),
                (_, _, None) => {
                    // `:path` has index 4 in the static table; other names are written out.
                    if *name == b":path" {
                        block.push(0x44);
                    } else {
                        block.extend([0x40, name.len() as u8]);
                        block.extend(*name);
                    }
                    block.push(value.len() as u8);
                    block.extend(*value);
                    self.table.push(entry);
                }
            }
        }
        block
    }
}

pub(in crate::flow) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(in crate::flow) fn message(body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

pub(in crate::flow) fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(kind::DATA, flags, stream, payload)
}

pub(in crate::flow) fn audio_frame(sequence: u8, bytes: usize) -> Vec<u8> {
    let mut body = b"\x0a\x02s1\x12".to_vec();
    body.extend(loona_hpack::encoder::encode_integer(bytes, 7));
    body.extend(std::iter::repeat_n(AUDIO, bytes));
    body.extend([0x18, 0x80, 0xf7, 0x02, 0x20, 0x14, 0x28, sequence]);
    message(&body)
}

pub(in crate::flow) fn text_chunk() -> Vec<u8> {
    let mut body = b"\x0a\x02s1\x12".to_vec();
    body.push(TEXT.len() as u8);
    body.extend(TEXT);
    body.extend([0x20, 0x01]);
    message(&body)
}

pub(in crate::flow) fn settings() -> Vec<u8> {
    frame(
        kind::SETTINGS,
        0,
        0,
        &[0, 3, 0, 0, 0, 100, 0, 4, 0, 64, 0, 0],
    )
}

pub(in crate::flow) fn ping() -> Vec<u8> {
    frame(kind::PING, 0, 0, b"12345678")
}

impl Peers {
    pub(in crate::flow) fn request_block(&mut self, method: &str) -> Vec<u8> {
        let path = format!("/tts.TTSService/{method}");
        self.client.encode(&[
            (&b":method"[..], &b"POST"[..]),
            (b":scheme", b"http"),
            (b":path", path.as_bytes()),
            (b":authority", b"localhost:7001"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
            (b"authorization", TOKEN),
        ])
    }

    /// A request for synthesis that says which trace it belongs to.
    pub(in crate::flow) fn traced(&mut self, stream: u32, contexts: &[&[u8]]) -> Vec<u8> {
        let mut block = self.request_block("Synthesize");
        for context in contexts {
            block.extend(self.client.encode(&[(b"traceparent", context)]));
        }
        frame(kind::HEADERS, flag::END_HEADERS, stream, &block)
    }

    pub(in crate::flow) fn request(&mut self, stream: u32, method: &str) -> Vec<u8> {
        let block = self.request_block(method);
        frame(kind::HEADERS, flag::END_HEADERS, stream, &block)
    }

    pub(in crate::flow) fn response(&mut self, stream: u32) -> Vec<u8> {
        let block = self.server.encode(&[
            (&b":status"[..], &b"200"[..]),
            (b"content-type", b"application/grpc"),
        ]);
        frame(kind::HEADERS, flag::END_HEADERS, stream, &block)
    }

    pub(in crate::flow) fn trailers(&mut self, stream: u32, status: &str) -> Vec<u8> {
        let block = self.server.encode(&[
            (&b"grpc-status"[..], status.as_bytes()),
            (b"grpc-message", b""),
        ]);
        let flags = flag::END_HEADERS | flag::END_STREAM;
        frame(kind::HEADERS, flags, stream, &block)
    }

    /// A connection with three calls: a session is opened, speech streams, a pause comes in between.
    pub(in crate::flow) fn conversation() -> Vec<Push> {
        let mut peers = Self::default();
        let mut pushes = Vec::new();
        let mut sent = |bytes: Vec<Vec<u8>>| {
            pushes.push(Push {
                from: Direction::Sent,
                bytes: bytes.concat(),
            });
            pushes.len() - 1
        };
        let end = flag::END_STREAM;
        let mut answers = Vec::new();
        sent(vec![PREFACE.to_vec(), settings()]);
        let open = message(b"\x0a\x02s1\x12\x05model");
        sent(vec![peers.request(1, "StartSession"), data(1, end, &open)]);
        answers.push(vec![settings(), peers.response(1)]);
        answers.push(vec![
            data(1, 0, &message(b"\x08\x01")),
            peers.trailers(1, "0"),
        ]);
        sent(vec![
            peers.request(3, "Synthesize"),
            data(3, 0, &text_chunk()),
        ]);
        answers.push(vec![peers.response(3), data(3, 0, &audio_frame(1, 40))]);
        for sequence in 2..5 {
            answers.push(vec![data(3, 0, &audio_frame(sequence, 40))]);
        }
        sent(vec![ping(), data(3, 0, &text_chunk())]);
        let pause = message(b"\x0a\x02s1");
        sent(vec![peers.request(5, "Control"), data(5, end, &pause)]);
        answers.push(vec![
            peers.response(5),
            data(5, 0, &message(b"\x08\x01\x12\x04done")),
            peers.trailers(5, "0"),
        ]);
        // Two messages in one DATA frame, one over two, then one frame a write again.
        let long = audio_frame(7, 60);
        let two = [audio_frame(5, 30), audio_frame(6, 30)].concat();
        answers.push(vec![
            data(3, 0, &two),
            data(3, 0, &long[..20]),
            data(3, 0, &long[20..]),
        ]);
        sent(vec![data(3, end, b"")]);
        for sequence in 8..11 {
            answers.push(vec![data(3, 0, &audio_frame(sequence, 40))]);
        }
        answers.push(vec![peers.trailers(3, "5")]);
        let mut order: Vec<Push> = Vec::new();
        let mut answers = answers.into_iter().map(|bytes| Push {
            from: Direction::Received,
            bytes: bytes.concat(),
        });
        // Answers per request push, in the order above.
        for (push, count) in pushes.into_iter().zip([0, 2, 4, 0, 2, 4]) {
            order.push(push);
            order.extend(answers.by_ref().take(count));
        }
        assert_eq!(answers.next().map(|push| push.bytes), None);
        order
    }
}

/// Writes down what is seen.
#[derive(Default)]
pub(in crate::flow) struct Notes {
    pub(in crate::flow) events: Vec<String>,
    pub(in crate::flow) problems: Vec<Problem>,
    pub(in crate::flow) kept: Vec<(usize, usize)>,
    pub(in crate::flow) masks: Vec<(usize, Vec<u8>)>,
    pub(in crate::flow) blocked: Vec<Blocked>,
}

impl Sink for Notes {
    fn event(&mut self, event: Event<'_>) {
        self.events.push(format!("{event:?}"));
    }

    fn keep(&mut self, start: usize, end: usize) {
        let last = self.kept.last().map_or(0, |(_, end)| end + 1);
        assert!(start < end && (start >= last || self.kept.is_empty()));
        self.kept.push((start, end));
    }

    fn mask(&mut self, start: usize, replacement: &[u8]) {
        self.masks.push((start, replacement.to_vec()));
    }

    fn blocked(&mut self, blocked: Blocked) {
        self.blocked.push(blocked);
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }
}

/// A connection under test, with its notes.
pub(in crate::flow) struct Watched {
    connection: Http2Connection,
    pub(in crate::flow) notes: Notes,
    pub(in crate::flow) at: u64,
}

/// What a capture holds of one push.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::flow) enum Piece {
    Bytes(Vec<u8>),
    Hole(u64, GapReason),
}

impl Watched {
    pub(in crate::flow) fn new(joined: Joined) -> Self {
        static PROFILE: LazyLock<Arc<Profile>> = LazyLock::new(|| Arc::new(Profile::builtin()));
        let profile = Arc::clone(&PROFILE);
        Self {
            connection: Http2Connection::new(CONNECTION, Side::Client, joined, profile),
            notes: Notes::default(),
            at: 0,
        }
    }

    /// Gives bytes; returns what a capture would hold of them.
    pub(in crate::flow) fn bytes(&mut self, from: Direction, bytes: &[u8]) -> Vec<Piece> {
        self.notes.kept.clear();
        let at = KtimeNs(self.at);
        self.connection
            .handle_bytes(from, at, bytes, &mut self.notes);
        let mut bytes = bytes.to_vec();
        for (start, mask) in self.notes.masks.drain(..) {
            bytes[start..start + mask.len()].copy_from_slice(&mask);
        }
        let mut pieces = Vec::new();
        let mut position = 0;
        for (start, end) in self.notes.kept.iter().copied() {
            pieces.push(Piece::Hole((start - position) as u64, GapReason::Elided));
            pieces.push(Piece::Bytes(bytes[start..end].to_vec()));
            position = end;
        }
        pieces.push(Piece::Hole(
            (bytes.len() - position) as u64,
            GapReason::Elided,
        ));
        pieces.retain(|piece| !matches!(piece, Piece::Hole(0, _)));
        pieces
    }

    pub(in crate::flow) fn hole(&mut self, from: Direction, length: u64, reason: GapReason) {
        let at = KtimeNs(self.at);
        self.connection
            .handle_hole(from, at, length, reason, &mut self.notes);
    }

    pub(in crate::flow) fn pieces(&mut self, from: Direction, pieces: &[Piece]) {
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => {
                    self.bytes(from, bytes);
                }
                Piece::Hole(length, reason) => self.hole(from, *length, *reason),
            }
        }
    }

    pub(in crate::flow) fn half_close(&mut self, from: Direction) {
        let at = KtimeNs(self.at);
        self.connection
            .handle_half_closed(from, at, &mut self.notes);
    }

    pub(in crate::flow) fn close(&mut self) {
        self.connection
            .handle_closed(KtimeNs(self.at), &mut self.notes);
    }

    pub(in crate::flow) fn open_calls(&self) -> usize {
        self.connection.open_calls()
    }

    /// The events since last asked, one line each.
    pub(in crate::flow) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes.events)
    }
}
