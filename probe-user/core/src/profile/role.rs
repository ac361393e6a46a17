//! The closed lists of parts a method or a field can play. Everything after `flow` knows only these.

/// What a method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodRole {
    /// Opens a session for a model.
    StartSession,
    /// Ends a session.
    EndSession,
    /// Streams text in and audio frames out.
    Synthesize,
    /// Pauses, resumes or stops a session's speech.
    Control,
    /// Lists models and whether they are loaded.
    ListModels,
    /// Loads a model.
    LoadModel,
    /// Unloads a model.
    UnloadModel,
    /// Tells what the worker can do and which models are resident.
    GetCapabilities,
}

/// What a field means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldRole {
    /// Session the message belongs to (string).
    SessionId,
    /// Model (string).
    ModelId,
    /// Text to speak (string): only its length is ever read.
    Text,
    /// Audio (bytes): only its length is ever read.
    Audio,
    /// Samples per second (integer).
    SampleRate,
    /// Duration of the frame in milliseconds (integer).
    FrameDurationMs,
    /// Position in the stream (integer).
    Sequence,
    /// Last message of the stream (bool).
    Final,
    /// Whether the request was carried out (bool).
    Success,
    /// Human-readable remark (string): only its length is ever read.
    Remark,
    /// Control command (enum); its names are in the profile.
    Command,
    /// How long a load took in milliseconds (integer).
    LoadDurationMs,
    /// Whether a listed model is loaded (bool).
    Loaded,
    /// A resident model (string, repeated).
    ResidentModel,
    /// Most sessions at once (integer).
    MaxSessions,
    /// Described, but of no use here: skipped.
    #[serde(other)]
    None,
}
