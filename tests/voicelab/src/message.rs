//! What an orchestrator and its clients say to each other: JSON in text messages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromClient {
    /// Text to speak.
    Text { text: String, is_final: bool },
    /// What to do with what is spoken.
    Control { command: Command },
}

/// A client's control commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Command {
    Pause,
    Resume,
    Stop,
}

/// What the orchestrator says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum FromServer {
    /// First of all.
    SessionStart { session_id: String },
    /// One frame of audio: signed 16-bit samples in base64.
    Audio {
        pcm: String,
        sample_rate: i32,
        frame_ms: i32,
        sequence: i64,
    },
    /// Last of all, where it is said.
    SessionEnd { session_id: String, reason: String },
    /// Something went wrong.
    Error { message: String, code: ErrorCode },
}

/// Codes of error messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ErrorCode {
    InternalError,
    InvalidMessage,
    WorkerUnavailable,
    SynthesisFailed,
    ConnectionError,
}

impl ErrorCode {
    /// Every code.
    pub(crate) const ALL: [Self; 5] = [
        Self::InternalError,
        Self::InvalidMessage,
        Self::WorkerUnavailable,
        Self::SynthesisFailed,
        Self::ConnectionError,
    ];

    /// As on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InternalError => "INTERNAL_ERROR",
            Self::InvalidMessage => "INVALID_MESSAGE",
            Self::WorkerUnavailable => "WORKER_UNAVAILABLE",
            Self::SynthesisFailed => "SYNTHESIS_FAILED",
            Self::ConnectionError => "CONNECTION_ERROR",
        }
    }
}

impl FromClient {
    /// Reads a message; `None` if it is none.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    /// The guide's `message_type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "TextChunk",
            Self::Control { .. } => "Control",
        }
    }
}

impl FromServer {
    /// A frame of audio.
    pub(crate) fn audio(pcm: &[u8], sample_rate: i32, frame_ms: i32, sequence: i64) -> Self {
        Self::Audio {
            pcm: BASE64.encode(pcm),
            sample_rate,
            frame_ms,
            sequence,
        }
    }

    /// The guide's `message_type`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::SessionStart { .. } => "SessionStarted",
            Self::Audio { .. } => "AudioFrame",
            Self::SessionEnd { .. } => "SessionEnded",
            Self::Error { .. } => "Error",
        }
    }
}

/// A message as JSON.
pub(crate) fn encode(message: &impl Serialize) -> String {
    // Strings and numbers alone are always JSON.
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_protocols_words() {
        let control = FromClient::Control {
            command: Command::Pause,
        };
        assert_eq!(encode(&control), r#"{"type":"control","command":"PAUSE"}"#);
        let text = r#"{"type":"text","text":"hello","is_final":true}"#;
        let parsed = FromClient::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (parsed.kind(), encode(&parsed)),
            ("TextChunk", text.to_owned())
        );
        assert_eq!(FromClient::parse(br#"{"type":"dance"}"#), None);
    }

    #[test]
    fn frame_of_20_ms_is_2560_characters() {
        let FromServer::Audio { pcm, .. } = FromServer::audio(&[1; 1920], 48_000, 20, 1) else {
            panic!("audio is audio");
        };
        assert_eq!(pcm.len(), 2560);
    }

    #[test]
    fn error_codes_are_written_alike_in_json_and_text() {
        for code in ErrorCode::ALL {
            assert_eq!(encode(&code), format!("\"{}\"", code.as_str()));
        }
    }
}
