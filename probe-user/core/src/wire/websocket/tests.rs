//! Frames and compression by the examples of their standards, and what happens to anything else.

use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use super::*;

/// What a parser says, payload joined.
#[derive(Clone, Debug, PartialEq)]
enum Said {
    Start(Opcode, bool),
    Bytes(Vec<u8>),
    Hole,
    End,
    Ping,
    Pong,
    Close(Option<u16>),
    Lost(Loss),
}

#[derive(Default)]
struct Log(Vec<Said>);

impl Log {
    fn part(&mut self, part: Part<'_>) {
        let said = match part {
            Part::Nothing => return,
            Part::Payload(payload) => {
                let mut joined = Vec::new();
                payload.for_each(|bytes| joined.extend_from_slice(bytes));
                if let Some(Said::Bytes(before)) = self.0.last_mut() {
                    return before.extend(joined);
                }
                Said::Bytes(joined)
            }
            Part::PayloadHole => Said::Hole,
            Part::MessageStart { opcode, compressed } => Said::Start(opcode, compressed),
            Part::MessageEnd => Said::End,
            Part::Ping => Said::Ping,
            Part::Pong => Said::Pong,
            Part::Close { code } => Said::Close(code),
            Part::Lost(loss) => Said::Lost(loss),
        };
        self.0.push(said);
    }

    fn bytes(&mut self, parser: &mut Parser, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(step) = parser.step(rest) {
            let (used, part) = (step.used, step.part);
            rest = &rest[used..];
            self.part(part);
        }
    }

    fn hole(&mut self, parser: &mut Parser, length: u64) {
        let mut left = length;
        while let Some((used, part)) = parser.step_hole(left) {
            left -= used;
            self.part(part);
        }
    }
}

fn parse(from_client: bool, runs: &[&[u8]]) -> Vec<Said> {
    let (mut parser, mut log) = (Parser::from_start(from_client), Log::default());
    for run in runs {
        log.bytes(&mut parser, run);
    }
    log.0
}

/// What the bytes say, the same at every split point.
fn said(from_client: bool, bytes: &[u8]) -> Vec<Said> {
    let whole = parse(from_client, &[bytes]);
    for cut in 0..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(parse(from_client, &[first, second]), whole, "cut at {cut}");
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(parse(from_client, &single), whole, "byte by byte");
    whole
}

fn text(bytes: &[u8]) -> Vec<Said> {
    let bytes = Said::Bytes(bytes.to_vec());
    vec![Said::Start(Opcode::Text, false), bytes, Said::End]
}

/// RFC 6455, 5.7.
#[test]
fn examples_of_the_standard_are_read() {
    let hello = b"\x81\x05Hello";
    assert_eq!(said(false, hello), text(b"Hello"));
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(said(true, masked), text(b"Hello"));
    let fragmented = b"\x01\x03Hel\x80\x02lo";
    assert_eq!(said(false, fragmented), text(b"Hello"));
    assert_eq!(said(false, b"\x89\x05Hello"), [Said::Ping]);
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(said(true, pong), [Said::Pong]);
    let binary = |header: &[u8], length: usize| {
        let bytes = [header, &vec![7; length]].concat();
        let said = parse(false, &[&bytes]);
        let start = Said::Start(Opcode::Binary, false);
        assert_eq!(said, [start, Said::Bytes(vec![7; length]), Said::End]);
    };
    binary(&[0x82, 0x7e, 0x01, 0x00], 256);
    binary(&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], 65536);
}

#[test]
fn control_frames_stand_between_the_frames_of_a_message() {
    let bytes = b"\x01\x03Hel\x89\x04ping\x00\x00\x8a\x00\x80\x02lo\x88\x05\x03\xe8bye";
    let expected = [
        Said::Start(Opcode::Text, false),
        Said::Bytes(b"Hel".to_vec()),
        Said::Ping,
        Said::Pong,
        Said::Bytes(b"lo".to_vec()),
        Said::End,
        Said::Close(Some(1000)),
    ];
    assert_eq!(said(false, bytes), expected);
}

#[test]
fn close_frame_without_a_code_has_none() {
    assert_eq!(said(false, b"\x88\x00"), [Said::Close(None)]);
    assert_eq!(said(false, b"\x88\x01\x03"), [Said::Close(None)]);
    let masked = [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xf3 ^ 2];
    assert_eq!(said(true, &masked), [Said::Close(Some(1011))]);
}

#[test]
fn empty_message_begins_and_ends() {
    let expected = [Said::Start(Opcode::Text, false), Said::End];
    assert_eq!(said(false, b"\x81\x00"), expected);
    assert_eq!(said(true, b"\x81\x80abcd"), expected);
}

