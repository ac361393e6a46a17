//! Why a frame was late, from the capture that the agent wrote.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{agent, shown};
use crate::workspace::Workspace;

/// Parts of the time before a frame that are shown; those that took longest come first.
const PARTS: usize = 2;

/// A diagnosis, as far as the demo shows it (`config/diagnosis.schema.json`).
#[derive(Debug, Deserialize)]
struct Report {
    causes: Vec<CauseRow>,
    worst: Vec<LateFrame>,
}

#[derive(Debug, Deserialize)]
struct CauseRow {
    cause: String,
    title: String,
    next_step: String,
}

#[derive(Debug, Deserialize)]
struct LateFrame {
    session: Option<String>,
    frame: u64,
    late_ms: f64,
    cause: String,
    evidence: Vec<Evidence>,
}

#[derive(Debug, Deserialize)]
struct Evidence {
    kind: String,
    ms: f64,
    inside: Option<String>,
}

/// What a capture says about late frames.
#[derive(Debug)]
pub(super) struct Diagnosis {
    command: String,
    report: Report,
}

impl Diagnosis {
    /// Of a capture.
    pub(super) fn of(workspace: &Workspace, capture: &Path) -> Result<Self> {
        let json = agent::diagnosis(workspace, capture)?;
        let command = format!("voxprobe replay {} --diagnose", shown(capture));
        Self::parse(command, &json)
    }

    fn parse(command: String, json: &str) -> Result<Self> {
        let report = serde_json::from_str(json).context("read the diagnosis")?;
        Ok(Self { command, report })
    }

    /// The frame of a session, or of all, that was late by most: by how much, why, with what evidence,
    /// and what to do next.
    pub(super) fn lines(&self, session: Option<&str>) -> Vec<String> {
        let mut lines = vec![format!("\nwhy it was late, from `{}`:", self.command)];
        let Some(frame) = self.worst(session) else {
            lines.push("  it is not among the worst frames".to_string());
            return lines;
        };
        let rule = self
            .report
            .causes
            .iter()
            .find(|row| row.cause == frame.cause);
        lines.push(format!(
            "  frame {} of {}, late by {:.0} ms: {}{}",
            frame.frame,
            frame.session.as_deref().unwrap_or("-"),
            frame.late_ms,
            frame.cause,
            rule.map_or_else(String::new, |rule| format!(", {}", rule.title)),
        ));
        lines.extend(frame.evidence.iter().take(PARTS).map(Evidence::line));
        lines.extend(rule.map(|rule| format!("  next: {}", rule.next_step)));
        lines
    }

    fn worst(&self, session: Option<&str>) -> Option<&LateFrame> {
        let frames = self.report.worst.iter();
        frames
            .filter(|frame| session.is_none() || frame.session.as_deref() == session)
            .max_by(|a, b| a.late_ms.total_cmp(&b.late_ms))
    }
}

impl Evidence {
    fn line(&self) -> String {
        let inside = self
            .inside
            .as_ref()
            .map_or_else(String::new, |inside| format!("  in {inside}"));
        format!("    {:<18} {:>7.1} ms{inside}", self.kind, self.ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{
        "schema": "voxprobe.diagnosis/1", "scheduling": true,
        "causes": [
            {"cause": "own_timer", "title": "the worker itself waited too long",
             "next_step": "Look at the worker's pacing.", "late_frames": 1}
        ],
        "worst": [
            {"session": "ws-1", "frame": 3, "late_ms": 500.0, "cause": "unknown", "evidence": []},
            {"session": "later-2", "frame": 212, "late_ms": 460.1, "cause": "own_timer",
             "evidence": [
                {"kind": "own_timer", "ms": 459.8, "inside": "epoll/poll", "other": null},
                {"kind": "on_cpu", "ms": 0.3, "inside": null},
                {"kind": "input", "ms": 0.1, "inside": null}
             ]},
            {"session": "later-2", "frame": 90, "late_ms": 30.0, "cause": "unknown", "evidence": []}
        ]
    }"#;

    fn lines(session: Option<&str>) -> Vec<String> {
        let diagnosis = Diagnosis::parse("replay".into(), REPORT).expect("a report");
        diagnosis.lines(session)
    }

    #[test]
    fn worst_frame_of_the_session_is_told_with_its_cause() {
        assert_eq!(
            lines(Some("later-2")),
            [
                "\nwhy it was late, from `replay`:",
                "  frame 212 of later-2, late by 460 ms: own_timer, the worker itself waited too long",
                "    own_timer            459.8 ms  in epoll/poll",
                "    on_cpu                 0.3 ms",
                "  next: Look at the worker's pacing.",
            ]
        );
    }

    #[test]
    fn frame_without_a_known_cause_is_told_as_it_is() {
        let lines = lines(None);
        assert_eq!(
            lines.get(1).map(String::as_str),
            Some("  frame 3 of ws-1, late by 500 ms: unknown")
        );
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn session_without_a_late_frame_is_said() {
        let lines = lines(Some("other"));
        assert_eq!(
            lines.last().map(String::as_str),
            Some("  it is not among the worst frames")
        );
    }

    #[test]
    fn answer_that_is_no_report_is_an_error() {
        assert!(Diagnosis::parse(String::new(), "{}").is_err());
    }
}
