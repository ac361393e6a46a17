//! Cuts, holes and garbage.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::peer::{AUDIO, Peers, Push, TEXT, Watched};
use crate::record::{Direction, GapReason, Joined};

fn run(pushes: &[Push]) -> Vec<String> {
    let mut watched = Watched::new(Joined::FromStart);
    for push in pushes {
        watched.at += 1;
        watched.bytes(push.from, &push.bytes);
    }
    assert!(watched.notes.problems.is_empty());
    watched.take()
}

#[test]
fn events_are_the_same_wherever_a_push_is_cut() {
    let pushes = Peers::conversation();
    let truth = run(&pushes);
    for (index, cut_push) in pushes.iter().enumerate() {
        for cut in 0..=cut_push.bytes.len() {
            let mut watched = Watched::new(Joined::FromStart);
            for (number, push) in pushes.iter().enumerate() {
                watched.at += 1;
                if number == index {
                    watched.bytes(push.from, &push.bytes[..cut]);
                    watched.bytes(push.from, &push.bytes[cut..]);
                } else {
                    watched.bytes(push.from, &push.bytes);
                }
            }
            assert_eq!(watched.take(), truth, "push {index} cut at {cut}");
        }
    }
}

#[test]
fn events_are_the_same_octet_by_octet_and_content_is_never_kept() {
    let pushes = Peers::conversation();
    let truth = run(&pushes);
    let mut watched = Watched::new(Joined::FromStart);
    let mut kept = Vec::new();
    for push in &pushes {
        watched.at += 1;
        for octet in &push.bytes {
            watched.bytes(push.from, &[*octet]);
            if !watched.notes.kept.is_empty() {
                kept.push(*octet);
            }
        }
    }
    assert_eq!(watched.take(), truth);
    assert!(!kept.contains(&AUDIO));
    assert!(!kept.windows(4).any(|window| window == &TEXT[..4]));
    assert!(kept.windows(2).any(|window| window == b"s1"));
}

/// Everything a message says, without when, and whether it is intact.
fn statement(event: &str) -> Option<&str> {
    event.starts_with("Message {").then(|| {
        let from = event.find("origin").expect("messages have an origin");
        &event[from..]
    })
}

/// Of holes of many lengths at every position: nothing that is told may be wrong.
#[test]
fn hole_anywhere_never_makes_a_wrong_event() {
    let pushes = Peers::conversation();
    let truth = run(&pushes);
    let stated: BTreeSet<&str> = truth.iter().filter_map(|event| statement(event)).collect();
    let known: BTreeSet<&str> = truth
        .iter()
        .filter(|event| event.starts_with("CallStarted") || event.starts_with("CallEnded"))
        .map(String::as_str)
        .collect();
    for (index, holed) in pushes.iter().enumerate() {
        for position in 0..holed.bytes.len() {
            for length in [1, 2, 5, 9, 14, 33, 120] {
                let end = (position + length).min(holed.bytes.len());
                let mut watched = Watched::new(Joined::FromStart);
                for (number, push) in pushes.iter().enumerate() {
                    watched.at += 1;
                    if number == index {
                        watched.bytes(push.from, &push.bytes[..position]);
                        let missing = (end - position) as u64;
                        watched.hole(push.from, missing, GapReason::Lost);
                        watched.bytes(push.from, &push.bytes[end..]);
                    } else {
                        watched.bytes(push.from, &push.bytes);
                    }
                }
                for event in watched.take() {
                    let place = format!("push {index}, {length} bytes at {position}: {event}");
                    if let Some(message) = statement(&event)
                        && event.contains("intact: true")
                    {
                        assert!(stated.contains(message), "{place}");
                    }
                    let told = event.contains("Known(") || event.contains("Status(Some");
                    assert!(!told || known.contains(event.as_str()), "{place}");
                    assert!(
                        !event.contains("Reset") && !event.contains("Refused"),
                        "{place}"
                    );
                }
            }
        }
    }
}

#[test]
fn hole_inside_audio_loses_no_event() {
    let pushes = Peers::conversation();
    let truth = run(&pushes);
    let mut watched = Watched::new(Joined::FromStart);
    for push in &pushes {
        watched.at += 1;
        let audio: Vec<usize> = (0..push.bytes.len())
            .filter(|place| push.bytes[*place] == AUDIO)
            .collect();
        let (Some(first), true) = (audio.first(), audio.len() == 40) else {
            watched.bytes(push.from, &push.bytes);
            continue;
        };
        watched.bytes(push.from, &push.bytes[..*first]);
        watched.hole(push.from, 40, GapReason::ReadFault);
        watched.bytes(push.from, &push.bytes[first + 40..]);
    }
    assert_eq!(watched.take(), truth);
    assert!(watched.notes.problems.is_empty());
}

fn step() -> impl Strategy<Value = (bool, Option<u64>, Vec<u8>)> {
    let structured = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        (
            0_u8..11,
            any::<u8>(),
            0_u8..4,
            proptest::collection::vec(any::<u8>(), 0..40)
        )
            .prop_map(|(kind, flags, stream, payload)| {
                super::peer::frame(kind, flags, u32::from(stream), &payload)
            }),
    ];
    (
        any::<bool>(),
        proptest::option::weighted(0.1, 0_u64..200),
        structured,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn garbage_never_panics(
        late in any::<bool>(),
        preface in any::<bool>(),
        steps in proptest::collection::vec(step(), 0..40),
    ) {
        let joined = if late { Joined::Late } else { Joined::FromStart };
        let mut watched = Watched::new(joined);
        if preface {
            watched.bytes(Direction::Sent, crate::wire::http2::PREFACE);
        }
        for (sent, hole, bytes) in &steps {
            let from = if *sent { Direction::Sent } else { Direction::Received };
            watched.at += 1_000_000_000;
            if let Some(length) = hole {
                watched.hole(from, *length, GapReason::Lost);
            } else {
                let pieces = watched.bytes(from, bytes);
                prop_assert!(pieces.len() <= 2 * bytes.len() + 1);
            }
        }
        watched.close();
        prop_assert_eq!(watched.open_calls(), 0);
        let events = watched.take();
        let count = |prefix: &str| events.iter().filter(|e| e.starts_with(prefix)).count();
        prop_assert_eq!(count("CallStarted"), count("CallEnded"));
    }
}
