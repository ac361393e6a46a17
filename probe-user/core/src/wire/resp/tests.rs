use proptest::prelude::*;

use super::*;
use crate::record::{GapReason, Piece};

/// Everything a parser gives for pushes, and the bytes a capture would hold: `?` for dropped ones.
fn run(mut parser: Parser, pushes: &[&[u8]]) -> (Vec<Part>, Vec<u8>) {
    let (mut parts, mut kept) = (Vec::new(), Vec::new());
    for push in pushes {
        let mut position = 0;
        while let Some(step) = parser.step(&push[position..]) {
            let run = &push[position..position + step.used];
            match step.fate {
                Fate::Keep => kept.extend_from_slice(run),
                Fate::Drop => kept.extend(run.iter().map(|_| b'?')),
                Fate::Mask(byte) => kept.extend(run.iter().map(|_| byte)),
            }
            position += step.used;
            if step.part != Part::Nothing {
                parts.push(step.part);
            }
        }
    }
    (parts, kept)
}

fn replies(bytes: &[u8]) -> Vec<Part> {
    run(Parser::replies(), &[bytes]).0
}

fn requests(bytes: &[u8]) -> Vec<Part> {
    run(Parser::requests(), &[bytes]).0
}

fn request(command: Command, arguments: u32, option: Option<RequestOption>) -> Part {
    Part::Request(Request {
        command,
        arguments,
        option,
    })
}

const VALUE: Part = Part::Reply(Reply::Value);
const ERR: Part = Part::Reply(Reply::Error(ErrorWord::Listed(ListedError::Err)));

/// Every type of the specification, and what it is.
const VALUES: &[(&[u8], Part)] = &[
    (b"+OK\r\n", VALUE),
    (b"-ERR unknown command 'asdf'\r\n", ERR),
    (
        b"-WRONGTYPE Operation\r\n",
        Part::Reply(Reply::Error(ErrorWord::Listed(ListedError::WrongType))),
    ),
    (b"-oops\r\n", Part::Reply(Reply::Error(ErrorWord::Other))),
    (b":-1000\r\n", VALUE),
    (b"$5\r\nhello\r\n", VALUE),
    (b"$0\r\n\r\n", VALUE),
    (b"$-1\r\n", VALUE),
    (b"*0\r\n", Part::Reply(Reply::Array(None))),
    (b"*-1\r\n", Part::Reply(Reply::Array(None))),
    (
        b"*2\r\n$5\r\nhello\r\n*1\r\n:1\r\n",
        Part::Reply(Reply::Array(None)),
    ),
    (b"_\r\n", VALUE),
    (b"#t\r\n", VALUE),
    (b",-1.23e-4\r\n", VALUE),
    (b",inf\r\n", VALUE),
    (b"(3492890328409238509324850943850943825024385\r\n", VALUE),
    (
        b"!21\r\nSYNTAX invalid syntax\r\n",
        Part::Reply(Reply::Error(ErrorWord::Other)),
    ),
    (b"=15\r\ntxt:Some string\r\n", VALUE),
    (b"%2\r\n+first\r\n:1\r\n+second\r\n_\r\n", VALUE),
    (b"~2\r\n+a\r\n#f\r\n", VALUE),
    (b"|1\r\n+ttl\r\n:3600\r\n+OK\r\n", VALUE),
    (
        b"*2\r\n|1\r\n+k\r\n%1\r\n:1\r\n:2\r\n:1\r\n:2\r\n",
        Part::Reply(Reply::Array(None)),
    ),
    (
        b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n",
        Part::Reply(Reply::Push(Some(Element::Message))),
    ),
    (
        b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
        Part::Reply(Reply::Array(Some(Element::Subscribe))),
    ),
];

