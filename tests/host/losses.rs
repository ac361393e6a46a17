//! Records that are lost at the ring: on purpose, where the kernel loses them when the ring is full.

use std::time::Duration;

use probe_core::record::Direction;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE};
use probe_tests::skip::unprivileged;
use probe_tests::traffic::client_opening;
use rustix::process::Signal;

use crate::observation::{Observation, PEER, moved, play, seen, watched};

/// Bytes of each write and each read of the peer's `many_records`.
const WRITE_BYTES: u64 = 300;

/// How long a client may take.
const CLIENT_LIMIT: Duration = Duration::from_mins(1);

/// Shares of the records that are lost.
const SHARES: [f64; 3] = [0.01, 0.05, 0.2];

#[test]
fn calls_that_were_not_seen_are_counted() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let (mut peer, probe) = watched(&lab, "threads", &[]);
    let moved = moved(&play(&mut peer));
    let metrics = probe.scrape_until(SETTLE, |scrape| seen(scrape) >= moved);
    let seen = seen(&metrics);
    assert!(peer.wait(PEER).success());
    let metrics = probe.stop();
    let losses = metrics.sum("voxprobe_kernel_losses_total", &[]);
    assert!(seen <= moved, "{seen} of {moved} bytes");
    assert!(seen > 0, "nothing is seen");
    assert!(
        seen == moved || losses > 0.0,
        "{seen} of {moved} bytes, and no loss is counted"
    );
}

#[test]
fn what_is_lost_is_counted_and_its_bytes_are_gaps() {
    if unprivileged() {
        return;
    }
    for share in SHARES {
        let lose = ["--lose-records", &share.to_string()];
        let observation = Observation::with("many_records", &lose);
        let metrics = &observation.metrics;
        let sent = observation.reports.iter().map(|report| report.sent).max();
        let opening = client_opening().len() as u64;
        let writes = (sent.unwrap_or(0) - opening) / WRITE_BYTES;
        // Each write and each read is a record, and so are two openings at both ends.
        let records = 2 * writes + 4;
        let lost = metrics.sum("voxprobe_kernel_losses_total", &[("reason", "ring_full")]) as u64;
        let read = metrics.sum("voxprobe_records_total", &[("kind", "chunk")]) as u64;
        assert_eq!(read + lost, records, "{share}");
        let expected = records as f64 * share;
        assert!(
            (lost as f64) > expected * 0.6 && (lost as f64) < expected * 1.4,
            "{lost} of {records} at {share}"
        );
        // The bytes that are not there are those of the records that are not there. Both openings are
        // shorter than a write.
        let missing = moved(&observation.reports) - seen(metrics);
        assert!(missing <= lost * WRITE_BYTES, "{missing} bytes in {lost}");
        assert!(
            missing + 4 * WRITE_BYTES >= lost * WRITE_BYTES,
            "{missing} bytes in {lost}"
        );
        // They are gaps, but for those after the last byte that was seen.
        let mut open_end = 0;
        for (report, opened) in observation.connections() {
            for (direction, bytes) in [
                (Direction::Sent, report.sent),
                (Direction::Received, report.received),
            ] {
                let stream = observation.capture.stream(opened.connection, direction);
                let last = stream.chunks.last();
                open_end += bytes - last.map_or(0, |last| last.offset + u64::from(last.length));
            }
        }
        // A writer this fast fills what is held for order before a position counts as lost.
        let gaps: f64 = ["lost", "evicted"]
            .map(|reason| metrics.sum("voxprobe_stream_gap_bytes_total", &[("reason", reason)]))
            .iter()
            .sum();
        assert_eq!(gaps as u64 + open_end, missing, "{share}");
    }
}

#[test]
fn agent_that_comes_late_misses_bytes_and_no_record() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let (mut peer, probe) = watched(&lab, "many_bytes", &[]);
    probe.signal(Signal::STOP);
    let moved = moved(&play(&mut peer));
    probe.signal(Signal::CONT);
    let metrics = probe.scrape_until(SETTLE, |scrape| seen(scrape) >= moved);
    assert_eq!(seen(&metrics), moved, "what moved is known to the byte");
    assert!(peer.wait(PEER).success());
    let metrics = probe.stop();
    let shed = ("reason", "shed");
    let calls = metrics.sum("voxprobe_kernel_losses_total", &[shed]);
    let losses = metrics.sum("voxprobe_kernel_losses_total", &[]);
    assert!(calls > 0.0, "the ring is half as large");
    assert!(
        (losses - calls).abs() < 0.5,
        "{calls} of {losses} losses are of bytes alone"
    );
    let bytes = metrics.sum("voxprobe_stream_gap_bytes_total", &[shed]);
    assert!(bytes > calls, "{bytes} bytes of {calls} calls");
}

#[test]
fn losses_make_no_counter_exceed_the_truth() {
    if unprivileged() {
        return;
    }
    for share in SHARES {
        let lab = Lab::new();
        let worker = Server::tonic(&lab, &["--load-ms", "20"]);
        let share = share.to_string();
        let probe = Probe::watch(&lab, &[worker.pid()], &["--lose-records", &share]);
        let arguments = ["--sessions", "6", "--utterances", "5", "--controls"];
        Client::tonic(&lab, &worker, &arguments).finish(CLIENT_LIMIT);
        let last = probe.stop();
        let truth = worker.terminate().summary;
        let commands: u64 = truth.control_commands.values().sum();
        for (name, most) in [
            ("worker_audio_frames_emitted_total", truth.frames),
            ("worker_synthesis_requests_total", truth.synthesis_requests),
            ("worker_control_commands_total", commands),
            ("voxprobe_flow_calls_total", truth.calls.values().sum()),
        ] {
            let counted = last.sum(name, &[]) as u64;
            assert!(
                counted > 0 && counted <= most,
                "{name}: {counted} of {most} at {share}"
            );
        }
        let lost = last.sum("voxprobe_kernel_losses_total", &[("reason", "ring_full")]);
        assert!(lost > 0.0, "something is lost at {share}");
    }
}
