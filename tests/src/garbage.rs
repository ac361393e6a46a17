//! What nobody should send: bytes that a parser must survive, on a connection of their own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a connection may take to be made, and each write or read on it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Seed of the random bytes: the same every time.
const SEED: u64 = 0x766f_7870_726f_6265;

/// Bytes of noise.
const NOISE_BYTES: usize = 64 * 1024;

/// Levels of RESP arrays in each other: some parsers overflow their stack at a few thousand.
const RESP_DEPTH: usize = 100_000;

/// Zeros that a compressed message blows up to.
const BOMB_BYTES: usize = 256 * 1024 * 1024;

/// What is sent on one connection, by name.
#[derive(Clone)]
pub struct Garbage {
    /// For people.
    pub name: &'static str,
    /// Sent first; the rest is sent when something came back. Empty where nothing is waited for.
    opening: Vec<u8>,
    rest: Vec<u8>,
}

impl Garbage {
    /// Sends it to a server and hangs up. Servers refuse it at some point: that is no failure.
    pub fn send(&self, to: SocketAddr) {
        let Ok(mut socket) = TcpStream::connect_timeout(&to, PATIENCE) else {
            panic!("{}: {to} does not accept", self.name);
        };
        let timeouts = socket
            .set_write_timeout(Some(PATIENCE))
            .and_then(|()| socket.set_read_timeout(Some(PATIENCE)));
        timeouts.expect("set a time-out");
        if !self.opening.is_empty() {
            let answered = socket
                .write_all(&self.opening)
                .and_then(|()| socket.read(&mut [0; 4096]));
            assert!(
                answered.is_ok_and(|bytes| bytes > 0),
                "{}: {to} does not answer",
                self.name
            );
        }
        // Refused half-way: the server saw enough.
        let _refused = socket.write_all(&self.rest);
        let _gone = socket.shutdown(std::net::Shutdown::Write);
        // Lets the server read what is on its way before the connection is reset.
        let _answer = socket.read(&mut [0; 4096]);
    }

    fn plain(name: &'static str, rest: Vec<u8>) -> Self {
        Self {
            name,
            opening: Vec::new(),
            rest,
        }
    }
}

/// For any server.
pub fn noise() -> Vec<Garbage> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut bytes = vec![0; NOISE_BYTES];
    random.fill(&mut bytes);
    vec![
        Garbage::plain("noise", bytes),
        Garbage::plain("nothing", Vec::new()),
        Garbage::plain("zeros", vec![0; NOISE_BYTES]),
        Garbage::plain("ones", vec![0xff; NOISE_BYTES]),
    ]
}