const REQUESTS: &[u8] = b"*1\r\n$4\r\nPING\r\n*4\r\n$5\r\nsetex\r\n$8\r\nworker:a\r\n$2\r\n30\r\n\
    $13\r\n{\"name\":\"a\"}\n\r\n*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n*2\r\n$5\r\nHELLO\
    \r\n$1\r\n3\r\n*2\r\n$5\r\nX.YZW\r\n$1\r\na\r\n  get  secret \r\n\r\n*0\r\n";

fn expected_requests() -> Vec<Part> {
    vec![
        request(Command::Ping, 0, None),
        request(Command::SetEx, 3, None),
        request(Command::Client, 2, Some(RequestOption::ReplySkip)),
        request(Command::Hello, 1, Some(RequestOption::Resp3)),
        request(Command::Other, 1, None),
        request(Command::Get, 1, None),
    ]
}

#[test]
fn every_type_of_the_specification_is_one_reply() {
    for (bytes, expected) in VALUES {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(replies(bytes), [*expected], "{text}");
    }
}

#[test]
fn requests_are_told_with_their_options() {
    assert_eq!(requests(REQUESTS), expected_requests());
}

#[test]
fn every_split_point_gives_the_same() {
    let all: Vec<u8> = VALUES
        .iter()
        .flat_map(|(bytes, _)| *bytes)
        .copied()
        .collect();
    let expected: Vec<Part> = VALUES.iter().map(|(_, part)| *part).collect();
    for at in 0..=all.len() {
        let (first, second) = all.split_at(at);
        assert_eq!(run(Parser::replies(), &[first, second]).0, expected, "{at}");
    }
    for at in 0..=REQUESTS.len() {
        let (first, second) = REQUESTS.split_at(at);
        let parts = run(Parser::requests(), &[first, second]).0;
        assert_eq!(parts, expected_requests(), "{at}");
    }
    let bytes: Vec<&[u8]> = all.chunks(1).collect();
    assert_eq!(run(Parser::replies(), &bytes).0, expected);
}

#[test]
fn capture_holds_framing_and_listed_words_only() {
    let (_, kept) = run(
        Parser::requests(),
        &[b"*3\r\n$3\r\nSET\r\n$5\r\ntoken\r\n$6\r\nsecret\r\n*1\r\n$6\r\nsecret\r\nSET a b\r\n"],
    );
    assert_eq!(
        String::from_utf8_lossy(&kept),
        "*3\r\n$3\r\nSET\r\n$5\r\n?????\r\n$6\r\n??????\r\n*1\r\n$6\r\n??????\r\nSET . .\r\n"
    );
    let (_, kept) = run(
        Parser::replies(),
        &[b"+secret\r\n-ERR secret\r\n-secret x\r\n:42\r\n#f\r\n*1\r\n$6\r\nsecret\r\n$1\r\ns\r\n"],
    );
    assert_eq!(
        String::from_utf8_lossy(&kept),
        "+......\r\n-ERR       \r\n-......  \r\n:00\r\n#t\r\n*1\r\n$6\r\n??????\r\n$1\r\n?\r\n"
    );
}

#[test]
fn nesting_beyond_the_bound_loses_the_framing_without_recursion() {
    let bomb = b"*1\r\n".repeat(1_000_000);
    assert_eq!(replies(&bomb), [Part::Lost(Loss::TooDeep)]);
    let fits = [b"*1\r\n".repeat(32), b":1\r\n".to_vec()].concat();
    assert_eq!(replies(&fits), [Part::Reply(Reply::Array(None))]);
}

#[test]
fn what_no_peer_may_send_loses_the_framing() {
    for bytes in [
        &b"hello\r\n"[..],
        b"$5\r\nhello!\r\n",
        b"$?\r\n",
        b"*?\r\n",
        b"$536870913\r\n",
        b"$99999999999\r\n",
        b"*4294967295\r\n",
        b"$-2\r\n",
        b"~-1\r\n",
        b"$\r\n",
        b":\r\n",
        b":12a\r\n",
        b"_x\r\n",
        b"+a\nb\r\n",
        b"+ok\rx",
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(replies(bytes), [Part::Lost(Loss::BadValue)], "{text}");
    }
    for bytes in [
        &b"*1\r\n:1\r\n"[..],
        b"*1\r\n$-1\r\n",
        b"\x00\x01\r\n",
        b"GET \xff\r\n",
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(requests(bytes), [Part::Lost(Loss::BadValue)], "{text}");
    }
    assert_eq!(
        requests(&b"a".repeat(70_000)),
        [Part::Lost(Loss::BadValue)],
        "an endless line"
    );
}

