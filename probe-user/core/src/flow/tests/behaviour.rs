//! One behaviour of calls and connections each.

use super::peer::{
    Peers, Piece, Watched, audio_frame, data, frame, message, ping, settings, text_chunk,
};
use crate::flow::Problem;
use crate::record::Direction::{Received, Sent};
use crate::record::{GapReason, Joined};
use crate::wire::http2::{PREFACE, flag, kind};

const END: u8 = flag::END_STREAM;

/// A watched connection with its preface behind it.
fn begun() -> (Peers, Watched) {
    let mut watched = Watched::new(Joined::FromStart);
    watched.bytes(Sent, &[PREFACE.to_vec(), settings()].concat());
    watched.bytes(Received, &settings());
    (Peers::default(), watched)
}

/// A watched connection with a Synthesize call on stream 1.
fn speaking() -> (Peers, Watched) {
    let (mut peers, mut watched) = begun();
    watched.bytes(Sent, &peers.request(1, "Synthesize"));
    watched.bytes(Received, &peers.response(1));
    watched.take();
    (peers, watched)
}

/// Kinds of events, with what tells them apart.
fn kinds(events: &[String]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let kind = event.split(' ').next().unwrap_or_default().to_owned();
            let detail = ["method: ", "end: ", "Sequence, Integer("]
                .iter()
                .find_map(|key| event.split(key).nth(1))
                .map(|rest| rest.strip_suffix(" }").unwrap_or(rest));
            match (kind.as_str(), detail) {
                ("Message", Some(rest)) => {
                    format!("{kind} {}", rest.split(')').next().unwrap_or_default())
                }
                (_, Some(rest)) => format!("{kind} {rest}"),
                (_, None) => kind,
            }
        })
        .collect()
}

#[test]
fn unary_call_is_told_from_start_to_status() {
    let (mut peers, mut watched) = begun();
    let pause = message(b"\x0a\x02s1\x10\x02");
    watched.bytes(
        Sent,
        &[peers.request(1, "Control"), data(1, END, &pause)].concat(),
    );
    let reply = [
        peers.response(1),
        data(1, 0, &message(b"\x08\x01")),
        peers.trailers(1, "0"),
    ];
    watched.at = 9;
    watched.bytes(Received, &reply.concat());
    let call = "call: CallId { connection: ConnectionId(7), stream: 1 }";
    assert_eq!(
        watched.take(),
        [
            format!("CallStarted {{ {call}, at: KtimeNs(0), method: Known(Control) }}"),
            format!(
                "Message {{ {call}, at: KtimeNs(0), origin: Client, message: Message {{ length: 6, \
                 intact: true, fields: [(SessionId, Text(\"s1\")), (Command, Integer(2))] }} }}"
            ),
            format!("RequestsEnded {{ {call}, at: KtimeNs(0) }}"),
            format!(
                "Message {{ {call}, at: KtimeNs(9), origin: Server, message: Message {{ length: 2, \
                 intact: true, fields: [(Success, Integer(1))] }} }}"
            ),
            format!("CallEnded {{ {call}, at: KtimeNs(9), end: Status(Some(0)) }}"),
        ]
    );
    assert_eq!(watched.open_calls(), 0);
}

#[test]
fn trace_of_a_call_is_told_with_its_start_and_may_be_in_a_capture() {
    const ONE: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OTHER: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4737-00f067aa0ba902b7-00";
    let (mut peers, mut watched) = begun();
    let first = peers.traced(1, &[ONE]);
    let pieces = watched.bytes(Sent, &first);
    let kept = |value: &[u8]| {
        let holds = |piece: &Piece| match piece {
            Piece::Bytes(bytes) => bytes.windows(value.len()).any(|part| part == value),
            Piece::Hole(..) => false,
        };
        pieces.iter().any(holds)
    };
    assert!(kept(ONE) && !kept(super::peer::TOKEN));
    // From the header table; two that differ; none that can be read.
    for (stream, contexts) in [(3, &[ONE][..]), (5, &[ONE, OTHER]), (7, &[b"00-x"])] {
        watched.bytes(Sent, &peers.traced(stream, contexts));
    }
    let events = watched.take();
    let told: Vec<_> = events
        .iter()
        .filter(|it| it.starts_with("Traced"))
        .collect();
    assert_eq!(told.len(), 2, "{events:#?}");
    for (event, stream) in told.iter().zip([1, 3]) {
        let context = "TraceContext { trace: 4bf92f3577b34da6a3ce929d0e0e4736, parent: \
                       00f067aa0ba902b7, sampled: true }";
        assert!(event.contains(context), "{event}");
        assert!(event.contains(&format!("stream: {stream} ")), "{event}");
    }
}

