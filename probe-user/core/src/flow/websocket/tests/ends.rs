//! How connections end.

use super::*;

fn close(from: Direction, code: u16) -> Vec<u8> {
    frame(from, 0x88, &[&code.to_be_bytes()[..], b"why"].concat())
}

#[test]
fn close_frames_tell_who_and_why_and_nothing_follows_them() {
    let mut watched = Watched::upgraded("");
    watched.bytes(CLIENT, &close(CLIENT, 1001));
    watched.bytes(CLIENT, &text(CLIENT, "{}"));
    watched.bytes(
        SERVER,
        &[text(SERVER, "{}"), frame(SERVER, 0x88, b"")].concat(),
    );
    watched.bytes(SERVER, b"\xff\xff");
    let expected = ["client closes 1001", "server: text", "server closes -"];
    assert_eq!(watched.take(), expected);
    watched.close(ConnectionEnd::LocallyClosed);
    assert_eq!(watched.take(), ["LocallyClosed"]);
}

#[test]
fn first_end_counts_and_nothing_comes_after_it() {
    for (end, other) in [
        (ConnectionEnd::Reset, ConnectionEnd::LocallyClosed),
        (ConnectionEnd::ProcessEnded, ConnectionEnd::Reset),
    ] {
        let mut watched = Watched::upgraded("");
        watched.close(end);
        watched.close(other);
        watched.bytes(SERVER, &text(SERVER, "{}"));
        watched.hole(SERVER, 3);
        assert_eq!(watched.take(), [format!("{end:?}")]);
        assert!(!watched.connection.is_followed());
        assert_eq!(watched.connection.protocol_name(), "websocket");
    }
    for (direction, end) in [(CLIENT, "PeerClosed"), (SERVER, "LocallyClosed")] {
        let mut watched = Watched::upgraded("");
        let connection = &mut watched.connection;
        connection.handle_half_closed(direction, KtimeNs(9), &mut watched.notes);
        watched.close(ConnectionEnd::LocallyClosed);
        assert_eq!(watched.take(), [end]);
    }
}

#[test]
fn connection_that_never_upgraded_has_no_end() {
    for joined in [Joined::FromStart, Joined::Late] {
        let mut watched = Watched::new(joined);
        watched.close(ConnectionEnd::PeerClosed);
        assert!(watched.take().is_empty());
    }
}

#[test]
fn silence_after_a_ping_is_a_keep_alive_timeout() {
    let mut watched = Watched::upgraded("");
    watched.bytes(SERVER, &frame(SERVER, 0x89, b"1"));
    watched.bytes(CLIENT, &text(CLIENT, "{}"));
    watched.bytes(SERVER, &close(SERVER, 1011));
    assert_eq!(
        watched.take(),
        ["client: text", "server closes 1011, silent"]
    );
}

#[test]
fn close_1011_without_an_unanswered_ping_is_an_error() {
    let mut watched = Watched::upgraded("");
    watched.bytes(SERVER, &close(SERVER, 1011));
    assert_eq!(watched.take(), ["server closes 1011"]);
    let mut watched = Watched::upgraded("");
    watched.bytes(SERVER, &frame(SERVER, 0x89, b"1"));
    watched.bytes(CLIENT, &frame(CLIENT, 0x8a, b"1"));
    watched.bytes(SERVER, &close(SERVER, 1011));
    assert_eq!(watched.take(), ["server closes 1011"]);
    let mut watched = Watched::upgraded("");
    watched.bytes(SERVER, &frame(SERVER, 0x89, b"1"));
    watched.hole(CLIENT, 7);
    watched.bytes(SERVER, &close(SERVER, 1011));
    assert_eq!(
        watched.take(),
        ["client lost", "server closes 1011"],
        "a pong may be lost"
    );
    let mut watched = Watched::upgraded("");
    watched.bytes(SERVER, &frame(SERVER, 0x89, b"1"));
    watched.bytes(SERVER, &close(SERVER, 1000));
    assert_eq!(watched.take(), ["server closes 1000"]);
}

#[test]
fn frame_that_no_peer_may_send_ends_the_session() {
    for (from, bytes) in [
        (CLIENT, text(SERVER, "{}")),
        (SERVER, text(CLIENT, "{}")),
        (
            CLIENT,
            frame(CLIENT, 0xc1, b"compressed, and nobody agreed"),
        ),
        (SERVER, vec![0x83, 0x00]),
        (SERVER, b"HTTP/1.1 200 OK\r\n".to_vec()),
    ] {
        let mut watched = Watched::upgraded("");
        watched.bytes(from, &bytes);
        assert_eq!(
            watched.take(),
            ["ProtocolError"],
            "{}",
            bytes.escape_ascii()
        );
        assert_eq!(watched.notes.problems, [Problem::BadFrame]);
        watched.close(ConnectionEnd::Reset);
        assert!(watched.take().is_empty());
        assert!(!watched.connection.is_followed());
    }
}

#[test]
fn nonsense_where_the_framing_was_only_found_is_searched_again() {
    let mut watched = Watched::new(Joined::Late);
    watched.bytes(SERVER, &text(SERVER, "{}"));
    watched.bytes(SERVER, &text(SERVER, "{}"));
    watched.bytes(SERVER, b"\xff\x00");
    watched.bytes(SERVER, &text(SERVER, &audio(1)));
    let said = watched.take();
    assert_eq!(said[3..], ["server lost", "server: text audio 1"]);
}

#[test]
fn end_inside_a_head_a_frame_or_a_message_is_a_problem() {
    let cut = |frame: &[u8]| frame[..frame.len() - 1].to_vec();
    for (begun, bytes) in [
        (Watched::new(Joined::FromStart), cut(REQUEST)),
        (Watched::upgraded(""), vec![0x81]),
        (Watched::upgraded(""), cut(&text(CLIENT, "{}"))),
        (
            Watched::upgraded(""),
            frame(CLIENT, 0x01, b"first fragment"),
        ),
    ] {
        let mut watched = begun;
        watched.bytes(CLIENT, &bytes);
        watched.close(ConnectionEnd::PeerClosed);
        watched.close(ConnectionEnd::LocallyClosed);
        assert_eq!(watched.notes.problems, [Problem::CutShort]);
    }
}

#[test]
fn end_between_messages_or_after_a_close_frame_is_none() {
    for end in [ConnectionEnd::PeerClosed, ConnectionEnd::Reset] {
        let mut watched = Watched::upgraded("");
        watched.bytes(CLIENT, &text(CLIENT, "{}"));
        watched.close(end);
        assert!(watched.notes.problems.is_empty());
    }
    let mut watched = Watched::upgraded("");
    watched.bytes(CLIENT, &close(CLIENT, 1000));
    watched.bytes(CLIENT, b"\x81");
    watched.close(ConnectionEnd::PeerClosed);
    assert!(watched.notes.problems.is_empty());
}
