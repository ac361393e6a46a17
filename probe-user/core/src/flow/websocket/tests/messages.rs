//! Messages: fragmented, interleaved, compressed, with holes.

use super::*;

#[test]
fn messages_of_both_directions_are_read_as_they_come() {
    let mut watched = Watched::upgraded("");
    watched.bytes(
        SERVER,
        &text(SERVER, r#"{"type":"session_start","session_id":"ws-1"}"#),
    );
    let client = [
        text(CLIENT, r#"{"type":"text","text":"hello","is_final":true}"#),
        text(CLIENT, r#"{"type":"control","command":"PAUSE"}"#),
    ];
    watched.bytes(CLIENT, &client.concat());
    watched.bytes(SERVER, &frame(SERVER, 0x82, &[1, 2, 3]));
    watched.bytes(CLIENT, &text(CLIENT, "hello"));
    let expected = [
        "server: text session_start",
        "client: text text",
        "client: text control",
        "server: binary",
        "client: text",
    ];
    assert_eq!(watched.take(), expected);
    assert!(watched.notes.problems.is_empty());
}

#[test]
fn fragmented_message_with_a_ping_in_between_is_one_at_every_split_point() {
    let json = audio(3);
    let (head, tail) = json.as_bytes().split_at(70);
    let frames = [
        frame(SERVER, 0x01, head),
        frame(SERVER, 0x89, b"ping"),
        frame(SERVER, 0x00, b""),
        frame(SERVER, 0x80, tail),
        text(SERVER, &audio(4)),
    ]
    .concat();
    for cut in 0..frames.len() {
        let mut watched = Watched::upgraded("");
        watched.bytes(SERVER, &frames[..cut]);
        watched.bytes(SERVER, &frames[cut..]);
        assert_eq!(
            watched.take(),
            ["server: text audio 3", "server: text audio 4"],
            "{cut}"
        );
    }
}

#[test]
fn compressed_messages_share_a_window_and_are_read_at_every_split_point() {
    let mut deflater = Deflater::new();
    let mut frames: Vec<u8> = (0..5)
        .flat_map(|number| deflater.text(SERVER, &audio(number)))
        .collect();
    // Not every message need be compressed, and a compressed one may be fragmented.
    frames.extend(text(SERVER, &audio(5)));
    let payload = deflater.payload(audio(6).as_bytes());
    let (head, tail) = payload.split_at(9);
    frames.extend(frame(SERVER, 0x41, head));
    frames.extend(frame(SERVER, 0x80, tail));
    let expected: Vec<_> = (0..7).map(|n| format!("server: text audio {n}")).collect();
    for cut in 0..frames.len() {
        let mut watched = Watched::upgraded("permessage-deflate; server_max_window_bits=12");
        watched.bytes(SERVER, &frames[..cut]);
        watched.bytes(SERVER, &frames[cut..]);
        assert_eq!(watched.take(), expected, "{cut}");
    }
}

#[test]
fn each_direction_has_a_window_of_its_own() {
    let (mut client, mut server) = (Deflater::new(), Deflater::new());
    let mut watched = Watched::upgraded("permessage-deflate");
    for number in 0..200 {
        watched.bytes(SERVER, &server.text(SERVER, &audio(number)));
        watched.bytes(
            CLIENT,
            &client.text(CLIENT, r#"{"type":"text","text":"say it"}"#),
        );
        let expected = [
            format!("server: text audio {number}"),
            "client: text text".into(),
        ];
        assert_eq!(watched.take(), expected);
    }
}

/// Compressed by zlib 1.2.13 as Python 3.11 calls it, `zlib.compressobj(9, zlib.DEFLATED, -bits)`,
/// which is what its WebSocket servers use: three messages for each window size, of some 900 bytes
/// each, so that the three smaller windows are outgrown. A line is the size and the messages in
/// hexadecimal.
const WINDOWS: &str = include_str!("windows.txt");

#[test]
fn every_window_size_is_read() {
    let unhex = |text: &str| -> Vec<u8> {
        let digits: Vec<_> = text
            .bytes()
            .map(|it| char::from(it).to_digit(16).unwrap())
            .collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    };
    let mut sizes = Vec::new();
    for line in WINDOWS.lines() {
        let mut words = line.split(' ');
        sizes.push(words.next().unwrap());
        let mut watched = Watched::upgraded("permessage-deflate");
        for message in words {
            watched.bytes(SERVER, &frame(SERVER, 0xc1, &unhex(message)));
        }
        let expected = [1, 2, 3].map(|n| format!("server: text audio {n}"));
        assert_eq!(watched.take(), expected, "{line}");
    }
    assert_eq!(sizes, ["9", "10", "11", "12", "13", "14", "15"]);
}

#[test]
fn hole_in_a_compressed_message_makes_those_after_it_unreadable() {
    let mut deflater = Deflater::new();
    let mut watched = Watched::upgraded("permessage-deflate");
    watched.bytes(SERVER, &deflater.text(SERVER, &audio(1)));
    let holed = deflater.text(SERVER, &audio(2));
    watched.bytes(SERVER, &holed[..5]);
    watched.hole(SERVER, 3);
    watched.bytes(SERVER, &holed[8..]);
    watched.bytes(SERVER, &deflater.text(SERVER, &audio(3)));
    watched.bytes(SERVER, &text(SERVER, &audio(4)));
    let expected = [
        "server: text audio 1",
        "server: partly",
        "server: partly",
        "server: text audio 4",
    ];
    assert_eq!(watched.take(), expected);
}

#[test]
fn hole_does_not_outlast_its_message_where_each_is_compressed_by_itself() {
    let mut watched = Watched::upgraded("permessage-deflate; server_no_context_takeover");
    for number in 1..4 {
        let message = Deflater::new().text(SERVER, &audio(number));
        watched.bytes(SERVER, &message[..8]);
        if number == 2 {
            watched.hole(SERVER, 1);
        } else {
            watched.bytes(SERVER, &message[8..9]);
        }
        watched.bytes(SERVER, &message[9..]);
    }
    let expected = [
        "server: text audio 1",
        "server: partly",
        "server: text audio 3",
    ];
    assert_eq!(watched.take(), expected);
}

#[test]
fn members_before_a_hole_are_told() {
    let message = text(SERVER, &audio(1));
    let mut watched = Watched::upgraded("");
    watched.bytes(SERVER, &message[..60]);
    watched.hole(SERVER, 20);
    watched.bytes(SERVER, &message[80..]);
    assert_eq!(watched.take(), ["server: partly audio"]);
}

#[test]
fn message_of_an_extension_that_is_not_known_is_unreadable() {
    let mut watched = Watched::upgraded("x-scramble");
    watched.bytes(SERVER, &text(SERVER, &audio(1)));
    assert_eq!(watched.take(), ["server: partly"]);
}

#[test]
fn hole_anywhere_costs_its_direction_and_nothing_else() {
    let mut server: Vec<Vec<u8>> = (0..3).map(|n| text(SERVER, &audio(n))).collect();
    server[1] = [
        frame(SERVER, 0x01, b"{"),
        frame(SERVER, 0x89, b""),
        frame(SERVER, 0x80, b"}"),
    ]
    .concat();
    for (index, holed) in server.iter().enumerate() {
        for from in 0..holed.len() {
            for length in [1, 3, 90] {
                let to = (from + length).min(holed.len());
                let mut watched = Watched::upgraded("");
                for (number, push) in server.iter().enumerate() {
                    if number == index {
                        if from > 0 {
                            watched.bytes(SERVER, &push[..from]);
                        }
                        watched.hole(SERVER, to - from);
                        if to < push.len() {
                            watched.bytes(SERVER, &push[to..]);
                        }
                    } else {
                        watched.bytes(SERVER, push);
                    }
                    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"control"}"#));
                }
                // Two more, so that the framing can be proven again wherever it was lost.
                for number in [7, 8] {
                    watched.bytes(SERVER, &text(SERVER, &audio(number)));
                }
                let said = watched.take();
                let place = format!("{from}..{to} of push {index}: {said:?}");
                let clients = said.iter().filter(|line| *line == "client: text control");
                assert_eq!(clients.count(), 3, "{place}");
                let last = &said[said.len() - 2..];
                assert_eq!(
                    last,
                    ["server: text audio 7", "server: text audio 8"],
                    "{place}"
                );
                for (number, line) in [(0, "server: text audio 0"), (2, "server: text audio 2")] {
                    let seen = said.iter().any(|said| said == line);
                    assert!(seen || number >= index, "{place}");
                }
                let told = said.iter().filter(|it| it.starts_with("server: ")).count();
                let lost = said.iter().any(|line| line == "server lost");
                assert!(told == 5 || lost && told < 5, "{place}");
            }
        }
    }
}