#[test]
fn padding_and_priority_are_removed() {
    let (mut peers, mut watched) = begun();
    let block = peers.request_block("Synthesize");
    let mut payload = vec![3, 0, 0, 0, 0, 15];
    payload.extend(&block);
    payload.extend([0; 3]);
    let flags = flag::END_HEADERS | flag::PADDED | flag::PRIORITY;
    watched.bytes(Sent, &frame(kind::HEADERS, flags, 1, &payload));
    let mut padded = vec![4];
    padded.extend(text_chunk());
    padded.extend([0; 4]);
    watched.bytes(Sent, &data(1, flag::PADDED | END, &padded));
    assert_eq!(
        kinds(&watched.take()),
        [
            "CallStarted Known(Synthesize)",
            "Message 1",
            "RequestsEnded"
        ]
    );
}

#[test]
fn header_block_over_continuations_is_one() {
    let (mut peers, mut watched) = begun();
    let block = peers.request_block("Synthesize");
    let (first, rest) = block.split_at(3);
    let (second, third) = rest.split_at(10);
    let frames = [
        frame(kind::HEADERS, END, 1, first),
        frame(kind::CONTINUATION, 0, 1, second),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, third),
    ];
    let pieces = watched.bytes(Sent, &frames.concat());
    assert_eq!(
        kinds(&watched.take()),
        ["CallStarted Known(Synthesize)", "RequestsEnded"]
    );
    // The token is in the last fragment: it is masked there, and nothing else is.
    let text = String::from_utf8_lossy(&frames.concat()).replace("Bearer SECRET", &"*".repeat(13));
    let [Piece::Bytes(kept)] = &pieces[..] else {
        panic!("header blocks are kept whole: {pieces:?}");
    };
    assert_eq!(String::from_utf8_lossy(kept), text);
}

#[test]
fn frame_between_continuations_loses_the_framing() {
    let (mut peers, mut watched) = begun();
    let block = peers.request_block("Synthesize");
    watched.bytes(Sent, &[frame(kind::HEADERS, 0, 1, &block), ping()].concat());
    assert_eq!(watched.notes.problems, [Problem::BadFrame]);
}

#[test]
fn trailers_only_response_ends_the_call() {
    let (mut peers, mut watched) = begun();
    watched.bytes(Sent, &peers.request(1, "Synthesize"));
    watched.bytes(Received, &peers.trailers(1, "5"));
    assert_eq!(
        kinds(&watched.take()),
        ["CallStarted Known(Synthesize)", "CallEnded Status(Some(5))"]
    );
}

#[test]
fn interim_response_is_not_the_response() {
    let (_, mut watched) = speaking();
    // ":status: 103" without indexing.
    let block = [0x08, 0x03, b'1', b'0', b'3'];
    watched.bytes(
        Received,
        &frame(kind::HEADERS, flag::END_HEADERS, 1, &block),
    );
    watched.bytes(Received, &data(1, 0, &audio_frame(1, 4)));
    assert_eq!(kinds(&watched.take()), ["Message 1"]);
}

#[test]
fn reset_ends_the_call_and_tells_who_did_it() {
    for (from, by) in [(Sent, "Client"), (Received, "Server")] {
        let (mut peers, mut watched) = speaking();
        watched.bytes(from, &frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]));
        // What crosses with it belongs to no call.
        watched.bytes(Received, &data(1, 0, &audio_frame(1, 4)));
        watched.bytes(Received, &peers.trailers(1, "0"));
        assert_eq!(
            kinds(&watched.take()),
            [format!("CallEnded Reset {{ code: 8, by: {by} }}")]
        );
    }
}

#[test]
fn goaway_refuses_calls_above_the_last_stream() {
    let (mut peers, mut watched) = speaking();
    watched.bytes(Sent, &peers.request(3, "Synthesize"));
    watched.take();
    let mut payload = vec![0, 0, 0, 1, 0, 0, 0, 0];
    payload.extend(b"too_many_pings");
    watched.bytes(Received, &frame(kind::GOAWAY, 0, 0, &payload));
    assert_eq!(kinds(&watched.take()), ["CallEnded Refused"]);
    watched.bytes(Received, &data(1, 0, &audio_frame(1, 4)));
    watched.bytes(Received, &data(1, END, b""));
    assert_eq!(
        kinds(&watched.take()),
        ["Message 1", "CallEnded Status(None)"]
    );
}