/// For a gRPC server: RFC 9113 and the gRPC message prefix, bent.
pub fn grpc() -> Vec<Garbage> {
    let opening = crate::traffic::client_opening();
    let frame = |length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let [_, length @ ..] = length.to_be_bytes();
        let head = [&length[..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head[..], payload].concat()
    };
    let after_opening = |name, rest| Garbage {
        name,
        opening: opening.clone(),
        rest,
    };
    // HEADERS of `POST /tts.TTSService/Synthesize`, literals without indexing (RFC 7541, 6.2.2).
    let mut block = vec![0x83, 0x86];
    for (name, value) in [
        (":path", "/tts.TTSService/Synthesize"),
        (":authority", "garbage"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        block.extend([&[0, name.len() as u8], name.as_bytes()].concat());
        block.extend([&[value.len() as u8], value.as_bytes()].concat());
    }
    let call = frame(block.len() as u32, 1, 4, 1, &block);
    let huge_message = [&[0, 0xff, 0xff, 0xff, 0xff][..], &[7; 512]].concat();
    vec![
        Garbage::plain("preface cut short", opening[..11].to_vec()),
        after_opening(
            "frame of 16 MiB cut short",
            frame(0x00ff_ffff, 0, 0, 1, b"few"),
        ),
        after_opening("frame header cut short", vec![0, 0, 9, 1]),
        after_opening("header block that is none", frame(64, 1, 4, 1, &[0xff; 64])),
        after_opening(
            "continuation without end",
            [
                frame(1, 1, 0, 1, &[0x82]),
                frame(1, 9, 0, 1, &[0x84]).repeat(5000),
            ]
            .concat(),
        ),
        after_opening(
            "message of 4 GiB",
            [&call[..], &frame(517, 0, 0, 1, &huge_message)].concat(),
        ),
        after_opening(
            "message cut short",
            [
                &call[..],
                &frame(9, 0, 1, 1, &[0, 0, 0, 0, 200, 10, 200, 1, 65]),
            ]
            .concat(),
        ),
        after_opening(
            "resets without end",
            [&call[..], &frame(4, 3, 0, 1, &[0, 0, 0, 8]).repeat(2000)].concat(),
        ),
    ]
}

/// For a WebSocket server: RFC 6455 and RFC 7692, bent.
pub fn websocket(path: &str) -> Vec<Garbage> {
    let opening = format!(
        "GET {path} HTTP/1.1\r\nHost: garbage\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    .into_bytes();
    let upgraded = |name, rest| Garbage {
        name,
        opening: opening.clone(),
        rest,
    };
    // The mask of zeros leaves the payload as it is.
    let frame = |first: u8, length: u64, payload: &[u8]| {
        let head = [&[first, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        [&head[..], payload].concat()
    };
    let bomb = bomb();
    vec![
        Garbage::plain("request cut short", opening[..40].to_vec()),
        Garbage::plain(
            "request without end",
            [b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(20_000)].concat(),
        ),
        upgraded("frame of 4 GiB", frame(0x81, 1 << 32, b"few")),
        upgraded("frame of 2^63 bytes", frame(0x82, 1 << 63, b"few")),
        upgraded("frame header cut short", vec![0x81, 0xff, 0, 0]),
        upgraded(
            "frame without mask",
            vec![0x81, 5, b'h', b'e', b'l', b'l', b'o'],
        ),
        upgraded("reserved opcode", frame(0x83, 3, b"abc")),
        upgraded("reserved bits", frame(0xb1, 3, b"abc")),
        upgraded("ping of 300 bytes", frame(0x89, 300, &[b'p'; 300])),
        upgraded("continuation of nothing", frame(0x80, 3, b"abc")),
        upgraded(
            "fragments without end",
            [frame(0x01, 1, b"["), frame(0x00, 1, b"[").repeat(5000)].concat(),
        ),
        upgraded(
            "compressed message that is none",
            frame(0xc1, 9, &[0xfe; 9]),
        ),
        upgraded("deflate bomb", frame(0xc1, bomb.len() as u64, &bomb)),
        upgraded(
            "JSON without end",
            frame(0x81, 30_000, &b"[{\"a\":".repeat(5000)),
        ),
    ]
}

/// For a Redis server: RESP, bent.
pub fn resp() -> Vec<Garbage> {
    vec![
        Garbage::plain("arrays in arrays", b"*1\r\n".repeat(RESP_DEPTH)),
        Garbage::plain(
            "string of 4 GiB",
            b"*2\r\n$3\r\nGET\r\n$4294967296\r\nfew".to_vec(),
        ),
        Garbage::plain("array of a million", b"*1048576\r\n$4\r\nPING\r\n".to_vec()),
        Garbage::plain("negative length", b"*2\r\n$-7\r\n\r\n".to_vec()),
        Garbage::plain(
            "length that is none",
            b"*1\r\n$99999999999999999999\r\n".to_vec(),
        ),
        Garbage::plain("inline without end", vec![b'a'; 200_000]),
        Garbage::plain("request cut short", b"*3\r\n$3\r\nSET\r\n$1".to_vec()),
    ]
}

/// A message of zeros, compressed as permessage-deflate has it: without the four octets at its end
/// (RFC 7692, 7.2.1).
fn bomb() -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..BOMB_BYTES / zeros.len() {
        encoder.write_all(&zeros).expect("write to memory");
    }
    encoder.finish().expect("write to memory")
}
