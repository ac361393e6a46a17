//! What is told when a method is inferred, contradicted, or cannot be told.

use super::wire::{Body, Encoder, Style, frame, message};
use crate::flow::tests::peer::Watched;
use crate::record::Direction::{Received, Sent};
use crate::record::{GapReason, Joined};
use crate::wire::http2::{flag, kind};

const MS: u64 = 1_000_000;

/// A client that has used these methods before it is watched, and its watched connection.
fn joined_after(methods: &[&str]) -> (Encoder, Watched) {
    let mut client = Encoder::new(Style::GrpcCore);
    for method in methods {
        client.request(&path(method), None);
    }
    let mut watched = Watched::new(Joined::Late);
    let ping = frame(kind::PING, 0, 0, b"12345678");
    for from in [Sent, Received] {
        watched.bytes(from, &[&ping[..], &ping, &ping].concat());
    }
    (client, watched)
}

fn path(method: &str) -> String {
    format!("/tts.TTSService/{method}")
}

fn open(client: &mut Encoder, watched: &mut Watched, stream: u32, method: &str) {
    watched.at += 30 * MS;
    let block = client.request(&path(method), None);
    let headers = frame(kind::HEADERS, flag::END_HEADERS, stream, &block);
    watched.bytes(Sent, &headers);
}

fn text(session: &str) -> Body {
    Body::default()
        .text(1, session)
        .text(2, "to be said")
        .varint(4, 1)
}

fn audio(session: &str, sequence: u64) -> Body {
    let body = Body::default().text(1, session).bytes(2, &[0; 1920]);
    body.varint(3, 48_000).varint(4, 20).varint(5, sequence)
}

fn says(watched: &mut Watched, stream: u32, body: &Body) {
    watched.at += 30 * MS;
    watched.bytes(Sent, &message(stream, false, &body.0));
}

fn answers(watched: &mut Watched, stream: u32, body: &Body) {
    watched.at += 30 * MS;
    watched.bytes(Received, &message(stream, false, &body.0));
}

/// A stream of speech that goes on.
fn speech(client: &mut Encoder, watched: &mut Watched, stream: u32, frames: u64) {
    open(client, watched, stream, "Synthesize");
    says(watched, stream, &text("session-1"));
    for sequence in 1..=frames {
        answers(watched, stream, &audio("session-1", sequence));
    }
}

/// Kind, stream and method of each event.
fn told(watched: &mut Watched) -> Vec<String> {
    let events = watched.take();
    events
        .iter()
        .map(|event| {
            let kind = event.split(' ').next().unwrap_or_default();
            let stream = event.split("stream: ").nth(1).unwrap_or_default();
            let stream = stream.split(' ').next().unwrap_or_default();
            let rest = event.split("method: ").nth(1).unwrap_or_default();
            let origin = event.split("origin: ").nth(1).unwrap_or_default();
            let origin = origin.split([',', ' ']).next().unwrap_or_default();
            let detail = rest.trim_end_matches([' ', '}']).to_owned() + origin;
            format!("{kind} {stream} {detail}").trim_end().to_owned()
        })
        .collect()
}

#[test]
fn open_stream_is_named_once_and_what_it_said_before_counts_as_lost() {
    let (mut client, mut watched) = joined_after(&["Synthesize"]);
    speech(&mut client, &mut watched, 5, 4);
    assert_eq!(
        told(&mut watched),
        [
            "CallStarted 5 Unknown",
            "Message 5 Client",
            "Message 5 Server",
            "Message 5 Server",
            "Message 5 Server",
            "MethodInferred 5 Synthesize",
            "MessagesLost 5 Client",
            "MessagesLost 5 Server",
            "Message 5 Server",
        ]
    );
    // The next call of the entry is known from its start, and its messages are read.
    open(&mut client, &mut watched, 7, "Synthesize");
    says(&mut watched, 7, &text("session-1"));
    let events = watched.take();
    assert!(events[0].contains("Known(Synthesize)"), "{events:?}");
    assert!(
        events[1].contains("SessionId, Text(\"session-1\")"),
        "{events:?}"
    );
}

#[test]
fn stream_that_was_open_before_the_join_is_named_by_its_frames() {
    let (_, mut watched) = joined_after(&[]);
    for sequence in 7..10 {
        answers(&mut watched, 3, &audio("session-1", sequence));
    }
    answers(&mut watched, 3, &audio("session-1", 10));
    assert_eq!(
        told(&mut watched),
        [
            "CallStarted 3 Unknown",
            "Message 3 Server",
            "Message 3 Server",
            "Message 3 Server",
            "MethodInferred 3 Synthesize",
            "MessagesLost 3 Client",
            "MessagesLost 3 Server",
            "Message 3 Server",
        ]
    );
}