#[test]
fn frame_that_no_peer_may_send_loses_the_framing() {
    let bad = |from_client, bytes: &[u8]| {
        assert_eq!(
            said(from_client, bytes).last(),
            Some(&Said::Lost(Loss::BadFrame)),
            "{bytes:x?}"
        );
    };
    bad(false, b"\xa1\x00");
    bad(false, b"\x91\x00");
    bad(false, b"\x83\x00");
    bad(false, b"\x8b\x00");
    bad(false, b"\x09\x00");
    bad(false, b"\x89\x7e\x00\x7e");
    bad(false, b"\xc9\x00");
    bad(false, b"\x80\x00");
    bad(false, b"\x01\x00\xc0\x00");
    bad(false, b"\x01\x00\x81\x00");
    bad(false, b"\x82\x7f\x80\0\0\0\0\0\0\0");
    bad(false, b"\x81\x80abcd");
    bad(true, b"\x81\x00");
}

#[test]
fn length_of_four_gibibytes_and_more_allocates_nothing() {
    for length in [1_u64 << 32, i64::MAX as u64] {
        let (mut parser, mut log) = (Parser::from_start(false), Log::default());
        log.bytes(&mut parser, &[0x82, 0x7f]);
        log.bytes(&mut parser, &length.to_be_bytes());
        log.bytes(&mut parser, b"abc");
        log.hole(&mut parser, length - 4);
        assert!(!parser.is_between_frames());
        log.bytes(&mut parser, b"d\x81\x00");
        let tail = [
            Said::Bytes(b"abc".to_vec()),
            Said::Hole,
            Said::Bytes(b"d".to_vec()),
            Said::End,
            Said::Start(Opcode::Text, false),
            Said::End,
        ];
        assert_eq!(log.0[1..], tail);
    }
}

#[test]
fn hole_in_a_payload_keeps_the_framing_and_any_other_loses_it() {
    let frames =
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x81\x82abcdhi\x88\x82\0\0\0\0\x03\xe8";
    let inside = |from: usize, to: usize| {
        (6..11).contains(&from) && to <= 11 || (17..19).contains(&from) && to <= 19 || from >= 25
    };
    for from in 0..frames.len() {
        for to in from + 1..=frames.len() {
            let (mut parser, mut log) = (Parser::from_start(true), Log::default());
            log.bytes(&mut parser, &frames[..from]);
            log.hole(&mut parser, (to - from) as u64);
            log.bytes(&mut parser, &frames[to..]);
            let lost = log.0.contains(&Said::Lost(Loss::Hole));
            assert_eq!(lost, !inside(from, to), "{from}..{to}");
            if !lost {
                let close = if from >= 25 { None } else { Some(1000) };
                assert_eq!(log.0.last(), Some(&Said::Close(close)), "{from}..{to}");
            }
        }
    }
}

#[test]
fn parser_that_takes_up_the_framing_counts_what_speaks_for_it() {
    let frames = |bytes: &[u8]| {
        let (mut parser, mut log) = (Parser::resume(false), Log::default());
        log.bytes(&mut parser, bytes);
        (parser.frames(), parser.is_between_frames(), log.0.pop())
    };
    assert_eq!(frames(b"\x81\x01a\x81\x01b"), (2, true, Some(Said::End)));
    assert_eq!(
        frames(b"\x80\x01a\x81\x01b\x89\x00").0,
        2,
        "a message's rest speaks for nothing"
    );
    assert!(!frames(b"\x81\x01a\x81\x01").1);
    let longer = frames(b"\x81\x7e\x00\x01a");
    assert_eq!(longer.2, Some(Said::Lost(Loss::BadFrame)), "not minimal");
}

proptest! {
    #[test]
    fn garbage_never_panics_and_runs_make_no_difference(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        cut in 0_usize..200,
        from_client: bool,
    ) {
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let whole = parse(from_client, &[&bytes]);
        prop_assert_eq!(parse(from_client, &[first, second]), whole);
    }

    #[test]
    fn header_is_as_tungstenite_reads_it(mut octets in proptest::collection::vec(any::<u8>(), 14)) {
        use tungstenite::protocol::frame::{FrameHeader as Oracle, coding::{Control, Data, OpCode}};
        octets[1] |= 0x80 & octets[0] << 3;
        let theirs = Oracle::parse(&mut std::io::Cursor::new(&octets));
        let size = FrameHeader::size(octets[1]);
        match (FrameHeader::parse(&octets[..size]), theirs) {
            (Some(ours), Ok(Some((header, length)))) => {
                prop_assert_eq!((ours.fin, ours.rsv1, ours.length), (header.is_final, header.rsv1, length));
                prop_assert_eq!(ours.key, header.mask);
                prop_assert!(!header.rsv2 && !header.rsv3);
                let expected = match header.opcode {
                    OpCode::Data(Data::Continue) => Opcode::Continuation,
                    OpCode::Data(Data::Text) => Opcode::Text,
                    OpCode::Data(Data::Binary) => Opcode::Binary,
                    OpCode::Control(Control::Close) => Opcode::Close,
                    OpCode::Control(Control::Ping) => Opcode::Ping,
                    OpCode::Control(Control::Pong) => Opcode::Pong,
                    other => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert_eq!(ours.opcode, expected);
            }
            (None, Ok(Some((header, length)))) => {
                let control = matches!(header.opcode, OpCode::Control(_));
                let illegal = header.rsv2 || header.rsv3 || length >> 63 != 0
                    || control && (!header.is_final || length > 125 || header.rsv1)
                    || header.rsv1 && header.opcode == OpCode::Data(Data::Continue)
                    || matches!(header.opcode,
                        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)));
                prop_assert!(illegal, "{:?}", header);
            }
            (None, Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
        }
    }
}

