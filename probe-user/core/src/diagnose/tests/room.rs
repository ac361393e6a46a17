//! Frames that found no room: in the socket, in an HTTP/2 window, in the network.

use super::story::{SENDER, START, Story, at, contended, timed, wait};
use crate::diagnose::Cause;
use crate::flow::{Blocked, Limit};
use crate::record::{ConnectionId, Sched, TcpReading, Wait};

#[test]
fn send_that_waits_or_finds_no_room_blames_the_receiver() {
    let mut story = Story::new();
    story.tell(Sched {
        wait: Wait::Send,
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    });
    story.assert(Story::frame(START + 90.1), Cause::SocketBackpressure);

    let mut story = Story::new();
    story.tell(Sched {
        refused: Some(at(START + 0.1)),
        ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
    });
    story.assert(Story::frame(START + 90.1), Cause::SocketBackpressure);
}

/// TCP's counts of 100 ms from `before` on, milliseconds.
fn tcp(connection: u64, before: f64, window_full_ms: u64, unacknowledged_ms: u64) -> TcpReading {
    TcpReading {
        connection: ConnectionId(connection),
        at: at(before + 100.0),
        before: at(before),
        resent: 3,
        window_full_ns: window_full_ms * 1_000_000,
        unacknowledged_ns: unacknowledged_ms * 1_000_000,
    }
}

#[test]
fn full_socket_blames_the_network_while_the_receiver_has_room_and_does_not_acknowledge() {
    for (window_full_ms, unacknowledged_ms, cause) in [
        (0, 100, Cause::PacketLoss),
        (30, 100, Cause::PacketLoss),
        (80, 100, Cause::SocketBackpressure),
        (0, 30, Cause::SocketBackpressure),
    ] {
        let mut story = Story::new();
        story.tell(Sched {
            wait: Wait::Send,
            ..wait(SENDER, START + 0.2, START + 90.0, START + 90.0)
        });
        let counts =
            |connection, before| tcp(connection, before, window_full_ms, unacknowledged_ms);
        story.diagnosis.handle_tcp(&counts(1, START + 10.0));
        // Those of another connection and of another time say nothing.
        for _ in 0..9 {
            story.diagnosis.handle_tcp(&counts(2, START + 10.0));
            story.diagnosis.handle_tcp(&counts(1, START + 91.0));
        }
        let finding = story.assert(Story::frame(START + 90.1), cause);
        let trouble = finding.verdict.tcp.expect("TCP said something");
        assert_eq!(trouble.resent, 3);
    }
}

/// The sender waits for input until the frame is sent, and this kept it from sending meanwhile.
fn blocked(stream: Option<u32>, from: f64, until: f64, by: Limit) -> Story {
    let mut story = Story::new();
    story.tell(wait(SENDER, START + 0.2, START + 120.0, START + 120.0));
    story.diagnosis.handle_blocked(Blocked {
        connection: ConnectionId(1),
        stream,
        from: at(from),
        until: at(until),
        by,
    });
    story
}

#[test]
fn frame_without_http2_window_blames_the_window() {
    let late = Story::frame(START + 120.3);
    for by in [Limit::StreamWindow, Limit::ConnectionWindow] {
        let mut story = blocked(Some(1), START, START + 119.5, by);
        let finding = story.assert(late.clone(), Cause::Http2Window);
        assert_eq!(
            finding.verdict.blocked.windows_ns(),
            99_500_000,
            "since it was due"
        );
    }
    // Another stream's window, or one that came when the frame was hardly due.
    let mut story = blocked(Some(3), START, START + 119.5, Limit::StreamWindow);
    story.assert(late.clone(), Cause::Unexplained);
    let mut story = blocked(Some(1), START, START + 50.0, Limit::StreamWindow);
    story.assert(late, Cause::Unexplained);
}

#[test]
fn used_up_window_blames_the_network_where_nothing_is_acknowledged() {
    let mut story = blocked(Some(1), START, START + 119.5, Limit::ConnectionWindow);
    story.diagnosis.handle_tcp(&tcp(1, START + 20.0, 0, 95));
    story.assert(Story::frame(START + 120.3), Cause::PacketLoss);
}

#[test]
fn used_up_window_blames_itself_where_bytes_were_on_their_way_before() {
    // Nothing is told of the time in which all was acknowledged.
    let mut story = blocked(Some(1), START, START + 319.5, Limit::ConnectionWindow);
    story.diagnosis.handle_tcp(&tcp(1, START - 40.0, 0, 95));
    story.assert(Story::frame(START + 320.3), Cause::Http2Window);
}

#[test]
fn interrupted_frame_blames_the_receiver_whichever_thread_ends_it() {
    let mut story = blocked(None, START, START + 119.5, Limit::Socket);
    story.assert(Story::frame(START + 120.3), Cause::SocketBackpressure);
}

#[test]
fn refused_send_blames_the_receiver_until_something_is_sent() {
    let refused = |from: f64| {
        let mut story = Story::new();
        // Its threads go on with what they have to do: other streams' timers.
        for turn in 0..5 {
            let from = START + 0.2 + f64::from(turn) * 24.0;
            story.tell(timed(SENDER, from, from + 23.0, from + 23.0));
        }
        story.send(at(START - 200.0));
        story.diagnosis.handle_refused(ConnectionId(1), at(from));
        story
    };
    let late = Story::frame(START + 120.3);
    let finding = refused(START + 1.0).assert(late.clone(), Cause::SocketBackpressure);
    assert_eq!(finding.verdict.blocked.socket_ns, 100_300_000, "since due");
    // The socket had room again for most of the time, or the record came after what was sent since.
    let mut story = refused(START - 100.0);
    story.send(at(START + 30.0));
    story.assert(late.clone(), Cause::OwnTimer);
    let mut story = refused(START - 300.0);
    story.assert(late, Cause::OwnTimer);
}

#[test]
fn socket_that_is_full_in_two_ways_at_once_is_full_once() {
    let mut story = blocked(None, START + 60.0, START + 119.5, Limit::Socket);
    story.send(at(START - 10.0));
    story
        .diagnosis
        .handle_refused(ConnectionId(1), at(START + 60.0));
    let finding = story.assert(Story::frame(START + 120.3), Cause::SocketBackpressure);
    assert_eq!(finding.verdict.blocked.socket_ns, 60_300_000);
}

#[test]
fn window_that_a_kept_thread_did_not_read_of_blames_what_kept_it() {
    let mut story = Story::new();
    story.tell(contended());
    story.diagnosis.handle_blocked(Blocked {
        connection: ConnectionId(1),
        stream: Some(1),
        from: at(START),
        until: at(START + 80.0),
        by: Limit::StreamWindow,
    });
    story.assert(Story::frame(START + 80.5), Cause::CpuContention);
}