#[test]
fn hole_inside_a_bulk_string_keeps_the_framing() {
    let mut parser = Parser::replies();
    let mut position = 0;
    let head = b"$100\r\nab";
    while let Some(step) = parser.step(&head[position..]) {
        position += step.used;
    }
    assert_eq!(parser.hole(98, GapReason::CaptureLimit), Part::Nothing);
    let parts: Vec<Part> = [&b"\r"[..], b"\n"]
        .iter()
        .filter_map(|push| parser.step(push))
        .map(|step| step.part)
        .collect();
    assert_eq!(parts, [Part::Nothing, VALUE]);
}

#[test]
fn hole_elsewhere_loses_the_framing() {
    for head in [&b"$10\r\nab"[..], b"+O", b"*2\r\n", b"$3", b""] {
        let mut parser = Parser::replies();
        let mut position = 0;
        while let Some(step) = parser.step(&head[position..]) {
            position += step.used;
        }
        let part = parser.hole(9, GapReason::Lost);
        assert_eq!(part, Part::Lost(Loss::Hole), "{head:?}");
        assert!(parser.is_lost() && parser.step(b"+OK\r\n").is_none());
    }
}

#[test]
fn lost_command_name_is_not_taken_for_another() {
    let mut parser = Parser::requests();
    for byte in b"*1\r\n$4\r\n" {
        parser.step(&[*byte]);
    }
    assert_eq!(parser.hole(4, GapReason::ReadFault), Part::Lost(Loss::Hole));
}

#[test]
fn only_a_whole_sequence_of_values_is_a_place_to_resume() {
    let whole =
        |from_client, bytes: &[u8]| fits(from_client, &mut [Piece::Bytes(bytes)].into_iter());
    assert!(whole(false, b"+OK\r\n$2\r\nab\r\n"));
    assert!(whole(true, b"*1\r\n$4\r\nPING\r\n"));
    assert!(!whole(false, b"+OK\r\n$2\r\nab"));
    assert!(!whole(false, b"ab\r\n+OK\r\n"));
    assert!(!whole(false, b""));
    assert!(!whole(true, b"PING\r\n"), "any text may be inline");
    let elided = [
        Piece::Bytes(b"$5\r\n"),
        Piece::Hole(5, GapReason::Elided),
        Piece::Bytes(b"\r\n"),
    ];
    assert!(fits(false, &mut elided.into_iter()));
}

proptest! {
    #[test]
    fn any_bytes_are_consumed_within_bounds(
        bytes in proptest::collection::vec(
            prop_oneof![
                any::<u8>(),
                proptest::sample::select(b"*$+-:_#,(!=%~>|0123456789\r\n\r\n aPING".to_vec()),
            ],
            0..512,
        ),
        at in 0_usize..512,
        from_client: bool,
        hole in 0_u64..64,
    ) {
        let at = at.min(bytes.len());
        let mut parser = if from_client { Parser::requests() } else { Parser::replies() };
        for push in [&bytes[..at], &bytes[at..]] {
            let (mut position, mut steps) = (0, 0);
            while let Some(step) = parser.step(&push[position..]) {
                position += step.used;
                steps += 1;
                prop_assert!(steps <= 3 * push.len() + 3);
            }
            prop_assert!(parser.is_lost() || position == push.len());
            parser.hole(hole, GapReason::Lost);
        }
    }
}

