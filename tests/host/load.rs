//! A hundred streams at once, and what watching them costs.

use std::time::{Duration, Instant};

use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::skip::unprivileged;

/// Streams at the same time.
const STREAMS: u64 = 100;

/// Seconds of audio in each stream; 30 with `VOXPROBE_LONG=1`.
fn seconds() -> u64 {
    let long = std::env::var_os("VOXPROBE_LONG").is_some_and(|value| value == "1");
    if long { 30 } else { 10 }
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures that the test measures")]
fn hundred_paced_streams_lose_no_record() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "20", "--ms-per-character", "100"]);
    let probe = Probe::watch(&lab, &[worker.pid()], &[]);
    let idle_cpu = probe.scrape().sum("voxprobe_cpu_seconds_total", &[]);
    let (sessions, text) = (STREAMS.to_string(), (seconds() * 10).to_string());
    let arguments = [
        "--sessions",
        &sessions,
        "--text-length",
        &text,
        "--chunk-length",
        &text,
    ];
    let started = Instant::now();
    let client = Client::tonic(&lab, &worker, &arguments).finish(Duration::from_secs(90));
    let took = started.elapsed();

    let frames = STREAMS * seconds() * 50;
    assert_eq!(client.summary.frames, frames, "every frame is received");
    let name = "worker_audio_frames_emitted_total";
    let last = probe.scrape_until(SETTLE, |scrape| scrape.sum(name, &[]) >= frames as f64);
    assert_eq!(last.sum(name, &[]), frames as f64);
    assert_lossless(&last);
    let requests = last.sum("worker_synthesis_requests_total", &[]);
    assert_eq!(requests, STREAMS as f64);

    let cpu = last.sum("voxprobe_cpu_seconds_total", &[]) - idle_cpu;
    let resident = last.sum("voxprobe_resident_memory_bytes", &[]);
    assert!(cpu > 0.0 && resident > 0.0, "{cpu} s, {resident} bytes");
    println!(
        "{STREAMS} streams, {frames} frames in {:.1} s: agent used {cpu:.2} CPU seconds, {:.1} MB \
         resident",
        took.as_secs_f64(),
        resident / 1e6
    );
    assert_lossless(&probe.stop());
}
