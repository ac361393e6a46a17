//! What must hold of the story with any Python worker.

use probe_tests::probe::{self, assert_lossless};
use probe_tests::statistics::percentile;
use probe_tests::story::{Story, contains, decompressed};

/// How far a percentile of the jitter may be off. The worker stamps a frame before its event loop
/// or thread hands it to the socket.
const JITTER_NS: u64 = 1_000_000;

pub(crate) fn assert_exact_counts(story: &Story) {
    let (frames, requests, commands) = story.seen();
    assert_eq!(frames, story.frames_by_late_session());
    assert_eq!(requests, story.late_requests());
    let expected = story.commands();
    assert_eq!(expected.len(), 4, "every command is sent: {expected:?}");
    assert_eq!(commands, expected);
    assert_lossless(&story.metrics);
}

#[allow(clippy::print_stdout, reason = "the figures that the test compares")]
pub(crate) fn assert_jitter_agrees(story: &Story) {
    let (stamped, seen) = story.jitter_ns();
    assert!(stamped.len() > 1000, "{} intervals", stamped.len());
    let at = |percent| (percentile(&stamped, percent), percentile(&seen, percent));
    let percentiles = [50, 95, 99].map(|percent| (percent, at(percent)));
    for (percent, (stamped, seen)) in percentiles {
        println!("jitter p{percent}: worker {stamped} ns, probe {seen} ns");
    }
    for (percent, (stamped, seen)) in percentiles {
        let apart = stamped.abs_diff(seen);
        assert!(apart <= JITTER_NS, "p{percent} is {apart} ns apart");
    }
}

#[allow(clippy::print_stdout, reason = "the figure that the test compares")]
pub(crate) fn assert_audio_stays(story: &Story) {
    let share = story.unread_share();
    println!("{:.1} % of what was sent was not copied", 100.0 * share);
    assert!(share > 0.5, "{share}");
}

pub(crate) fn assert_replay_agrees(story: &Story) {
    let of_workers = |name: &str| name.starts_with("worker_") && !name.starts_with("worker_gpu_");
    let (live, replayed) = (
        story.metrics.lines(of_workers),
        probe::replay(&story.capture).lines(of_workers),
    );
    assert!(live.len() > 100, "{} series", live.len());
    assert_eq!(live, replayed);
}

pub(crate) fn assert_no_content_in_capture(story: &Story) {
    let records = decompressed(&story.capture);
    assert!(
        contains(&records, b"late-0"),
        "names of sessions are kept, so that the search can find something"
    );
    for word in [
        "hello ", "listen ", "river ", "morning ", "seven ", "quiet ",
    ] {
        assert!(!contains(&records, word.as_bytes()), "text: {word}");
    }
    // The workers' tones: frequency by the number of the stream, amplitude 16384.
    for number in 0..16 {
        let step = std::f64::consts::TAU * f64::from(200 + 50 * number) / 48_000.0;
        let samples = (20..28).map(|sample| ((f64::from(sample) * step).sin() * 16_384.0) as i16);
        let bytes: Vec<u8> = samples.flat_map(i16::to_le_bytes).collect();
        assert!(!contains(&records, &bytes), "audio of tone {number}");
    }
    let frames: u64 = story.frames_by_late_session().values().sum();
    let kept = records.len() as u64 / frames;
    assert!(kept < 500, "{kept} bytes are kept for each frame of 1920");
}