/// The registrations of requests, however their bytes are cut; nothing of them may be kept.
fn registrations(bytes: &[u8]) -> Vec<Registration> {
    let told = |pushes: &[&[u8]]| {
        let mut parser = Parser::requests();
        let mut told = Vec::new();
        for push in pushes {
            let mut position = 0;
            while let Some(step) = parser.step(&push[position..]) {
                position += step.used;
                if matches!(step.part, Part::Request(_)) {
                    told.extend(parser.take_registration());
                }
            }
        }
        told
    };
    let whole = told(&[bytes]);
    for cut in 0..bytes.len() {
        let (first, second) = bytes.split_at(cut);
        assert_eq!(told(&[first, second]), whole, "cut at {cut}");
    }
    whole
}

fn words(words: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
    bytes
}

#[test]
fn registration_is_told_in_each_way_a_worker_may_write_it() {
    let json = r#"{"name":"tts-cosy@0","addr":"grpc://localhost:7001","metrics":{"addr":1}}"#;
    let expected = Registration {
        name: "tts-cosy@0".to_owned(),
        address: Some("grpc://localhost:7001".to_owned()),
    };
    for request in [
        words(&["SETEX", "worker:tts-cosy@0", "30", json]),
        words(&["psetex", "worker:tts-cosy@0", "30000", json]),
        words(&["SET", "worker:tts-cosy@0", json, "EX", "30"]),
        words(&[
            "HSET",
            "worker:tts-cosy@0",
            "name",
            "addr",
            "addr",
            "grpc://localhost:7001",
            "address",
            "no",
        ]),
    ] {
        assert_eq!(registrations(&request), std::slice::from_ref(&expected));
        let (_, kept) = run(Parser::requests(), &[&request]);
        let kept = String::from_utf8_lossy(&kept);
        assert!(!kept.contains("tts") && !kept.contains("7001"), "{kept}");
    }
}

#[test]
fn registration_without_an_address_has_none() {
    let expected = Registration {
        name: "a".to_owned(),
        address: None,
    };
    for request in [
        words(&["SETEX", "worker:a", "30", "[]"]),
        words(&["SET", "worker:a", ""]),
        words(&["HSET", "worker:a", "addr"]),
    ] {
        assert_eq!(registrations(&request), std::slice::from_ref(&expected));
    }
}

#[test]
fn other_requests_register_nobody() {
    let long = format!("worker:{}", "a".repeat(129));
    for request in [
        words(&["GET", "worker:a"]),
        words(&["SETEX", "routing:affinity:a", "30", "worker:a"]),
        words(&["SET", "worker:", "{}"]),
        words(&["SET", "worker:a\nb", "{}"]),
        words(&["SET", "Worker:a", "{}"]),
        words(&["SET", &long, "{}"]),
        words(&["DEL", "worker:a"]),
    ] {
        let text = String::from_utf8_lossy(&request).into_owned();
        assert_eq!(registrations(&request), [], "{text}");
    }
    let pair = [
        words(&["SET", "worker:a", "{}"]),
        words(&["SET", "b", "{}"]),
    ]
    .concat();
    assert_eq!(registrations(&pair).len(), 1);
}

#[test]
fn registration_with_a_hole_in_it_tells_what_is_left() {
    let mut parser = Parser::requests();
    let feed = |parser: &mut Parser, bytes: &[u8]| {
        let mut position = 0;
        while let Some(step) = parser.step(&bytes[position..]) {
            position += step.used;
        }
    };
    feed(&mut parser, b"*3\r\n$3\r\nSET\r\n$8\r\nworker:a\r\n$14\r\n");
    parser.hole(5, GapReason::Elided);
    feed(&mut parser, b"\"addr\":\"a\"\r\n");
    let told = parser.take_registration();
    assert_eq!(told.and_then(|told| told.address), None);
    feed(&mut parser, b"*3\r\n$3\r\nSET\r\n$8\r\nwork");
    parser.hole(4, GapReason::Elided);
    feed(&mut parser, b"\r\n$2\r\n{}\r\n");
    assert_eq!(parser.take_registration(), None);
}
