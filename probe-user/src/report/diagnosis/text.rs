//! The report for people: 80 columns, the answer in the first three lines.

use std::fmt;

use super::{CauseRow, Diagnosis, EvidenceRow, FrameRow};

/// Columns of the report.
const WIDTH: usize = 80;

/// Parts of an interval shown of one frame; the rest is in the JSON.
const PARTS: usize = 4;

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::new();
        self.answer(&mut out);
        if let Some(reason) = &self.unavailable {
            wrap(&mut out, &format!("Note: {reason}"), 0);
        }
        self.table(&mut out);
        self.frames(&mut out);
        f.write_str(&out)
    }
}

impl Diagnosis {
    /// Three lines: how bad, why, what next.
    fn answer(&self, out: &mut String) {
        let seconds = self.seconds;
        let Some(first) = self.causes.first() else {
            line(
                out,
                &format!("No late frames: {} frames in {seconds:.1} s.", self.frames),
            );
            return;
        };
        let share = if self.late_ms > 0.0 {
            first.late_ms / self.late_ms * 100.0
        } else {
            0.0
        };
        line(
            out,
            &format!(
                "{} of {} frames late ({} underruns) in {seconds:.1} s: {} {share:.0} %",
                self.late_frames, self.frames, self.underruns, first.cause
            ),
        );
        line(out, &format!("Why: {}{}", first.title, self.example(first)));
        wrap(out, &format!("Next: {}", first.next_step), 6);
    }

    /// What the worst frame of a cause shows, short.
    fn example(&self, row: &CauseRow) -> String {
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

    fn table(&self, out: &mut String) {
        if self.causes.is_empty() {
            return;
        }
        out.push('\n');
        line(
            out,
            "worker             frames cause                late underruns    late by",
        );
        for worker in &self.workers {
            let mut name = worker.worker.as_str();
            let mut frames = worker.frames.to_string();
            for row in &worker.causes {
                line(
                    out,
                    &format!(
                        "{:<16} {frames:>8} {:<18} {:>6} {:>9} {:>10}",
                        cut(name, 16),
                        row.cause,
                        row.late_frames,
                        row.underruns,
                        duration(row.late_ms)
                    ),
                );
                name = "";
                frames.clear();
            }
        }
    }

    fn frames(&self, out: &mut String) {
        if self.worst.is_empty() {
            return;
        }
        out.push('\n');
        line(
            out,
            "Worst frames, and what the threads did since the frame before (name (pid)):",
        );
        for frame in &self.worst {
            heading(out, frame);
            for part in frame.evidence.iter().take(PARTS) {
                line(out, &format!("    {}", evidence(part)));
            }
            for gpu in &frame.gpus {
                line(out, &format!("    {gpu}"));
            }
        }
    }
}

fn heading(out: &mut String, frame: &FrameRow) {
    let session = frame.session.as_deref().unwrap_or("-");
    let heard = if frame.underrun_ms > 0.0 {
        ", heard"
    } else {
        ""
    };
    line(
        out,
        &format!(
            "{:>7.2} s {} frame {}: +{} of {}{heard}: {}",
            frame.at_seconds,
            cut(session, 20),
            frame.frame,
            duration(frame.late_ms),
            duration(frame.interval_ms),
            frame.cause
        ),
    );
}

fn evidence(part: &EvidenceRow) -> String {
    let inside = part
        .inside
        .map_or_else(String::new, |inside| format!(" in {inside}"));
    let other = part.other.as_ref().map_or_else(String::new, |other| {
        let role = match part.kind {
            "waiting_for_cpu" => "ran instead:",
            _ => "woken by",
        };
        format!(", {role} {} ({})", other.name, other.process)
    });
    format!(
        "{:<18} {:>8}  {}{inside}{other}",
        part.kind,
        duration(part.ms),
        part.thread
    )
}

/// The cause whose evidence a part is.
fn evidence_of(kind: &str) -> Option<&'static str> {
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

fn duration(ms: f64) -> String {
    if ms >= 10_000.0 {
        format!("{:.1} s", ms / 1e3)
    } else {
        format!("{ms:.1} ms")
    }
}

/// At most this many characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// A line, cut to the width.
fn line(out: &mut String, text: &str) {
    out.push_str(cut(text, WIDTH).trim_end());
    out.push('\n');
}

/// A paragraph; all lines but the first are indented.
fn wrap(out: &mut String, text: &str, indent: usize) {
    let mut current = String::new();
    for word in text.split_whitespace() {
        let length = current.chars().count() + 1 + word.chars().count();
        if length > WIDTH && !current.trim().is_empty() {
            line(out, &current);
            current = " ".repeat(indent);
        } else if !current.trim().is_empty() {
            current.push(' ');
        }
        current.push_str(word);
    }
    line(out, &current);
}
