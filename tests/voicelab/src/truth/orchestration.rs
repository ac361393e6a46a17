//! The lines that an orchestrator and its clients add to a truth file.

use serde::{Deserialize, Serialize};

/// One thing an orchestrator or a talker did.
///
/// `connection` numbers the WebSocket connections of a program from 1 (a `LiveKit` orchestrator's
/// sessions), `utterance` those of a connection. A line's `t_ns` is taken at the socket where this
/// says *sent* (entry of the system call that carried the last byte) or *received* (return of the
/// call that brought it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "field names say what they hold; units are in their suffix"
)]
pub enum Orchestration {
    /// Orchestrator: the answer 101 was sent; the request was received at `requested_ns`.
    Upgraded {
        connection: u64,
        peer: String,
        requested_ns: u64,
        deflate: bool,
    },
    /// Orchestrator: a session began; `transport` is `websocket` or `livekit`.
    SessionOpened {
        connection: u64,
        transport: String,
        session: String,
    },
    /// Orchestrator: the `StartSession` that a session causes was given to the transport, or the
    /// shared one that it uses is known.
    SessionModel { connection: u64, model: String },
    /// Orchestrator: the first thing that ended a session: `reason` is `normal`, `error`,
    /// `client_disconnect` or `timeout`; `way` says it in the lab's words.
    SessionClosed {
        connection: u64,
        reason: String,
        way: String,
    },
    /// Orchestrator: a WebSocket connection is closed, after its session ended.
    ConnectionClosed { connection: u64 },
    /// A complete WebSocket message was sent. `kind` is the guide's `message_type`.
    MessageSent {
        connection: u64,
        kind: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        utterance: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<i64>,
    },
    /// A complete WebSocket message was received.
    MessageReceived {
        connection: u64,
        kind: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        utterance: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sequence: Option<i64>,
    },
    /// Orchestrator: the first send that a client's message caused, to the worker or back.
    MessageHandled {
        connection: u64,
        kind: String,
        received_ns: u64,
    },
    /// Orchestrator: a Synthesize call was opened for an utterance.
    UtteranceStarted {
        connection: u64,
        utterance: u64,
        call: u64,
        worker: String,
    },
    /// Orchestrator without a client: text was sent to the worker.
    TextForwarded { connection: u64, utterance: u64 },
    /// Orchestrator: a frame with audio was received from the worker.
    AudioReceived {
        connection: u64,
        utterance: u64,
        sequence: i64,
    },
    /// Orchestrator: a frame with audio that was received is not forwarded: `pause`, `error` or
    /// `backpressure`.
    AudioDropped {
        connection: u64,
        utterance: u64,
        sequence: i64,
        reason: String,
    },
    /// Orchestrator: an utterance is over: `finished`, `interrupted`, `failed` or `abandoned`.
    UtteranceEnded {
        connection: u64,
        utterance: u64,
        reason: String,
    },
    /// Orchestrator: an interruption is over. `trigger` is `vad`, `control` or `grpc` and came at
    /// `trigger_ns`; the last audio of what it interrupted was received at `last_audio_ns`, the
    /// answer to the last PAUSE or STOP of the interruption at `answered_ns` (none for a reset).
    BargeIn {
        connection: u64,
        utterance: u64,
        trigger: String,
        trigger_ns: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_audio_ns: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answered_ns: Option<u64>,
    },
    /// Orchestrator: something went wrong for a session. `error_type` is the guide's; `code` is
    /// that of the error message that told the client, `status` the gRPC status behind it.
    SessionError {
        connection: u64,
        error_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<i32>,
    },
    /// Orchestrator: the voice activity function returned; it was called at `before_ns`.
    VadCalled {
        connection: u64,
        before_ns: u64,
        positive: bool,
    },
    /// Orchestrator: a debounced edge, `speech_start` or `speech_end`. `run_ns` is when the first
    /// result of the run that made it was returned.
    Speech {
        connection: u64,
        edge: String,
        run_ns: u64,
    },
    /// Orchestrator: the speech recognition function returned; it was called at `before_ns`.
    AsrCalled {
        connection: u64,
        before_ns: u64,
        model: String,
        success: bool,
    },
    /// A connection to Redis was opened.
    RedisOpened,
    /// A connection to Redis was closed.
    RedisClosed,
    /// A reply of Redis was received to a command sent at `sent_ns`; `error` is the error's code.
    RedisCommand {
        command: String,
        sent_ns: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// Talker: a WebSocket connection is open, and what its session is called once it is said.
    Connected {
        connection: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<String>,
    },
    /// Talker: a connection is over, in the `way` that it was planned; `seen` is how: `close CODE`,
    /// `eof`, `reset` or `error`.
    Disconnected {
        connection: u64,
        session: String,
        way: String,
        seen: String,
    },
}
