//! Connections that are older than the probe.

use super::*;

fn pushes(deflate: bool) -> Vec<(Direction, Vec<u8>)> {
    let (mut client, mut server) = (Deflater::new(), Deflater::new());
    let mut pushes = Vec::new();
    for number in 0..12 {
        let json = audio(number);
        pushes.push((
            SERVER,
            if deflate {
                server.text(SERVER, &json)
            } else {
                text(SERVER, &json)
            },
        ));
        if number % 3 == 2 {
            let json = r#"{"type":"control","command":"STOP"}"#;
            pushes.push((
                CLIENT,
                if deflate {
                    client.text(CLIENT, json)
                } else {
                    text(CLIENT, json)
                },
            ));
        }
    }
    pushes
}

#[test]
fn every_message_from_the_first_push_on_is_counted_and_read() {
    let pushes = pushes(false);
    for first in 0..pushes.len() - 4 {
        let mut watched = Watched::new(Joined::Late);
        assert_eq!(watched.connection.protocol_name(), "undetermined");
        for (from, bytes) in &pushes[first..] {
            watched.bytes(*from, bytes);
        }
        let said = watched.take();
        assert_eq!(said[0], "upgraded", "{said:?}");
        let count = |end: &str| said.iter().filter(|line| line.starts_with(end)).count();
        let of = |from| pushes[first..].iter().filter(|push| push.0 == from).count();
        assert_eq!(
            (count("server: text audio"), count("client: text control")),
            (of(SERVER), of(CLIENT))
        );
        assert_eq!(said.len(), 1 + pushes.len() - first);
    }
}

#[test]
fn compressed_messages_are_counted_and_their_content_is_unknown() {
    let pushes = pushes(true);
    let mut watched = Watched::new(Joined::Late);
    for (from, bytes) in &pushes[3..] {
        watched.bytes(*from, bytes);
    }
    watched.bytes(SERVER, &text(SERVER, &audio(99)));
    let said = watched.take();
    let partly = |end: &str| {
        said.iter()
            .filter(|line| *line == &format!("{end}: partly"))
            .count()
    };
    assert_eq!((partly("server"), partly("client")), (9, 4));
    assert_eq!(
        said.last().map(String::as_str),
        Some("server: text audio 99")
    );
}

#[test]
fn first_push_may_start_in_the_middle_of_a_frame() {
    let pushes = pushes(false);
    for cut in 1..pushes[0].1.len() {
        let mut watched = Watched::new(Joined::Late);
        watched.bytes(SERVER, &pushes[0].1[cut..]);
        for (from, bytes) in &pushes[1..] {
            watched.bytes(*from, bytes);
        }
        let said = watched.take();
        let audio = said
            .iter()
            .filter(|line| line.starts_with("server: text audio"));
        assert_eq!(audio.count(), 11, "{cut}: {said:?}");
        assert_eq!(said.len(), 1 + 11 + 4, "{cut}: {said:?}");
    }
}

#[test]
fn message_whose_beginning_was_not_seen_is_counted_as_unknown() {
    let mut watched = Watched::new(Joined::Late);
    watched.bytes(SERVER, &frame(SERVER, 0x00, b"more"));
    watched.bytes(SERVER, &frame(SERVER, 0x80, b"last"));
    watched.bytes(SERVER, &text(SERVER, &audio(1)));
    assert!(
        watched.take().is_empty(),
        "only one frame speaks for the framing"
    );
    watched.bytes(SERVER, &text(SERVER, &audio(2)));
    let expected = [
        "upgraded",
        "server: unknown",
        "server: text audio 1",
        "server: text audio 2",
    ];
    assert_eq!(watched.take(), expected);
}

#[test]
fn four_frames_in_one_push_prove_themselves() {
    let mut watched = Watched::new(Joined::Late);
    let frames = text(SERVER, "{}").repeat(4);
    watched.bytes(SERVER, &frames[..frames.len() - 1]);
    assert_eq!(watched.take().len(), 4, "the upgrade and three messages");
    watched.bytes(SERVER, &frames[frames.len() - 1..]);
    assert_eq!(watched.take(), ["server: text"]);
}

#[test]
fn frames_of_both_directions_prove_each_other() {
    let mut watched = Watched::new(Joined::Late);
    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"text"}"#));
    assert!(watched.take().is_empty(), "one frame may be chance");
    watched.bytes(SERVER, &text(SERVER, &audio(1)));
    let expected = ["upgraded", "client: text text", "server: text audio 1"];
    assert_eq!(watched.take(), expected, "in the order of their times");
}

#[test]
fn close_frames_alone_tell_a_session_and_its_end() {
    let mut watched = Watched::new(Joined::Late);
    watched.bytes(CLIENT, &frame(CLIENT, 0x88, b"\x03\xe9"));
    watched.bytes(SERVER, &frame(SERVER, 0x88, b"\x03\xe9"));
    let expected = ["upgraded", "client closes 1001", "server closes 1001"];
    assert_eq!(watched.take(), expected);
    watched.close(ConnectionEnd::LocallyClosed);
    assert_eq!(watched.take(), ["LocallyClosed"]);
}

#[test]
fn other_protocols_are_not_taken_for_websocket_and_are_given_up() {
    let http2: &[u8] = b"\0\0\x04\0\0\0\0\0\x01\x0a\x02s1\0\0\0\x04\x01\0\0\0\0";
    let http1: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let redis: &[u8] = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n";
    let tls: &[u8] = b"\x17\x03\x03\x00\x05hello";
    let zeros: &[u8] = &[0; 1920];
    let integers: &[u8] = &[1, 0, 0, 0, 2, 0, 0, 0];
    for bytes in [http2, http1, redis, tls, zeros, integers] {
        for direction in [SERVER, CLIENT] {
            let mut watched = Watched::new(Joined::Late);
            let mut pushes = 0;
            while watched.connection.is_followed() {
                watched.bytes(direction, bytes);
                pushes += 1;
                assert!(pushes * bytes.len() < 2 * 1024 * 1024);
            }
            watched.close(ConnectionEnd::PeerClosed);
            assert!(watched.take().is_empty(), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn idle_http_connection_that_upgrades_later_is_followed() {
    let mut watched = Watched::new(Joined::Late);
    watched.bytes(SERVER, b"rest of an answer");
    watched.bytes(CLIENT, REQUEST);
    watched.bytes(SERVER, &response("permessage-deflate"));
    watched.bytes(SERVER, &Deflater::new().text(SERVER, &audio(1)));
    assert_eq!(
        watched.take(),
        ["upgraded, asked 2", "server: text audio 1"]
    );
}
