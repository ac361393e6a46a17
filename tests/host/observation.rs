//! What a purpose-written peer says that it moved on each of its connections, and what the probe saw.

use std::process::Command;
use std::time::Duration;

use probe_core::record::{Address, Direction, Opened, Side};
use probe_tests::capture::Capture;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::{self, Probe, SETTLE};
use probe_tests::process::Process;
use probe_tests::report::Report;

/// How long the peer may take.
pub(crate) const PEER: Duration = Duration::from_secs(30);

/// What a scenario moved, by the peer and by the probe.
pub(crate) struct Observation {
    pub(crate) reports: Vec<Report>,
    pub(crate) metrics: Exposition,
    pub(crate) capture: Capture,
    /// As [`Probe::sees_sockets`] says.
    pub(crate) sees_sockets: bool,
    /// As [`Probe::sees_rings`] says.
    pub(crate) sees_rings: bool,
}

impl Observation {
    /// Watches the peer from before its scenario to its end.
    pub(crate) fn of(scenario: &str) -> Self {
        Self::with(scenario, &[])
    }

    /// The same, by a probe with these arguments.
    pub(crate) fn with(scenario: &str, arguments: &[&str]) -> Self {
        let lab = Lab::new();
        let file = lab.path("kernel.vxcap");
        let record = file.to_string_lossy().into_owned();
        let arguments = [&["--record", &record], arguments].concat();
        let (mut peer, probe) = watched(&lab, scenario, &arguments);
        let mut reports = play(&mut peer);
        let (sees_sockets, sees_rings) = (probe.sees_sockets(), probe.sees_rings());
        if sees_sockets {
            for report in &mut reports {
                report.received += report.received_elsewhere;
            }
            reports.retain(|report| report.sent + report.received > 0);
        }
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
            sees_sockets,
            sees_rings,
        }
    }

    /// Asserts that every byte is in its place, once.
    pub(crate) fn assert_complete(&self) {
        assert_eq!(seen(&self.metrics), moved(&self.reports), "bytes in all");
        assert_lossless_but_for_limits(&self.metrics);
        for (report, opened) in self.connections() {
            let side = opened.side.or_else(|| self.untold_side(report));
            assert_eq!(side, Some(report.side), "{report:?}");
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
    /// that is left counts; how much each moved then tells whether that was right. One whose opening is
    /// lost, and whose process ended before anybody looked, is told by what it moved alone.
    pub(crate) fn connections(&self) -> Vec<(&Report, &Opened)> {
        let mut left: Vec<&Opened> = self.capture.opened.iter().collect();
        let mut connections = Vec::new();
        for report in &self.reports {
            let index = left
                .iter()
                .position(|opened| self.fits(opened, report))
                .or_else(|| left.iter().position(|opened| self.may_be(opened, report)))
                .unwrap_or_else(|| panic!("no {report:?} in {left:?}"));
            connections.push((report, left.remove(index)));
        }
        assert!(left.is_empty(), "connections that nobody made: {left:?}");
        connections
    }

    /// Whether a connection is the one reported. A call that is older than the probe, and a unix
    /// socket, do not tell the other end.
    fn fits(&self, opened: &Opened, report: &Report) -> bool {
        let unnamed = Some(Address::Unix(String::new()));
        let named = |known: &Option<Address>, told: &Option<Address>| {
            told.is_none() || known.is_none() || *known == unnamed || known == told
        };
        let side = opened.side.or_else(|| self.untold_side(report));
        side == Some(report.side)
            && named(&opened.local, &report.local)
            && named(&opened.peer, &report.peer)
    }

    /// The side that need not be told: of a unix socket that was gone when the agent asked it, the first
    /// bytes tell.
    fn untold_side(&self, report: &Report) -> Option<Side> {
        let mut ends = [&report.local, &report.peer].into_iter().flatten();
        let is_unix = ends.any(|end| matches!(end, Address::Unix(_)));
        (self.sees_sockets && is_unix).then_some(report.side)
    }

    /// Whether a connection of which nothing else is known moved no more than reported.
    fn may_be(&self, opened: &Opened, report: &Report) -> bool {
        let moved = |direction| {
            let stream = self.capture.stream(opened.connection, direction);
            let last = stream.chunks.last();
            last.map_or(0, |last| last.offset + u64::from(last.length))
        };
        opened.side.is_none()
            && moved(Direction::Sent) <= report.sent
            && moved(Direction::Received) <= report.received
    }
}

/// A peer that waits for its start, and a probe that watches it.
pub(crate) fn watched(lab: &Lab, scenario: &str, arguments: &[&str]) -> (Process, Probe) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socket-peer"));
    let peer = Process::start(command.arg(scenario), &lab.path("peer.err"));
    assert_eq!(peer.line(PEER), "ready");
    let probe = Probe::watch(lab, &[peer.pid()], arguments);
    (peer, probe)
}

/// What a peer moved, once it was told to start.
pub(crate) fn play(peer: &mut Process) -> Vec<Report> {
    peer.tell("go");
    let reports: Vec<Report> = serde_json::from_str(&peer.line(PEER)).expect("the peer's report");
    assert!(!reports.is_empty());
    reports
}

pub(crate) fn moved(reports: &[Report]) -> u64 {
    let bytes = reports.iter().map(|report| report.sent + report.received);
    bytes.sum()
}

pub(crate) fn seen(scrape: &Exposition) -> u64 {
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
