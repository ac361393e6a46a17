use super::super::tests::peer::{Peers, Watched, data, frame};
use super::*;
use crate::record::{Direction, GapReason};
use crate::wire::http2::{PREFACE, flag, kind};

const MS: u64 = 1_000_000;

/// The watched client of a connection, whose server grants windows.
struct Story {
    watched: Watched,
    peers: Peers,
}

impl Story {
    /// A connection whose streams begin with this window.
    fn new(initial: u32) -> Self {
        let mut story = Self {
            watched: Watched::new(Joined::FromStart),
            peers: Peers::default(),
        };
        story.sends(0, PREFACE);
        story.sends(0, &frame(kind::SETTINGS, 0, 0, b""));
        story.grants(0, &settings(initial));
        story
    }

    fn opens(&mut self, at_ms: u64, stream: u32) {
        let request = self.peers.request(stream, "Synthesize");
        self.sends(at_ms, &request);
    }

    fn sends(&mut self, at_ms: u64, bytes: &[u8]) {
        self.watched.at = at_ms * MS;
        self.watched.bytes(Direction::Sent, bytes);
    }

    fn grants(&mut self, at_ms: u64, bytes: &[u8]) {
        self.watched.at = at_ms * MS;
        self.watched.bytes(Direction::Received, bytes);
    }

    /// What was blocked since last asked: stream, from, until in milliseconds, by what.
    fn blocked(&mut self) -> Vec<(Option<u32>, u64, u64, Limit)> {
        let blocked = self.watched.notes.blocked.drain(..);
        blocked
            .map(|it| (it.stream, it.from.0 / MS, it.until.0 / MS, it.by))
            .collect()
    }
}

fn settings(initial: u32) -> Vec<u8> {
    let payload = [&[0, 4][..], &initial.to_be_bytes()].concat();
    frame(kind::SETTINGS, 0, 0, &payload)
}

fn update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

#[test]
fn stream_without_window_is_blocked_until_its_update() {
    let mut story = Story::new(1000);
    story.opens(0, 1);
    story.sends(10, &data(1, 0, &[0; 900]));
    // What still fits, then nothing.
    story.sends(20, &data(1, 0, &[0; 100]));
    story.grants(100, &update(1, 500));
    assert_eq!(story.blocked(), [], "nothing was sent since");
    story.sends(101, &data(1, 0, &[0; 400]));
    assert_eq!(story.blocked(), [(Some(1), 20, 100, Limit::StreamWindow)]);
}

#[test]
fn stream_that_has_window_and_sends_late_is_not_blocked() {
    let mut story = Story::new(1000);
    story.opens(0, 1);
    story.sends(10, &data(1, 0, &[0; 600]));
    story.grants(10, &update(1, 600));
    story.sends(500, &data(1, 0, &[0; 600]));
    story.sends(900, &data(1, 0, &[0; 400]));
    assert_eq!(story.blocked(), []);
}

#[test]
fn streams_of_a_connection_without_window_are_all_blocked() {
    let mut story = Story::new(1 << 20);
    story.opens(0, 1);
    story.opens(0, 3);
    for _ in 0..4 {
        story.sends(10, &data(1, 0, &[0; 16_000]));
    }
    story.sends(11, &data(3, 0, &[0; 1_535]));
    // Each update is taken by one of them at once.
    story.grants(50, &update(0, 1_000));
    story.sends(50, &data(3, 0, &[0; 1_000]));
    story.grants(80, &update(0, 1_000));
    story.sends(80, &data(1, 0, &[0; 1_000]));
    let by = Limit::ConnectionWindow;
    assert_eq!(
        story.blocked(),
        [(Some(3), 11, 50, by), (Some(1), 11, 80, by)]
    );
}

#[test]
fn padding_takes_from_the_window() {
    let mut story = Story::new(100);
    story.opens(0, 1);
    // One octet of length, 39 of content, 60 of padding.
    let padded = [&[60][..], &[0; 99]].concat();
    story.sends(10, &data(1, flag::PADDED, &padded));
    story.grants(40, &update(1, 100));
    story.sends(41, &data(1, 0, &[0; 50]));
    assert_eq!(story.blocked(), [(Some(1), 10, 40, Limit::StreamWindow)]);
}

#[test]
fn another_initial_window_changes_open_streams_by_the_difference() {
    let mut story = Story::new(1000);
    story.opens(0, 1);
    story.sends(10, &data(1, 0, &[0; 600]));
    // 400 were left: now 200 are missing.
    story.grants(20, &settings(400));
    story.grants(60, &update(1, 100));
    story.grants(90, &settings(900));
    story.sends(91, &data(1, 0, &[0; 350]));
    assert_eq!(story.blocked(), [(Some(1), 20, 90, Limit::StreamWindow)]);
}

#[test]
fn lost_frames_leave_windows_unknown_until_a_stream_begins_with_a_known_one() {
    for lost in [Direction::Sent, Direction::Received] {
        let mut story = Story::new(1000);
        story.opens(0, 1);
        story.sends(10, &data(1, 0, &[0; 1000]));
        story.watched.hole(lost, 100, GapReason::Lost);
        // Two frames that end with the push give the framing back.
        let pings = [0; 2]
            .map(|_| frame(kind::PING, 0, 0, b"12345678"))
            .concat();
        match lost {
            Direction::Sent => story.sends(20, &pings),
            Direction::Received => story.grants(20, &pings),
        }
        story.grants(100, &update(1, 1000));
        story.sends(101, &data(1, 0, &[0; 1000]));
        assert_eq!(story.blocked(), [], "{lost:?}: nobody knows what was left");
        if lost == Direction::Received {
            story.grants(102, &settings(1000));
        }
        story.opens(110, 3);
        story.sends(110, &data(3, 0, &[0; 1000]));
        story.grants(150, &update(3, 1000));
        story.sends(151, &data(3, 0, &[0; 1000]));
        let blocked = (Some(3), 110, 150, Limit::StreamWindow);
        assert_eq!(story.blocked(), [blocked], "{lost:?}");
    }
}

#[test]
fn windows_of_a_connection_joined_late_are_unknown() {
    let mut story = Story {
        watched: Watched::new(Joined::Late),
        peers: Peers::default(),
    };
    let one = data(1, 0, &[0; 100]);
    story.sends(0, &[one.clone(), one.clone()].concat());
    story.grants(0, &[update(1, 10), update(0, 10)].concat());
    story.sends(500, &one);
    story.opens(600, 3);
    story.sends(600, &data(3, 0, &[0; 100]));
    story.sends(900, &data(3, 0, &[0; 100]));
    assert_eq!(story.blocked(), []);
}

#[test]
fn frame_sent_in_two_parts_waited_for_the_socket() {
    let mut story = Story::new(1000);
    story.opens(0, 1);
    let bytes = data(1, 0, &[0; 500]);
    let (first, rest) = bytes.split_at(300);
    story.sends(10, first);
    story.sends(70, rest);
    assert_eq!(story.blocked(), [(None, 10, 70, Limit::Socket)]);
    // Whole frames wait for nobody.
    story.sends(300, &data(1, 0, &[0; 100]));
    assert_eq!(story.blocked(), []);
}
