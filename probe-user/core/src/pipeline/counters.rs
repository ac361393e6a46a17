//! What the pipeline counts about itself, with the series at hand: nothing is looked up per record.

use prometheus::{Gauge, IntCounter};

use super::connection::Connection;
use crate::{
    flow::{InferenceOutcome, InferenceState, Problem},
    interpret,
    metrics::{Metrics, ProbeMetrics},
    record::{Direction, GapReason, Joined, Record},
    stream::Delivery,
};

/// Names of the records, in the order of [`kind`].
const KINDS: [&str; 19] = [
    "process",
    "process_ended",
    "opened",
    "chunk",
    "gap",
    "half_closed",
    "closed",
    "gpus",
    "tick",
    "websocket",
    "hook",
    "hook_called",
    "file",
    "renamed",
    "evidence",
    "sched",
    "cpu_quota",
    "tcp",
    "refused",
];

fn kind(record: &Record<'_>) -> usize {
    match record {
        Record::Process(_) => 0,
        Record::ProcessEnded { .. } => 1,
        Record::Opened(_) => 2,
        Record::Chunk(_) => 3,
        Record::Gap(_) => 4,
        Record::HalfClosed { .. } => 5,
        Record::Closed { .. } => 6,
        Record::Gpus(_) => 7,
        Record::Tick { .. } => 8,
        Record::WebSocket(_) => 9,
        Record::Hook(_) => 10,
        Record::HookCalled(_) => 11,
        Record::File(_) => 12,
        Record::Renamed { .. } => 13,
        Record::Evidence(_) => 14,
        Record::Sched(_) => 15,
        Record::CpuQuota(_) => 16,
        Record::Tcp(_) => 17,
        Record::Refused { .. } => 18,
    }
}

/// The pipeline's own series.
pub(super) struct Counters {
    probe: ProbeMetrics,
    records: [IntCounter; KINDS.len()],
    bytes: [IntCounter; 2],
    gaps: [(IntCounter, IntCounter); GapReason::ALL.len()],
    problems: [IntCounter; Problem::ALL.len()],
    inferred: [IntCounter; InferenceState::ALL.len()],
    outcomes: [IntCounter; InferenceOutcome::ALL.len()],
}

impl Counters {
    pub(super) fn new(metrics: &Metrics) -> Self {
        let probe = metrics.probe.clone();
        Self {
            records: KINDS.map(|kind| probe.records.with(&[kind])),
            bytes: ["sent", "received"].map(|direction| probe.stream_bytes.with(&[direction])),
            gaps: GapReason::ALL.map(|reason| {
                let reason = [reason.as_str()];
                (
                    probe.stream_gaps.with(&reason),
                    probe.stream_gap_bytes.with(&reason),
                )
            }),
            problems: Problem::ALL.map(|problem| probe.wire_problems.with(&[problem.as_str()])),
            inferred: InferenceState::ALL
                .map(|state| probe.inferred_methods.with(&[state.as_str()])),
            outcomes: InferenceOutcome::ALL
                .map(|outcome| probe.inferred_calls.with(&[outcome.as_str()])),
            probe,
        }
    }

    pub(super) fn record(&self, record: &Record<'_>) {
        if let Some(counter) = self.records.get(kind(record)) {
            counter.inc();
        }
    }

    /// Counts what a stream delivers: bytes, and the holes in and between chunks.
    pub(super) fn delivery(&self, delivery: &Delivery<'_>) {
        match delivery {
            Delivery::Gap { length, reason, .. } => self.gap(*reason, *length),
            Delivery::Chunk(chunk) => {
                let direction = usize::from(chunk.direction == Direction::Received);
                if let Some(counter) = self.bytes.get(direction) {
                    counter.inc_by(u64::from(chunk.length));
                }
                for hole in &chunk.holes {
                    self.gap(hole.reason, u64::from(hole.length));
                }
            }
        }
    }

    fn gap(&self, reason: GapReason, length: u64) {
        let index = GapReason::ALL.iter().position(|other| *other == reason);
        if let Some((count, bytes)) = index.and_then(|index| self.gaps.get(index)) {
            count.inc();
            bytes.inc_by(length);
        }
    }

    pub(super) fn problem(&self, problem: Problem) {
        let index = Problem::ALL.iter().position(|other| *other == problem);
        if let Some(counter) = index.and_then(|index| self.problems.get(index)) {
            counter.inc();
        }
    }

    pub(super) fn inferred(&self, state: InferenceState) {
        let index = InferenceState::ALL.iter().position(|other| *other == state);
        if let Some(counter) = index.and_then(|index| self.inferred.get(index)) {
            counter.inc();
        }
    }

    pub(super) fn inferred_call(&self, outcome: InferenceOutcome) {
        let index = InferenceOutcome::ALL
            .iter()
            .position(|other| *other == outcome);
        if let Some(counter) = index.and_then(|index| self.outcomes.get(index)) {
            counter.inc();
        }
    }

    /// Brings the call counters up to the interpreter's.
    pub(super) fn interpreted(&self, counts: &interpret::Counts) {
        self.probe.count_calls(counts);
    }

    /// A connection was not followed because too many are.
    pub(super) fn refused(&self) {
        self.probe.state_refused.with(&["connection"]).inc();
    }

    pub(super) fn connection_opened(&self, connection: &Connection) {
        self.connections(connection.protocol_name(), connection.joined())
            .inc();
    }

    pub(super) fn connection_closed(&self, connection: &Connection) {
        self.connections(connection.protocol_name(), connection.joined())
            .dec();
    }

    pub(super) fn connection_changed(&self, connection: &Connection, before: &str) {
        self.connections(before, connection.joined()).dec();
        self.connection_opened(connection);
    }

    fn connections(&self, protocol: &str, joined: Joined) -> Gauge {
        let joined = match joined {
            Joined::FromStart => "from_start",
            Joined::Late => "late",
        };
        self.probe.connections.with(&[protocol, joined])
    }
}