#[test]
fn connection_end_ends_its_calls() {
    let (mut peers, mut watched) = speaking();
    watched.bytes(Sent, &peers.request(3, "Control"));
    watched.take();
    watched.half_close(Sent);
    assert_eq!(watched.open_calls(), 2);
    watched.half_close(Received);
    assert_eq!(kinds(&watched.take()), ["CallEnded ConnectionClosed"; 2]);
    watched.bytes(Received, &ping());
    watched.close();
    assert!(watched.take().is_empty());
}

#[test]
fn compressed_message_is_counted_and_not_read() {
    let (_, mut watched) = speaking();
    watched.bytes(Received, &data(1, 0, &[1, 0, 0, 0, 3, 9, 9, 9]));
    let events = watched.take();
    assert_eq!(events.len(), 1);
    assert!(events[0].contains("length: 3, intact: false, fields: []"));
}

#[test]
fn senseless_message_prefix_loses_messages_until_a_frame_holds_one() {
    let (_, mut watched) = speaking();
    let (first, second) = (audio_frame(1, 40), audio_frame(2, 40));
    watched.bytes(Received, &data(1, 0, b"\x07\x00\x00\x00\x01x"));
    // Two frames that hold half a message each, then one that holds two, then one.
    watched.bytes(Received, &data(1, 0, &first[..30]));
    watched.bytes(Received, &data(1, 0, &first[30..]));
    watched.bytes(Received, &data(1, 0, &[&first[..], &second].concat()));
    watched.bytes(Received, &data(1, 0, &audio_frame(3, 40)));
    watched.bytes(Received, &data(1, 0, &audio_frame(4, 40)[..10]));
    watched.bytes(Received, &data(1, 0, &audio_frame(4, 40)[10..]));
    assert_eq!(
        kinds(&watched.take()),
        ["MessagesLost", "Message 3", "Message 4"]
    );
    assert_eq!(watched.notes.problems, [Problem::BadMessagePrefix]);
}

#[test]
fn path_of_another_service_is_other_and_its_messages_are_counted() {
    let (mut peers, mut watched) = begun();
    watched.bytes(Sent, &peers.request(1, "Sing"));
    watched.bytes(Sent, &data(1, 0, &text_chunk()));
    let events = watched.take();
    assert_eq!(kinds(&events), ["CallStarted Other", "Message"]);
    assert!(events[1].contains("intact: false, fields: []"));
}

#[test]
fn connection_joined_late_knows_new_methods_and_not_old_ones() {
    let mut peers = Peers::default();
    // The first use of Synthesize is before the join; its path is in the table.
    peers.request(1, "Synthesize");
    peers.response(1);
    let mut watched = Watched::new(Joined::Late);
    let second = [peers.request(3, "Synthesize"), data(3, 0, &text_chunk())];
    watched.bytes(Sent, &second.concat());
    // A method that is new on the connection is written out once, then referred to.
    watched.bytes(Sent, &peers.request(5, "Control"));
    watched.bytes(Sent, &peers.request(7, "Control"));
    let events = kinds(&watched.take());
    assert_eq!(events[0], "CallStarted Unknown");
    assert!(events[1].starts_with("Message"));
    assert_eq!(
        events[2..],
        ["CallStarted Known(Control)", "CallStarted Known(Control)"]
    );
    assert_eq!(watched.notes.problems, [Problem::Resynchronised]);
}

#[test]
fn late_join_of_one_frame_a_push_finds_the_framing() {
    let mut watched = Watched::new(Joined::Late);
    for sequence in 1..5 {
        watched.bytes(Received, &data(9, 0, &audio_frame(sequence, 1920)));
    }
    // The second push proves the framing and is read.
    let events = watched.take();
    assert_eq!(
        kinds(&events),
        ["CallStarted Unknown", "Message", "Message", "Message"]
    );
}

#[test]
fn call_joined_in_the_middle_of_a_message_tells_no_wrong_one() {
    let mut watched = Watched::new(Joined::Late);
    watched.bytes(Received, &[ping(), ping(), ping()].concat());
    let first = audio_frame(1, 40);
    watched.bytes(Received, &data(1, 0, &first[7..]));
    watched.bytes(Received, &data(1, 0, &audio_frame(2, 40)));
    let events = watched.take();
    assert_eq!(
        kinds(&events),
        ["CallStarted Unknown", "MessagesLost", "Message"]
    );
    assert!(events[2].contains("length: 54, "), "{}", events[2]);
}

