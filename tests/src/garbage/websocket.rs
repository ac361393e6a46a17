//! Garbage for WebSocket servers.

use std::io::Write as _;

use super::Garbage;

/// Zeros that a compressed message blows up to.
const BOMB_BYTES: usize = 256 * 1024 * 1024;

/// For a WebSocket server: RFC 6455 and RFC 7692, bent.
pub fn websocket(path: &str) -> Vec<Garbage> {
    let opening = format!(
        "GET {path} HTTP/1.1\r\nHost: garbage\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    .into_bytes();
    // The mask of zeros leaves the payload as it is.
    let frame = |first: u8, length: u64, payload: &[u8]| {
        let head = [&[first, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        [&head[..], payload].concat()
    };
    let bomb = bomb();
    let upgraded = [
        Garbage::new("frame of 4 GiB", "cut_short", frame(0x81, 1 << 32, b"few")),
        Garbage::new(
            "frame of 2^63 bytes",
            "bad_frame",
            frame(0x82, 1 << 63, b"few"),
        ),
        Garbage::new(
            "frame header cut short",
            "cut_short",
            vec![0x81, 0xff, 0, 0],
        ),
        Garbage::new(
            "frame without mask",
            "bad_frame",
            vec![0x81, 5, b'h', b'e', b'l', b'l', b'o'],
        ),
        Garbage::new("reserved opcode", "bad_frame", frame(0x83, 3, b"abc")),
        Garbage::new("reserved bits", "bad_frame", frame(0xb1, 3, b"abc")),
        Garbage::new(
            "ping of 300 bytes",
            "bad_frame",
            frame(0x89, 300, &[b'p'; 300]),
        ),
        Garbage::new(
            "continuation of nothing",
            "bad_frame",
            frame(0x80, 3, b"abc"),
        ),
        Garbage::new(
            "fragments without end",
            "cut_short",
            [frame(0x01, 1, b"["), frame(0x00, 1, b"[").repeat(5000)].concat(),
        ),
        Garbage::new(
            "compressed message that is none",
            "bad_deflate",
            frame(0xc1, 9, &[0xfe; 9]),
        ),
        Garbage::new(
            "deflate bomb",
            "message_too_long",
            frame(0xc1, bomb.len() as u64, &bomb),
        ),
        Garbage::new(
            "JSON without end",
            None,
            frame(0x81, 30_000, &b"[{\"a\":".repeat(5000)),
        ),
    ];
    let mut all = vec![
        Garbage::new("request cut short", "cut_short", opening[..40].to_vec()),
        Garbage::new(
            "request without end",
            "bad_head",
            [b"GET / HTTP/1.1\r\n".to_vec(), b"X: y\r\n".repeat(20_000)].concat(),
        ),
    ];
    all.extend(upgraded.map(|garbage| garbage.after(&opening)));
    all
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
