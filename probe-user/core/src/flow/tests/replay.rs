//! A capture that holds only what the sink was told to keep replays to the same events.

use super::peer::{AUDIO, Peers, Piece, Push, TEXT, TOKEN, Watched};
use crate::record::{Direction, GapReason, Joined};

/// Runs pieces live while capturing them, then the capture; both must see the same.
fn assert_replays(joined: Joined, chunks: &[(Direction, Vec<Piece>)], place: &str) -> Vec<String> {
    let mut live = Watched::new(joined);
    let mut replayed = Watched::new(joined);
    for (from, pieces) in chunks {
        live.at += 1;
        replayed.at += 1;
        let mut captured = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => captured.extend(live.bytes(*from, bytes)),
                Piece::Hole(length, reason) => {
                    live.hole(*from, *length, *reason);
                    captured.push(piece.clone());
                }
            }
        }
        for piece in &captured {
            if let Piece::Bytes(bytes) = piece {
                assert!(!bytes.contains(&AUDIO), "{place}");
                assert!(
                    !bytes.windows(4).any(|window| window == &TEXT[..4]),
                    "{place}"
                );
            }
        }
        replayed.pieces(*from, &captured);
    }
    live.close();
    replayed.close();
    let events = live.take();
    assert_eq!(replayed.take(), events, "{place}");
    events
}

fn chunk(push: &Push) -> (Direction, Vec<Piece>) {
    (push.from, vec![Piece::Bytes(push.bytes.clone())])
}

#[test]
fn capture_of_a_whole_connection_replays_alike() {
    let chunks: Vec<_> = Peers::conversation().iter().map(chunk).collect();
    let events = assert_replays(Joined::FromStart, &chunks, "whole");
    assert_eq!(
        events.iter().filter(|e| e.starts_with("Message {")).count(),
        16
    );
}

#[test]
fn capture_joined_late_anywhere_replays_alike() {
    let pushes = Peers::conversation();
    for first in 0..pushes.len() {
        for cut in [0, 1, 9, 20] {
            let mut chunks: Vec<_> = pushes[first..].to_vec();
            let start = cut.min(chunks[0].bytes.len() - 1);
            chunks[0].bytes.drain(..start);
            let chunks: Vec<_> = chunks.iter().map(chunk).collect();
            assert_replays(Joined::Late, &chunks, &format!("from {first}, {cut}"));
        }
    }
}

#[test]
fn capture_with_a_hole_anywhere_replays_alike() {
    let pushes = Peers::conversation();
    for (index, holed) in pushes.iter().enumerate() {
        for position in 0..holed.bytes.len() {
            for length in [1, 9, 40] {
                let end = (position + length).min(holed.bytes.len());
                let mut chunks: Vec<_> = pushes.iter().map(chunk).collect();
                let mut pieces = vec![
                    Piece::Bytes(holed.bytes[..position].to_vec()),
                    Piece::Hole((end - position) as u64, GapReason::CaptureLimit),
                    Piece::Bytes(holed.bytes[end..].to_vec()),
                ];
                pieces.retain(|piece| *piece != Piece::Bytes(Vec::new()));
                chunks[index].1 = pieces;
                let place = format!("push {index}, {length} at {position}");
                assert_replays(Joined::FromStart, &chunks, &place);
            }
        }
    }
}

#[test]
fn captured_headers_hold_no_value_of_the_application() {
    let mut watched = Watched::new(Joined::FromStart);
    let mut kept = Vec::new();
    for push in Peers::conversation() {
        for piece in watched.bytes(push.from, &push.bytes) {
            if let Piece::Bytes(bytes) = piece {
                kept.extend(bytes);
            }
        }
    }
    let holds = |text: &[u8]| kept.windows(text.len()).any(|window| window == text);
    assert!(holds(b"authorization") && holds(b"/tts.TTSService/Control"));
    assert!(!holds(TOKEN) && !holds(b"SECRET"));
}
