//! Garbage on every watched port: counted, bounded, and no other connection is affected.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use probe_tests::exposition::Exposition;
use probe_tests::garbage;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::skip::unprivileged;
use voicelab::truth::Event;

/// How long the client beside the garbage may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(90);

/// Resident bytes that the agent may have at most, garbage or not. It has about 46 MB without any.
const MOST_RESIDENT_BYTES: f64 = 160e6;

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[track_caller]
fn assert_bounded(scrape: &Exposition) {
    let resident = scrape.sum("voxprobe_resident_memory_bytes", &[]);
    assert!(
        resident > 0.0 && resident < MOST_RESIDENT_BYTES,
        "{resident}"
    );
}

#[test]
fn garbage_for_a_worker_leaves_its_other_connections_exact() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &[]);
    let probe = Probe::watch(&lab, &[worker.pid()], &[]);
    let arguments = [
        "--sessions",
        "4",
        "--utterances",
        "2",
        "--connection-per-session",
    ];
    let client = Client::tonic(&lab, &worker, &arguments);
    for garbage in [garbage::noise(), garbage::grpc(), garbage::resp()].concat() {
        garbage.send(here(worker.port));
    }
    client.finish(CLIENT_LIMIT);
    let ended = |scrape: &Exposition| scrape.sum("worker_synthesis_duration_ms_count", &[]) >= 8.0;
    probe.scrape_until(SETTLE, ended);
    let last = probe.stop();
    let truth = worker.terminate().truth;
    let frames = truth
        .iter()
        .filter(|line| matches!(&line.event, Event::Frame { bytes, .. } if *bytes > 0));
    assert_eq!(
        last.sum("worker_audio_frames_emitted_total", &[]),
        frames.count() as f64
    );
    let problems = last.by_label("voxprobe_wire_problems_total", "problem");
    assert!(problems.values().sum::<u64>() > 0, "garbage is counted");
    assert_bounded(&last);
    assert_lossless(&last);
}
