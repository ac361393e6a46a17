//! From HTTP to WebSocket, or not.

use super::*;

#[test]
fn upgrade_is_told_at_every_split_point_of_both_directions() {
    let hello = text(SERVER, r#"{"type":"session_start","session_id":"ws-1"}"#);
    let server = [response("permessage-deflate"), hello].concat();
    for cut in 0..REQUEST.len() {
        let mut watched = Watched::new(Joined::FromStart);
        watched.bytes(CLIENT, &REQUEST[..cut]);
        watched.bytes(CLIENT, &REQUEST[cut..]);
        let split = cut % server.len();
        watched.bytes(SERVER, &server[..split]);
        watched.bytes(SERVER, &server[split..]);
        let expected = ["upgraded, asked 2", "server: text session_start"];
        assert_eq!(watched.take(), expected, "{cut}");
        assert_eq!(watched.connection.protocol_name(), "websocket");
    }
}

#[test]
fn trace_of_the_upgrade_is_told_after_it_and_of_other_requests_is_not() {
    let field = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n";
    let traced = |request: &[u8]| {
        let head = request.strip_suffix(b"\r\n").unwrap();
        [head, field.as_bytes()].concat()
    };
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, &traced(b"GET /health HTTP/1.1\r\n\r\n"));
    watched.bytes(SERVER, b"HTTP/1.1 204 No Content\r\n\r\n");
    watched.bytes(CLIENT, REQUEST);
    watched.bytes(SERVER, &response(""));
    assert_eq!(watched.take(), ["upgraded, asked 3"]);
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, &traced(REQUEST));
    watched.bytes(SERVER, &response(""));
    let expected = [
        "upgraded, asked 1",
        "traced 4bf92f3577b34da6a3ce929d0e0e4736",
    ];
    assert_eq!(watched.take(), expected);
}

#[test]
fn requests_before_the_upgrade_are_passed_over() {
    let mut watched = Watched::new(Joined::FromStart);
    assert_eq!(watched.connection.protocol_name(), "http1");
    watched.bytes(
        CLIENT,
        b"GET /health HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\n",
    );
    watched.bytes(
        SERVER,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x81\x03",
    );
    watched.bytes(
        SERVER,
        b"GET abcHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    );
    watched.bytes(CLIENT, b"POST /x HTTP/1.1\r\ncontent-length: 4\r\n\r\nGE");
    watched.bytes(CLIENT, b"T ");
    watched.bytes(
        SERVER,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    );
    watched.bytes(CLIENT, REQUEST);
    watched.bytes(SERVER, &response(""));
    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"text"}"#));
    assert_eq!(watched.take(), ["upgraded, asked 7", "client: text text"]);
    assert!(watched.notes.problems.is_empty());
}

#[test]
fn refused_upgrade_is_no_session_and_may_be_asked_for_again() {
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, REQUEST);
    watched.bytes(
        SERVER,
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
    );
    assert!(watched.take().is_empty());
    assert_eq!(watched.connection.protocol_name(), "http1");
    watched.bytes(CLIENT, REQUEST);
    watched.bytes(SERVER, &response(""));
    assert_eq!(watched.take(), ["upgraded, asked 3"]);
}

#[test]
fn connection_that_does_anything_else_is_not_followed() {
    let switch = response("");
    let h2c = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n";
    let plain = b"GET / HTTP/1.1\r\n\r\n";
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let endless = b"HTTP/1.1 200 OK\r\n\r\n";
    for (request, response) in [
        (&plain[..], &switch[..]),
        (REQUEST, h2c),
        (plain, chunked),
        (plain, endless),
        (REQUEST, endless),
        (b"", &switch),
        (REQUEST, b"nonsense\r\n\r\n"),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b""),
    ] {
        let mut watched = Watched::new(Joined::FromStart);
        watched.bytes(CLIENT, request);
        watched.bytes(SERVER, response);
        assert!(
            !watched.connection.is_followed(),
            "{}",
            response.escape_ascii()
        );
        watched.bytes(SERVER, &text(SERVER, "{}"));
        watched.close(ConnectionEnd::PeerClosed);
        assert!(watched.take().is_empty());
    }
}

#[test]
fn client_that_speaks_before_the_answer_is_not_followed() {
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, REQUEST);
    watched.bytes(CLIENT, &text(CLIENT, "{}"));
    assert!(!watched.connection.is_followed());
}

#[test]
fn connection_that_asks_for_other_things_for_ever_is_given_up() {
    let mut watched = Watched::new(Joined::FromStart);
    for _ in 0..64 {
        watched.bytes(CLIENT, b"GET /metrics HTTP/1.1\r\n\r\n");
        watched.bytes(SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    assert!(watched.connection.is_followed());
    watched.bytes(CLIENT, b"GET /metrics HTTP/1.1\r\n\r\n");
    assert!(!watched.connection.is_followed());
}

#[test]
fn pipelined_requests_are_bounded() {
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, &b"GET / HTTP/1.1\r\n\r\n".repeat(17));
    assert!(!watched.connection.is_followed());
}

#[test]
fn lost_request_leaves_the_answer_to_tell_the_upgrade() {
    let mut watched = Watched::new(Joined::FromStart);
    watched.hole(CLIENT, REQUEST.len());
    watched.bytes(SERVER, &response(""));
    watched.bytes(SERVER, &text(SERVER, &audio(1)));
    assert_eq!(watched.take(), ["upgraded", "server: text audio 1"]);
    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"text"}"#));
    assert_eq!(watched.take(), ["client: text text"]);
}

#[test]
fn lost_answer_is_told_by_the_frames_after_it() {
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, REQUEST);
    watched.hole(SERVER, 129);
    watched.bytes(SERVER, &text(SERVER, &audio(1)));
    assert!(watched.take().is_empty(), "one frame may be chance");
    watched.bytes(SERVER, &text(SERVER, &audio(2)));
    let expected = [
        "upgraded, asked 1",
        "server: text audio 1",
        "server: text audio 2",
    ];
    assert_eq!(watched.take(), expected);
    watched.bytes(CLIENT, &text(CLIENT, r#"{"type":"text"}"#));
    assert_eq!(watched.take(), ["client: text text"]);
}

#[test]
fn request_that_is_refused_before_it_is_complete_is_a_problem() {
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(CLIENT, b"GET / HTTP/1.1\r\nX: y\r\n");
    watched.bytes(SERVER, b"HTTP/1.1 431 Too Large\r\n\r\n");
    assert_eq!(watched.notes.problems, [Problem::BadHead]);
    assert!(!watched.connection.is_followed());
    watched.close(ConnectionEnd::LocallyClosed);
    assert_eq!(watched.notes.problems.len(), 1, "told once");
}
