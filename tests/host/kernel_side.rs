//! What the eBPF programs make of every way to use a socket: a purpose-written peer says how many
//! bytes each end of each of its connections moved, and the capture must hold exactly these.

use std::process::Command;
use std::time::Duration;

use probe_core::record::{Address, Direction, GapReason, Opened, Side};
use probe_tests::capture::Capture;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::{self, Probe, SETTLE, assert_lossless};
use probe_tests::process::Process;
use probe_tests::report::Report;
use probe_tests::skip::unprivileged;

/// How long the peer may take.
const PEER: Duration = Duration::from_secs(30);

/// What a scenario moved, by the peer and by the probe.
struct Observation {
    reports: Vec<Report>,
    metrics: Exposition,
    capture: Capture,
}

impl Observation {
    /// Watches the peer from before its scenario to its end.
    fn of(scenario: &str) -> Self {
        let lab = Lab::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_socket-peer"));
        let mut peer = Process::start(command.arg(scenario), &lab.path("peer.err"));
        assert_eq!(peer.line(PEER), "ready");
        let file = lab.path("kernel.vxcap");
        let record = file.to_string_lossy().into_owned();
        let probe = Probe::watch(&lab, &[peer.pid()], &["--record", &record]);
        peer.tell("go");
        let reports: Vec<Report> =
            serde_json::from_str(&peer.line(PEER)).expect("the peer's report");
        assert!(!reports.is_empty());
        let bytes = moved(&reports);
        probe.scrape_until(SETTLE, |scrape| seen(scrape) >= bytes);
        // Its end closes what it left open.
        let status = peer.wait(PEER);
        assert!(status.success(), "the peer ended with {status}");
        let closed = |scrape: &Exposition| scrape.sum("voxprobe_connections", &[]) == 0.0;
        assert!(
            closed(&probe.scrape_until(SETTLE, closed)),
            "all are closed"
        );
        let metrics = probe.stop();
        let capture = probe::replay_events(&file);
        Self {
            reports,
            metrics,
            capture,
        }
    }

    /// Asserts that every byte is in its place, once.
    fn assert_complete(&self) {
        assert_eq!(seen(&self.metrics), moved(&self.reports), "bytes in all");
        assert_lossless_but_for_limits(&self.metrics);
        for (report, opened) in self.connections() {
            for (direction, bytes) in [
                (Direction::Sent, report.sent),
                (Direction::Received, report.received),
            ] {
                let stream = self.capture.stream(opened.connection, direction);
                assert_eq!(stream.discontinuity(), None, "{direction:?} of {report:?}");
                assert_eq!(stream.length(), bytes, "{direction:?} of {report:?}");
            }
            let closed = self.capture.closed.get(&opened.connection);
            assert_eq!(closed.map(Vec::len), Some(1), "ends of {report:?}");
        }
    }

    /// Each report with its connection. Ports are used again, so that of several that fit the first
    /// that is left counts; how much each moved then tells whether that was right.
    fn connections(&self) -> Vec<(&Report, &Opened)> {
        let mut left: Vec<&Opened> = self.capture.opened.iter().collect();
        let mut connections = Vec::new();
        for report in &self.reports {
            let index = left
                .iter()
                .position(|opened| fits(opened, report))
                .unwrap_or_else(|| panic!("no {report:?} in {left:?}"));
            connections.push((report, left.remove(index)));
        }
        assert!(left.is_empty(), "connections that nobody made: {left:?}");
        connections
    }
}

/// Whether a connection is the one reported. A call that is older than the probe, and a unix
/// socket, do not tell the other end.
fn fits(opened: &Opened, report: &Report) -> bool {
    let unnamed = Some(Address::Unix(String::new()));
    let named = |known: &Option<Address>, told: &Option<Address>| {
        told.is_none() || known.is_none() || *known == unnamed || known == told
    };
    opened.side == Some(report.side)
        && named(&opened.local, &report.local)
        && named(&opened.peer, &report.peer)
}

