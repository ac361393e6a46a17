//! Garbage for gRPC servers.

use super::Garbage;
use crate::traffic::client_opening;

/// For a gRPC server: RFC 9113 and the gRPC message prefix, bent.
pub fn grpc() -> Vec<Garbage> {
    let opening = client_opening();
    let frame = |length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]| {
        let [_, length @ ..] = length.to_be_bytes();
        let head = [&length[..], &[kind, flags], &stream.to_be_bytes()].concat();
        [&head[..], payload].concat()
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
    let after_opening = [
        Garbage::new(
            "frame of 16 MiB cut short",
            "cut_short",
            frame(0x00ff_ffff, 0, 0, 1, b"few"),
        ),
        Garbage::new("frame header cut short", "cut_short", vec![0, 0, 9, 1]),
        Garbage::new(
            "header block that is none",
            "bad_header_block",
            frame(64, 1, 4, 1, &[0xff; 64]),
        ),
        Garbage::new(
            "continuation without end",
            "cut_short",
            [
                frame(1, 1, 0, 1, &[0x82]),
                frame(1, 9, 0, 1, &[0x84]).repeat(5000),
            ]
            .concat(),
        ),
        Garbage::new(
            "message of 4 GiB",
            "bad_message_prefix",
            [&call[..], &frame(517, 0, 0, 1, &huge_message)].concat(),
        ),
        Garbage::new(
            "message cut short",
            "cut_short",
            [
                &call[..],
                &frame(9, 0, 1, 1, &[0, 0, 0, 0, 200, 10, 200, 1, 65]),
            ]
            .concat(),
        ),
        Garbage::new(
            "resets without end",
            None,
            [&call[..], &frame(4, 3, 0, 1, &[0, 0, 0, 8]).repeat(2000)].concat(),
        ),
    ];
    let mut all = vec![Garbage::new(
        "preface cut short",
        "cut_short",
        opening[..11].to_vec(),
    )];
    all.extend(after_opening.map(|garbage| garbage.after(&opening)));
    all
}
