//! A tonic worker that streams to clients when the probe comes: what comes after is exact.

use std::sync::LazyLock;

use probe_tests::peer::Kind;
use probe_tests::probe::{self, assert_lossless};
use probe_tests::skip::unprivileged;
use probe_tests::story::{Story, contains, decompressed};

/// Told once, looked at by each test.
static STORY: LazyLock<Story> =
    LazyLock::new(|| Story::tell(Kind::Tonic).expect("it needs no interpreter"));

#[test]
fn tonic_worker_is_counted_exactly() {
    if unprivileged() {
        return;
    }
    let (frames, requests, commands) = STORY.seen();
    assert_eq!(frames, STORY.frames_by_late_session());
    assert_eq!(requests, STORY.late_requests());
    let expected = STORY.commands();
    assert_eq!(expected.len(), 4, "every command is sent: {expected:?}");
    assert_eq!(commands, expected);
    assert_lossless(&STORY.metrics);
}

#[test]
#[allow(clippy::print_stdout, reason = "the figure that the test compares")]
fn audio_stays_in_the_worker() {
    if unprivileged() {
        return;
    }
    let share = STORY.unread_share();
    println!("{:.1} % of what was sent was not copied", 100.0 * share);
    assert!(share > 0.5, "{share}");
}

#[test]
fn replay_of_the_capture_gives_the_live_metrics() {
    if unprivileged() {
        return;
    }
    let of_workers = |name: &str| name.starts_with("worker_") && !name.starts_with("worker_gpu_");
    let (live, replayed) = (
        STORY.metrics.lines(of_workers),
        probe::replay(&STORY.capture).lines(of_workers),
    );
    assert!(live.len() > 100, "{} series", live.len());
    let only = |some: &[String], others: &[String]| -> Vec<String> {
        let missing = some.iter().filter(|line| !others.contains(line));
        missing.cloned().collect()
    };
    assert_eq!(only(&live, &replayed), only(&replayed, &live));
}

#[test]
fn capture_holds_no_text() {
    if unprivileged() {
        return;
    }
    let records = decompressed(&STORY.capture);
    assert!(
        contains(&records, b"late-0"),
        "names of sessions are kept, so that the search can find something"
    );
    for word in [
        "hello ", "listen ", "river ", "morning ", "yellow ", "garden ",
    ] {
        assert!(!contains(&records, word.as_bytes()), "text: {word}");
    }
}

#[test]
fn every_late_frame_is_in_the_capture_at_its_place() {
    if unprivileged() {
        return;
    }
    // Compares each stream's number of frames on the way.
    let (stamped, seen) = STORY.jitter_ns();
    assert_eq!(stamped.len(), seen.len());
    assert!(stamped.len() > 1000, "{} intervals", stamped.len());
}
