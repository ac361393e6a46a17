//! What the model is told by configuration, and what it holds at most.

/// Settings of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelSettings {
    /// Milliseconds of audio a listener buffers before playing: the slack of the first frame's
    /// successors before they count as late.
    pub prebuffer_ms: u32,
    /// Models the worker's model manager keeps at most. With it, a model that vanishes from the
    /// resident ones was evicted by it (`lru_eviction`) or by age (`ttl_eviction`); without it the
    /// reason is `unknown`.
    pub resident_cap: Option<u32>,
    /// Milliseconds for which a session's own series stay after the session ended, so that their
    /// last increments are scraped: two scrapes at the guide's interval of 15 s. 0 removes them at
    /// once. They leave earlier when a new session needs the place.
    pub session_linger_ms: u32,
    /// Milliseconds by which the interval between two frames of a paced stream may be longer than one
    /// frame before the second one counts as late.
    pub late_threshold_ms: u32,
    /// Milliseconds without a message after which an orchestrator ends a session by itself. With it,
    /// a session that the server ends after such a silence counts as `timeout`; without it that
    /// cannot be told from `normal`.
    pub idle_timeout_ms: Option<u32>,
    /// How orchestrators talk to their clients.
    pub transport: TransportSetting,
    /// What counts as a violation.
    pub objectives: Objectives,
}

/// The observability guide's objectives, for single events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Objectives {
    /// Milliseconds from a client's text to its first audio.
    pub first_audio_ms: u32,
    /// Milliseconds from an interruption to the last audio.
    pub barge_in_ms: u32,
    /// Milliseconds by which 95 of 100 intervals of a paced stream may differ from a frame's duration.
    pub frame_jitter_ms: u32,
}

impl Default for Objectives {
    fn default() -> Self {
        Self {
            first_audio_ms: 300,
            barge_in_ms: 50,
            frame_jitter_ms: 10,
        }
    }
}

/// How orchestrators talk to their clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportSetting {
    /// A process that accepted a WebSocket connection serves WebSocket; one that did not is a
    /// `LiveKit` agent.
    #[default]
    Auto,
    /// All serve WebSocket: a session that a worker is asked for without a connection is none.
    WebSocket,
    /// All are `LiveKit` agents.
    LiveKit,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            prebuffer_ms: 60,
            resident_cap: None,
            session_linger_ms: 30_000,
            idle_timeout_ms: None,
            transport: TransportSetting::Auto,
            late_threshold_ms: 20,
            objectives: Objectives::default(),
        }
    }
}

/// Watched processes. A host runs some dozens; a forking server some hundreds.
pub const MAX_PROCESSES: usize = 1024;

/// Synthesis streams open at once on all workers: as many as calls are interpreted. At about 1 KB
/// each, 16 MB.
pub const MAX_STREAMS: usize = crate::interpret::MAX_CALLS;

/// Sessions open at once on one worker. At about 0.5 KB each, 8 MB.
pub const MAX_SESSIONS_PER_WORKER: usize = 16_384;

/// Models resident in one process. A model manager holds a handful.
pub const MAX_MODELS_PER_PROCESS: usize = 256;

/// Sessions that ended and whose series still wait to be scraped; each is one counter.
pub const MAX_LINGERING: usize = 4096;

/// Milliseconds of audio in one frame that are believed. The guide's frames have 20 ms; a worker
/// that sends an utterance at once stays below ten minutes.
pub const MAX_FRAME_MS: i64 = 600_000;

/// Frames missing between two sequence numbers that are believed: 200 s at 20 ms. A wider jump is
/// damage or another numbering, not a loss.
pub const MAX_SEQUENCE_GAP: u64 = 10_000;
