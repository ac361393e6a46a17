//! Counts of what an orchestrator or a talker did.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::orchestration::Orchestration;
use super::summary::add;

/// Counts of the events of [`Orchestration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conversation {
    /// WebSocket connections upgraded (orchestrator) or opened (talker).
    pub connections: u64,
    /// Sessions that began.
    pub sessions: u64,
    /// Ends of sessions by way (orchestrator: the first thing that ended it; talker: as planned).
    pub ends: BTreeMap<String, u64>,
    /// WebSocket messages sent, by kind.
    pub sent: BTreeMap<String, u64>,
    /// WebSocket messages received, by kind.
    pub received: BTreeMap<String, u64>,
    /// Frames with audio received from workers.
    pub audio_received: u64,
    /// Frames with audio that were not forwarded, by reason.
    pub audio_dropped: BTreeMap<String, u64>,
    /// Ends of utterances by reason.
    pub utterances: BTreeMap<String, u64>,
    /// Interruptions by trigger.
    pub interruptions: BTreeMap<String, u64>,
    /// Errors of sessions by type.
    pub errors: BTreeMap<String, u64>,
    /// Edges of speech.
    pub speech: BTreeMap<String, u64>,
    /// Redis commands by name.
    pub redis: BTreeMap<String, u64>,
}

impl Conversation {
    /// Takes one event into account.
    pub fn observe(&mut self, event: &Orchestration) {
        match event {
            Orchestration::Upgraded { .. } | Orchestration::Connected { session: None, .. } => {
                self.connections += 1;
            }
            Orchestration::SessionOpened { .. }
            | Orchestration::Connected {
                session: Some(_), ..
            } => self.sessions += 1,
            Orchestration::SessionClosed { way, .. } | Orchestration::Disconnected { way, .. } => {
                add(&mut self.ends, way);
            }
            Orchestration::MessageSent { kind, .. } => add(&mut self.sent, kind),
            Orchestration::MessageReceived { kind, .. } => add(&mut self.received, kind),
            Orchestration::AudioReceived { .. } => self.audio_received += 1,
            Orchestration::AudioDropped { reason, .. } => add(&mut self.audio_dropped, reason),
            Orchestration::UtteranceEnded { reason, .. } => add(&mut self.utterances, reason),
            Orchestration::BargeIn { trigger, .. } => add(&mut self.interruptions, trigger),
            Orchestration::SessionError { error_type, .. } => add(&mut self.errors, error_type),
            Orchestration::Speech { edge, .. } => add(&mut self.speech, edge),
            Orchestration::RedisCommand { command, .. } => add(&mut self.redis, command),
            Orchestration::SessionModel { .. }
            | Orchestration::ConnectionClosed { .. }
            | Orchestration::MessageHandled { .. }
            | Orchestration::UtteranceStarted { .. }
            | Orchestration::TextForwarded { .. }
            | Orchestration::VadCalled { .. }
            | Orchestration::AsrCalled { .. }
            | Orchestration::RedisOpened
            | Orchestration::RedisClosed => {}
        }
    }
}
