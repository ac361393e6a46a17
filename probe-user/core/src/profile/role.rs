//! The closed lists of parts a method or a field can play. Everything after `flow` knows only these.

/// What a method does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// When the message was written, in milliseconds since 1970 (integer).
    TimestampMs,
    /// Described, but of no use here: skipped.
    None,
}

impl MethodRole {
    /// All roles.
    pub const ALL: [Self; 8] = [
        Self::StartSession,
        Self::EndSession,
        Self::Synthesize,
        Self::Control,
        Self::ListModels,
        Self::LoadModel,
        Self::UnloadModel,
        Self::GetCapabilities,
    ];

    /// As written in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartSession => "start_session",
            Self::EndSession => "end_session",
            Self::Synthesize => "synthesize",
            Self::Control => "control",
            Self::ListModels => "list_models",
            Self::LoadModel => "load_model",
            Self::UnloadModel => "unload_model",
            Self::GetCapabilities => "get_capabilities",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl FieldRole {
    /// All roles that a profile can name.
    pub const ALL: [Self; 16] = [
        Self::SessionId,
        Self::ModelId,
        Self::Text,
        Self::Audio,
        Self::SampleRate,
        Self::FrameDurationMs,
        Self::Sequence,
        Self::Final,
        Self::Success,
        Self::Remark,
        Self::Command,
        Self::LoadDurationMs,
        Self::Loaded,
        Self::ResidentModel,
        Self::MaxSessions,
        Self::TimestampMs,
    ];

    /// Whether it is content, of which only the length is ever read.
    pub fn is_content(self) -> bool {
        matches!(self, Self::Text | Self::Audio | Self::Remark)
    }

    /// As written in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionId => "session_id",
            Self::ModelId => "model_id",
            Self::Text => "text",
            Self::Audio => "audio",
            Self::SampleRate => "sample_rate",
            Self::FrameDurationMs => "frame_duration_ms",
            Self::Sequence => "sequence",
            Self::Final => "final",
            Self::Success => "success",
            Self::Remark => "remark",
            Self::Command => "command",
            Self::LoadDurationMs => "load_duration_ms",
            Self::Loaded => "loaded",
            Self::ResidentModel => "resident_model",
            Self::MaxSessions => "max_sessions",
            Self::TimestampMs => "timestamp_ms",
            Self::None => "none",
        }
    }

    /// The role of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}