#[test]
fn frames_that_cross_with_the_end_start_no_call_on_a_late_connection() {
    let mut watched = Watched::new(Joined::Late);
    let reset = frame(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    watched.bytes(
        Sent,
        &[ping(), ping(), data(1, 0, &text_chunk()), reset].concat(),
    );
    watched.take();
    watched.bytes(
        Received,
        &[ping(), ping(), data(1, 0, &audio_frame(1, 4))].concat(),
    );
    assert!(watched.take().is_empty());
}

#[test]
fn framing_is_found_again_behind_garbage() {
    let (mut peers, mut watched) = speaking();
    watched.hole(Received, 5000, GapReason::Lost);
    watched.bytes(Received, &[0x55; 300]);
    assert_eq!(kinds(&watched.take()), ["MessagesLost"]);
    let control = [ping(), settings(), ping()].concat();
    watched.bytes(Received, &control);
    watched.bytes(Received, &data(1, 0, &audio_frame(1, 4)));
    watched.bytes(Sent, &data(1, END, &text_chunk()));
    watched.bytes(Received, &peers.trailers(1, "0"));
    assert_eq!(
        kinds(&watched.take()),
        [
            "Message 1",
            "Message 1",
            "RequestsEnded",
            "CallEnded Status(Some(0))"
        ]
    );
    assert_eq!(
        watched.notes.problems,
        [Problem::FramingLost, Problem::Resynchronised]
    );
}

#[test]
fn call_without_a_sign_of_life_after_a_gap_is_given_up() {
    let (mut peers, mut watched) = speaking();
    watched.bytes(Sent, &peers.request(3, "Synthesize"));
    watched.take();
    watched.hole(Received, 5000, GapReason::Lost);
    watched.bytes(Received, &[ping(), ping(), data(3, 0, b"")].concat());
    watched.bytes(Received, &data(3, 0, b"\x00"));
    watched.at = 31_000_000_000;
    watched.bytes(Received, &ping());
    let events = watched.take();
    assert_eq!(
        kinds(&events),
        ["MessagesLost", "MessagesLost", "CallEnded Unknown"]
    );
    assert!(events[2].contains("stream: 1 "));
}

#[test]
fn damaged_header_block_makes_the_call_unknown_and_keeps_the_framing() {
    let (mut peers, mut watched) = begun();
    watched.bytes(
        Sent,
        &frame(kind::HEADERS, flag::END_HEADERS, 1, &[0xff, 0xff]),
    );
    watched.bytes(Sent, &peers.request(3, "Control"));
    assert_eq!(
        kinds(&watched.take()),
        ["CallStarted Unknown", "CallStarted Known(Control)"]
    );
    assert_eq!(watched.notes.problems, [Problem::BadHeaderBlock]);
}

#[test]
fn calls_are_bounded_and_the_least_recently_used_goes() {
    let (mut peers, mut watched) = begun();
    for number in 0..600 {
        watched.bytes(Sent, &peers.request(2 * number + 1, "Synthesize"));
        // The first call stays in use.
        watched.bytes(Received, &data(1, 0, &audio_frame(1, 4)));
    }
    assert_eq!(watched.open_calls(), 512);
    let events = watched.take();
    let ended: Vec<_> = events
        .iter()
        .filter(|e| e.starts_with("CallEnded"))
        .collect();
    assert_eq!(ended.len(), 88);
    assert!(ended[0].contains("stream: 3 ") && ended[0].contains("end: Unknown"));
    assert_eq!(watched.notes.problems, vec![Problem::TooManyCalls; 88]);
}

#[test]
fn end_inside_a_frame_is_a_problem_and_between_frames_none() {
    let (mut peers, _) = begun();
    let request = peers.request(1, "Synthesize");
    for cut in 0..=request.len() {
        let (_, mut watched) = begun();
        watched.bytes(Sent, &request[..cut]);
        watched.close();
        watched.close();
        let whole = cut == 0 || cut == request.len();
        let expected = vec![Problem::CutShort; usize::from(!whole)];
        assert_eq!(watched.notes.problems, expected, "{cut}");
    }
}

#[test]
fn message_that_the_end_of_its_stream_cuts_short_is_a_problem() {
    let (_, mut watched) = speaking();
    watched.bytes(Sent, &data(1, END, &message(b"\x0a\x02s1")[..6]));
    assert_eq!(watched.notes.problems, [Problem::CutShort]);
    let (_, mut watched) = speaking();
    watched.bytes(Sent, &data(1, END, &message(b"\x0a\x02s1")));
    watched.close();
    assert!(watched.notes.problems.is_empty());
}
