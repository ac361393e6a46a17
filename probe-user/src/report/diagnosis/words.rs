//! What every form of the report says in words.

use super::{BlockedRow, CauseRow, Diagnosis, EvidenceRow, FrameRow, TcpRow};

impl Diagnosis {
    /// How bad it is.
    pub(super) fn headline(&self) -> String {
        let seconds = self.seconds;
        let Some(first) = self.causes.first() else {
            return format!("No late frames: {} frames in {seconds:.1} s.", self.frames);
        };
        format!(
            "{} of {} frames late ({} underruns) in {seconds:.1} s: {} {:.0} %",
            self.late_frames,
            self.frames,
            self.underruns,
            first.cause,
            self.percent(first)
        )
    }

    /// Share of a cause in all lateness.
    pub(super) fn percent(&self, row: &CauseRow) -> f64 {
        if self.late_ms > 0.0 {
            row.late_ms / self.late_ms * 100.0
        } else {
            0.0
        }
    }

    /// What the worst frame of a cause shows, short.
    pub(super) fn example(&self, row: &CauseRow) -> String {
        let frame = self.worst.iter().find(|frame| frame.cause == row.cause);
        let parts = frame.into_iter().flat_map(|frame| &frame.evidence);
        let mut named = parts.filter(|part| evidence_of(part.kind) == Some(row.cause));
        named.next().map_or_else(String::new, |part| {
            let by = part.other.as_ref().map_or_else(String::new, |other| {
                format!(" by {} ({})", other.name, other.process)
            });
            format!(", {} in one frame{by}", duration(part.ms))
        })
    }
}

impl EvidenceRow {
    /// The thread, what it was inside, and who else had a part.
    pub(super) fn who(&self) -> String {
        let inside = self
            .inside
            .map_or_else(String::new, |inside| format!(" in {inside}"));
        let other = self.other.as_ref().map_or_else(String::new, |other| {
            let role = match self.kind {
                "waiting_for_cpu" => "ran instead:",
                _ => "woken by",
            };
            format!(", {role} {} ({})", other.name, other.process)
        });
        format!("{}{inside}{other}", self.thread)
    }
}

impl FrameRow {
    /// What went on around it, a sentence each.
    pub(super) fn circumstances(&self) -> Vec<String> {
        let blocked = self.blocked.iter().flat_map(BlockedRow::told);
        let tcp = self.tcp.iter().map(TcpRow::told);
        self.gpus
            .iter()
            .cloned()
            .chain(blocked)
            .chain(tcp)
            .collect()
    }
}

impl BlockedRow {
    fn told(&self) -> Vec<String> {
        let of = [
            ("the socket", self.socket_ms),
            ("its stream's HTTP/2 window", self.stream_window_ms),
            ("its connection's HTTP/2 window", self.connection_window_ms),
        ];
        of.into_iter()
            .filter(|(_, ms)| *ms > 0.0)
            .map(|(what, ms)| format!("no room in {what} for {}", duration(ms)))
            .collect()
    }
}

impl TcpRow {
    fn told(&self) -> String {
        format!(
            "TCP sent {} segments again; unacknowledged {}, receiver full {}",
            self.resent,
            duration(self.unacknowledged_ms),
            duration(self.window_full_ms)
        )
    }
}

/// The cause whose evidence a part is.
pub(super) fn evidence_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "waiting_for_cpu" => "cpu_contention",
        "on_cpu" => "cpu_self",
        "lock" => "lock",
        "own_timer" => "own_timer",
        "timer_overshoot" => "timer_overshoot",
        "socket_full" => "socket_backpressure",
        "disk_or_page_fault" => "disk_or_page_fault",
        "stopped" => "stopped",
        _ => return None,
    })
}

pub(super) fn duration(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.1} s", ms / 1e3)
    } else {
        format!("{ms:.1} ms")
    }
}
