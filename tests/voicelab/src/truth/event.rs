//! The lines of a truth file.

use serde::{Deserialize, Serialize};

use super::Orchestration;

/// One line of a truth file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `CLOCK_MONOTONIC` when it happened, in nanoseconds, read by the program itself.
    pub t_ns: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// One thing a voicelab program did.
///
/// `peer` is the address of the other end, `ip:port`. `stream` counts the worker's Synthesize
/// calls from 1. Absent optional fields are left out of the line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "field names say what they hold; units are in their suffix"
)]
pub enum Event {
    /// Server: the port is open.
    Listening {
        port: u16,
        pid: u32,
        adapter: String,
    },
    /// Server: a call's request reached its handler.
    Request {
        method: String,
        peer: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stream: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// Server: the handler of a unary call returned its answer.
    Response {
        method: String,
        peer: String,
        success: bool,
    },
    /// Server: a session began.
    SessionStart {
        session: String,
        model: String,
        peer: String,
    },
    /// Server: a session ended.
    SessionEnd { session: String },
    /// Server: a Synthesize call named a known session with its first text.
    StreamStart {
        stream: u64,
        session: String,
        model: String,
        peer: String,
    },
    /// Server: a `TextChunk` was received.
    Text {
        stream: u64,
        session: String,
        sequence: i64,
        characters: u64,
        is_final: bool,
    },
    /// Server: an `AudioFrame` was handed to the transport; `bytes` counts its audio, 0 for an
    /// empty end marker. A frame handed over just before a reset may never reach the socket.
    Frame {
        stream: u64,
        session: String,
        sequence: i64,
        bytes: u64,
        is_final: bool,
    },
    /// Server: a frame was made and left out on purpose (a fault).
    FrameDropped {
        stream: u64,
        session: String,
        sequence: i64,
    },
    /// Server: a Synthesize call ended. `reason` is `finished`, `stopped`, `error`,
    /// `unknown_session` or `cancelled`; `frames` counts those with audio.
    StreamEnd {
        stream: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
        reason: String,
        frames: u64,
    },
    /// Server: a Control request reached its handler. `control` counts them from 1.
    ControlReceived {
        control: u64,
        session: String,
        command: String,
    },
    /// Server: the answer to a Control request was returned.
    ControlAnswered {
        control: u64,
        session: String,
        command: String,
        success: bool,
    },
    /// Server: a command took effect on one stream: paused, about to send the next frame after a
    /// resume, or stopped. `last_sequence` is the last frame before that, 0 for none.
    ControlEffective {
        stream: u64,
        session: String,
        command: String,
        last_sequence: i64,
    },
    /// Server: a model began to load.
    ModelLoadStart { model: String },
    /// Server: a model is resident.
    ModelLoadEnd { model: String, duration_ns: u64 },
    /// Server: a model left: `manual`, `lru_eviction`, `ttl_eviction` or `reload`.
    ModelUnload { model: String, reason: String },
    /// Server: a fault was switched, in the words of the fault protocol.
    Fault { line: String },
    /// Timing reference: one frame, in one system call between `before_ns` and `after_ns`
    /// (`CLOCK_MONOTONIC`). `stream` is the HTTP/2 stream, `bytes` the size of the write.
    FrameWrite {
        before_ns: u64,
        after_ns: u64,
        peer: String,
        stream: u64,
        sequence: i64,
        bytes: u64,
    },
    /// Client: a call is about to be made. `call` counts the client's calls from 1.
    CallStart {
        call: u64,
        method: String,
        session: String,
    },
    /// Client: a call ended; `status` is its gRPC code, `success` the answer's own field.
    CallEnd {
        call: u64,
        method: String,
        session: String,
        status: i32,
        success: bool,
    },
    /// Client: a command is about to be sent, after `after_sequence` was received.
    ControlSent {
        call: u64,
        session: String,
        command: String,
        after_sequence: i64,
    },
    /// Client: a text chunk was given to the transport.
    TextSent {
        call: u64,
        session: String,
        sequence: i64,
        characters: u64,
        is_final: bool,
    },
    /// Client: a frame arrived in Synthesize call `call`.
    FrameReceived {
        call: u64,
        session: String,
        sequence: i64,
        bytes: u64,
        is_final: bool,
    },
    /// Client: it let go of a running Synthesize call on purpose.
    Cancelled { call: u64, session: String },
    /// An orchestrator or one of its clients.
    #[serde(untagged)]
    Orchestration(Orchestration),
}

impl From<Orchestration> for Event {
    fn from(event: Orchestration) -> Self {
        Self::Orchestration(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_kinds_survive_a_round_trip() {
        let closed = Orchestration::SessionClosed {
            connection: 1,
            reason: "normal".to_owned(),
            way: "server_close".to_owned(),
        };
        let ended = Event::SessionEnd {
            session: "a".to_owned(),
        };
        for event in [closed.into(), ended] {
            let line = Line { t_ns: 7, event };
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line, "{text}");
        }
    }
}