fn inflate(inflater: &mut Inflater, message: &[u8]) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    let mut take = |bytes: &[u8]| out.extend_from_slice(bytes);
    for run in message.chunks(3) {
        inflater.push(run, &mut take)?;
    }
    inflater.finish(&mut take)?;
    Ok(out)
}

/// RFC 7692, 7.2.3.
#[test]
fn examples_of_compression_are_read() {
    let hello = Ok(b"Hello".to_vec());
    let mut inflater = Inflater::default();
    assert_eq!(
        inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        hello
    );
    assert_eq!(
        inflate(&mut inflater, b"\xf2\x00\x11\x00\x00"),
        hello,
        "the window is carried on"
    );
    assert_eq!(
        inflate(&mut inflater, b"\xf2\x48\xcd\xc9\xc9\x07\x00"),
        hello
    );
    let mut inflater = Inflater::default();
    let stored = b"\x00\x05\x00\xfa\xffHello\x00";
    assert_eq!(inflate(&mut inflater, stored), hello);
    let two_blocks = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    assert_eq!(inflate(&mut inflater, two_blocks), hello);
    let empty = inflate(&mut inflater, b"\x00");
    assert_eq!(empty, Ok(Vec::new()));
    assert!(!inflater.is_over());
    let final_block = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    assert_eq!(inflate(&mut inflater, final_block), hello);
    assert!(inflater.is_over(), "the window is gone");
    let outcome = inflate(&mut inflater, b"\xf2\x00\x11\x00\x00");
    assert_eq!(outcome, Err(InflateError::BadData));
}

/// Compresses as a sender with this window does (RFC 7692, 7.2.1).
fn deflate(compress: &mut Compress, message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 1024);
    compress
        .compress_vec(message, &mut out, FlushCompress::Sync)
        .unwrap();
    assert_eq!(out[out.len() - 4..], [0, 0, 0xff, 0xff]);
    out.truncate(out.len() - 4);
    out
}

#[test]
fn window_is_carried_over_many_messages() {
    let mut compress = Compress::new(Compression::default(), false);
    let mut inflater = Inflater::default();
    for number in 0..2000_u32 {
        let noise: String = (0..number % 97)
            .map(|n| char::from((n * number % 64 + 48) as u8))
            .collect();
        let message = format!(r#"{{"type":"audio","pcm":"{noise}","sequence":{number}}}"#);
        let compressed = deflate(&mut compress, message.as_bytes());
        assert_eq!(
            inflate(&mut inflater, &compressed),
            Ok(message.into_bytes()),
            "{number}"
        );
    }
}

#[test]
fn bomb_is_given_up_at_the_bound() {
    let mut compress = Compress::new(Compression::best(), false);
    let zeros = vec![0; MAX_MESSAGE_BYTES as usize + 1];
    let bomb = deflate(&mut compress, &zeros);
    assert!(bomb.len() < 20_000);
    let (mut seen, mut inflater) = (0, Inflater::default());
    let outcome = inflater.push(&bomb, &mut |bytes| {
        assert!(bytes.len() <= 4096);
        seen += bytes.len() as u64;
    });
    assert_eq!(outcome, Err(InflateError::TooLong));
    assert!(seen <= MAX_MESSAGE_BYTES);
}

#[test]
fn what_is_no_deflate_data_is_bad() {
    let mut inflater = Inflater::default();
    let outcome = inflate(&mut inflater, &[0xff; 40]);
    assert_eq!(outcome, Err(InflateError::BadData));
}

proptest! {
    #[test]
    fn inflating_garbage_ends(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut inflater = Inflater::default();
        for message in bytes.chunks(50) {
            if inflate(&mut inflater, message).is_err() {
                break;
            }
        }
    }
}