#[test]
fn message_that_does_not_fit_makes_its_entry_unknown_for_good() {
    let (mut client, mut watched) = joined_after(&["Synthesize"]);
    speech(&mut client, &mut watched, 5, 4);
    open(&mut client, &mut watched, 7, "Synthesize");
    watched.take();
    answers(&mut watched, 7, &Body::default().varint(1, 1));
    watched.at += 200 * MS;
    open(&mut client, &mut watched, 9, "Synthesize");
    for sequence in 1..6 {
        answers(&mut watched, 9, &audio("session-1", sequence));
    }
    let told = told(&mut watched);
    let kinds: Vec<_> = told
        .iter()
        .filter(|told| !told.starts_with("Message "))
        .collect();
    assert_eq!(
        kinds,
        [
            "MethodContradicted 5",
            "MethodContradicted 7",
            "CallStarted 9 Unknown",
        ]
    );
}

#[test]
fn entry_is_unknown_again_after_a_gap_and_told_anew() {
    let (mut client, mut watched) = joined_after(&["Synthesize"]);
    speech(&mut client, &mut watched, 5, 4);
    watched.hole(Sent, 100, GapReason::Lost);
    let ping = frame(kind::PING, 0, 0, b"12345678");
    watched.bytes(Sent, &[&ping[..], &ping, &ping].concat());
    watched.take();
    speech(&mut client, &mut watched, 9, 3);
    open(&mut client, &mut watched, 11, "Synthesize");
    let told = told(&mut watched);
    let kinds: Vec<_> = told
        .iter()
        .filter(|told| !told.starts_with("Message "))
        .collect();
    assert_eq!(
        kinds,
        [
            "CallStarted 9 Unknown",
            "MethodInferred 9 Synthesize",
            "MessagesLost 9 Client",
            "MessagesLost 9 Server",
            "CallStarted 11 Known(Synthesize)",
        ]
    );
}

#[test]
fn path_written_out_rules_out_the_entries_that_are_used_after_it() {
    // An entry that looks like Synthesize and is not: Synthesize itself is written out later.
    let (mut client, mut watched) = joined_after(&["Rehearse"]);
    open(&mut client, &mut watched, 5, "Rehearse");
    for sequence in 1..5 {
        answers(&mut watched, 5, &audio("session-1", sequence));
    }
    assert!(told(&mut watched).contains(&"MethodInferred 5 Synthesize".to_owned()));
    open(&mut client, &mut watched, 7, "Synthesize");
    open(&mut client, &mut watched, 9, "Rehearse");
    watched.at += 200 * MS;
    open(&mut client, &mut watched, 11, "Rehearse");
    assert_eq!(
        told(&mut watched),
        [
            "CallStarted 7 Known(Synthesize)",
            "CallStarted 9 Unknown",
            "MethodContradicted 5",
            "MethodContradicted 9",
            "CallStarted 11 Unknown",
        ]
    );
}

#[test]
fn empty_request_and_a_yes_is_no_method_of_the_profile() {
    let (mut client, mut watched) = joined_after(&["Ping"]);
    for stream in 0..50 {
        let stream = 2 * stream + 1;
        open(&mut client, &mut watched, stream, "Ping");
        says(&mut watched, stream, &Body::default());
        answers(&mut watched, stream, &Body::default().varint(1, 1));
    }
    assert!(
        !told(&mut watched)
            .iter()
            .any(|told| told.contains("Inferred"))
    );
}

#[test]
fn call_that_may_be_a_command_is_told_of_the_streams_of_its_session() {
    let (mut client, mut watched) = joined_after(&["Synthesize", "Control"]);
    speech(&mut client, &mut watched, 5, 4);
    watched.at += 200 * MS;
    for (stream, session) in [(7, "session-1"), (9, "session-2")] {
        open(&mut client, &mut watched, stream, "Synthesize");
        says(&mut watched, stream, &text(session));
    }
    watched.take();
    open(&mut client, &mut watched, 11, "Control");
    says(&mut watched, 11, &Body::default().text(1, "session-2"));
    let told = told(&mut watched);
    assert_eq!(
        told,
        [
            "CallStarted 11 Unknown",
            "Message 11 Client",
            "MaybeCommanded 9",
        ]
    );
}
