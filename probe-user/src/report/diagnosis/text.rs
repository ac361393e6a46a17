//! The report for people: 80 columns, the answer in the first three lines.

use std::fmt;

use super::words::duration;
use super::{Diagnosis, EvidenceRow, FrameRow};

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
        line(out, &self.headline());
        if let Some(first) = self.causes.first() {
            line(out, &format!("Why: {}{}", first.title, self.example(first)));
            wrap(out, &format!("Next: {}", first.next_step), 6);
        }
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
            let mut name = cut(&worker.worker, 16);
            let mut frames = worker.frames.to_string();
            if worker.causes.is_empty() {
                line(out, &format!("{name:<16} {frames:>8} -"));
            }
            for row in &worker.causes {
                line(
                    out,
                    &format!(
                        "{name:<16} {frames:>8} {:<18} {:>6} {:>9} {:>10}",
                        row.cause,
                        row.late_frames,
                        row.underruns,
                        duration(row.late_ms)
                    ),
                );
                name.clear();
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
            for circumstance in &frame.circumstances() {
                line(out, &format!("    {circumstance}"));
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
            "{:>7.2} s {}: +{} of {}{heard}, frame {} of {session}",
            frame.at_seconds,
            frame.cause,
            duration(frame.late_ms),
            duration(frame.interval_ms),
            frame.frame
        ),
    );
}

fn evidence(part: &EvidenceRow) -> String {
    format!("{:<18} {:>8}  {}", part.kind, duration(part.ms), part.who())
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
