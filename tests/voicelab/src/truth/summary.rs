//! Counts of what a program did, made from its truth events.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::conversation::Conversation;
use super::event::Event;

/// What a program printed about itself when it ended; one JSON object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Summary {
    /// Frames with audio handed to the transport (servers) or received (client).
    pub frames: u64,
    /// The same, by session.
    pub frames_by_session: BTreeMap<String, u64>,
    /// Frames without audio that only mark the end of a stream.
    pub end_markers: u64,
    /// Synthesize calls that reached the handler (servers) or were made (client).
    pub synthesis_requests: u64,
    /// Control commands by name, whether or not they succeeded.
    pub control_commands: BTreeMap<String, u64>,
    /// Sessions that began.
    pub sessions_started: u64,
    /// Sessions that ended by `EndSession`.
    pub sessions_ended: u64,
    /// Ends of Synthesize calls by reason (servers).
    pub stream_ends: BTreeMap<String, u64>,
    /// Model loads by model.
    pub model_loads: BTreeMap<String, u64>,
    /// Model unloads by reason.
    pub model_unloads: BTreeMap<String, u64>,
    /// Calls by method, received (servers) or made (client).
    pub calls: BTreeMap<String, u64>,
    /// Calls that ended with a status other than 0, and were not let go on purpose (client).
    pub failed_calls: u64,
    /// Calls answered with `success=false` (client).
    pub refused_calls: u64,
    /// Sequence numbers that were skipped within a stream (client).
    pub sequence_gaps: u64,
    /// Synthesize calls let go on purpose (client).
    pub cancelled: u64,
    /// What an orchestrator or a talker did; zeros for the others.
    pub conversation: Conversation,
}

impl Summary {
    /// Takes one event into account.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::Request { method, .. } | Event::CallStart { method, .. } => {
                add(&mut self.calls, method);
                if method == "Synthesize" {
                    self.synthesis_requests += 1;
                }
            }
            Event::Frame { session, bytes, .. } | Event::FrameReceived { session, bytes, .. } => {
                if *bytes == 0 {
                    self.end_markers += 1;
                } else {
                    self.frames += 1;
                    add(&mut self.frames_by_session, session);
                }
            }
            Event::FrameWrite { .. } => self.frames += 1,
            Event::ControlReceived { command, .. } | Event::ControlSent { command, .. } => {
                add(&mut self.control_commands, command);
            }
            Event::SessionStart { .. } => self.sessions_started += 1,
            Event::SessionEnd { .. } => self.sessions_ended += 1,
            Event::StreamEnd { reason, .. } => add(&mut self.stream_ends, reason),
            Event::ModelLoadEnd { model, .. } => add(&mut self.model_loads, model),
            Event::ModelUnload { reason, .. } => add(&mut self.model_unloads, reason),
            Event::Cancelled { .. } => self.cancelled += 1,
            Event::CallEnd {
                method,
                status,
                success,
                ..
            } => {
                if *status != 0 {
                    self.failed_calls += 1;
                } else if !success {
                    self.refused_calls += 1;
                } else if method == "StartSession" {
                    self.sessions_started += 1;
                } else if method == "EndSession" {
                    self.sessions_ended += 1;
                }
            }
            Event::Listening { .. }
            | Event::Response { .. }
            | Event::StreamStart { .. }
            | Event::Text { .. }
            | Event::FrameDropped { .. }
            | Event::ControlAnswered { .. }
            | Event::ControlEffective { .. }
            | Event::ModelLoadStart { .. }
            | Event::Fault { .. }
            | Event::TextSent { .. } => {}
            Event::Orchestration(event) => self.conversation.observe(event),
        }
    }
}

pub(super) fn add(counts: &mut BTreeMap<String, u64>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
    } else {
        counts.insert(key.to_owned(), 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(session: &str, bytes: u64) -> Event {
        Event::Frame {
            stream: 1,
            session: session.to_owned(),
            sequence: 1,
            bytes,
            is_final: false,
        }
    }

    #[test]
    fn end_markers_are_not_counted_as_frames() {
        let mut summary = Summary::default();
        summary.observe(&frame("a", 1920));
        summary.observe(&frame("a", 0));
        assert_eq!((summary.frames, summary.end_markers), (1, 1));
        assert_eq!(summary.frames_by_session.get("a"), Some(&1));
    }

    #[test]
    fn failed_calls_start_no_session() {
        let mut summary = Summary::default();
        for (status, success) in [(14, false), (0, false), (0, true)] {
            summary.observe(&Event::CallEnd {
                call: 1,
                method: "StartSession".to_owned(),
                session: "a".to_owned(),
                status,
                success,
            });
        }
        let counted = (
            summary.failed_calls,
            summary.refused_calls,
            summary.sessions_started,
        );
        assert_eq!(counted, (1, 1, 1));
    }
}