fn moved(reports: &[Report]) -> u64 {
    let bytes = reports.iter().map(|report| report.sent + report.received);
    bytes.sum()
}

fn seen(scrape: &Exposition) -> u64 {
    scrape.sum("voxprobe_stream_bytes_total", &[]) as u64
}

/// A call larger than one capture is no loss: it is counted apart.
fn assert_lossless_but_for_limits(scrape: &Exposition) {
    let losses = scrape.by_label("voxprobe_kernel_losses_total", "reason");
    let others = losses
        .iter()
        .filter(|(reason, _)| *reason != "capture_limit");
    assert!(others.clone().all(|(_, lost)| *lost == 0), "{losses:?}");
    let lost = scrape.sum("voxprobe_stream_gaps_total", &[("reason", "lost")]);
    assert_eq!(lost, 0.0);
}

fn assert_exact(scenario: &str) {
    if unprivileged() {
        return;
    }
    let observation = Observation::of(scenario);
    observation.assert_complete();
    assert_lossless(&observation.metrics);
}

#[test]
fn every_call_that_moves_bytes_is_seen() {
    assert_exact("every_call");
}

#[test]
fn partial_and_refused_writes_advance_by_what_the_kernel_took() {
    assert_exact("partial_writes");
}

#[test]
fn peeks_and_empty_calls_do_not_advance_the_stream() {
    assert_exact("nothing_moved");
}

#[test]
fn threads_on_one_socket_share_one_stream() {
    assert_exact("threads");
}

#[test]
fn duplicated_descriptor_keeps_its_connection_until_the_last_is_closed() {
    assert_exact("duplicates");
}

#[test]
fn reused_descriptor_is_a_new_connection() {
    assert_exact("reused_descriptors");
}

#[test]
fn unix_sockets_are_streams() {
    assert_exact("unix");
}

#[test]
fn child_that_accepts_from_an_inherited_listener_is_watched() {
    assert_exact("inherited_listener");
}

#[test]
fn connection_accepted_by_a_call_older_than_the_probe_is_known_from_its_start() {
    assert_exact("waiting_accept");
}

#[test]
fn many_vectors_are_captured_as_far_as_one_capture_goes() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("many_vectors");
    observation.assert_complete();
}

#[test]
fn message_beyond_the_capture_limit_is_a_counted_gap_and_the_stream_resumes() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("large_message");
    observation.assert_complete();
    let limit = [("reason", "capture_limit")];
    let gaps = observation
        .metrics
        .sum("voxprobe_stream_gaps_total", &limit);
    let losses = observation
        .metrics
        .sum("voxprobe_kernel_losses_total", &limit);
    assert!(gaps >= 1.0 && losses >= 1.0, "{gaps} gaps, {losses} losses");
    let connections = observation.connections();
    let client = connections
        .iter()
        .find(|(report, _)| report.side == Side::Client);
    let (_, client) = client.expect("the client's end");
    let sent = observation
        .capture
        .stream(client.connection, Direction::Sent);
    let gap = sent.left_out(GapReason::CaptureLimit);
    assert!((1..600_000).contains(&gap), "{gap} bytes beyond the limit");
    let last = sent.chunks.last().expect("chunks");
    let whole = last
        .holes
        .iter()
        .all(|hole| hole.reason == GapReason::Elided);
    assert!(whole, "what follows is captured again: {last:?}");
}

#[test]
fn addresses_of_dual_stack_listeners_are_canonical() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("addresses");
    observation.assert_complete();
    let connections = observation.connections().into_iter();
    let servers = connections.filter(|(report, _)| report.side == Side::Server);
    let families: Vec<bool> = servers
        .map(|(_, opened)| match &opened.peer {
            Some(Address::Inet(peer)) => peer.is_ipv4(),
            other => panic!("the peer is {other:?}"),
        })
        .collect();
    assert_eq!(families, [true, false]);
}
