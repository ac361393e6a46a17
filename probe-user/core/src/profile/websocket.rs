//! What a voice system says over WebSocket: JSON objects whose type is told by one member.

use std::collections::BTreeMap;

use super::{ProfileError, file};

/// Bytes of a member's name or a type's value that are compared. Longer ones are content, not names.
pub const MAX_NAME_BYTES: usize = 64;

/// What a message does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageRole {
    /// Server: a session began.
    SessionStarted,
    /// Server: audio.
    Audio,
    /// Server: a session ended.
    SessionEnded,
    /// Server: an error.
    Error,
    /// Client: asks for a session.
    SessionStart,
    /// Client: text to speak.
    Text,
    /// Client: a control command.
    Control,
}

impl MessageRole {
    /// Roles of what servers send.
    pub const SERVER: [Self; 4] = [
        Self::SessionStarted,
        Self::Audio,
        Self::SessionEnded,
        Self::Error,
    ];

    /// Roles of what clients send.
    pub const CLIENT: [Self; 3] = [Self::SessionStart, Self::Text, Self::Control];

    /// As written in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SessionStarted => "session_started",
            Self::Audio => "audio",
            Self::SessionEnded => "session_ended",
            Self::Error => "error",
            Self::SessionStart => "session_start",
            Self::Text => "text",
            Self::Control => "control",
        }
    }
}

/// What a member of a message means. Values of members without a role are never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemberRole {
    /// Type of the message (string).
    Type,
    /// Session (string).
    SessionId,
    /// Model (string).
    ModelId,
    /// Last message of its utterance (bool).
    Final,
    /// Control command (string).
    Command,
    /// Number of an audio message (integer).
    Sequence,
    /// Milliseconds of audio (integer).
    FrameDurationMs,
    /// Code of an error (string or integer).
    Code,
    /// Reason of a session's end (string).
    Reason,
}

impl MemberRole {
    /// All roles that a profile can give in `websocket.members`.
    pub const ALL: [Self; 8] = [
        Self::SessionId,
        Self::ModelId,
        Self::Final,
        Self::Command,
        Self::Sequence,
        Self::FrameDurationMs,
        Self::Code,
        Self::Reason,
    ];

    /// As written in a profile.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Type => "type",
            Self::SessionId => "session_id",
            Self::ModelId => "model_id",
            Self::Final => "final",
            Self::Command => "command",
            Self::Sequence => "sequence",
            Self::FrameDurationMs => "frame_duration_ms",
            Self::Code => "code",
            Self::Reason => "reason",
        }
    }
}

/// The WebSocket part of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSocketProfile {
    members: Vec<(String, MemberRole)>,
    client: Vec<(String, MessageRole)>,
    server: Vec<(String, MessageRole)>,
    commands: Vec<(String, String)>,
    binary_is_audio: bool,
}

impl WebSocketProfile {
    /// The role of the member of this name.
    pub fn member(&self, name: &[u8]) -> Option<MemberRole> {
        let found = self.members.iter().find(|it| it.0.as_bytes() == name)?;
        Some(found.1)
    }

    /// What a message of this type does when a client sends it.
    pub fn client_message(&self, kind: &str) -> Option<MessageRole> {
        Some(self.client.iter().find(|it| it.0 == kind)?.1)
    }

    /// What a message of this type does when a server sends it.
    pub fn server_message(&self, kind: &str) -> Option<MessageRole> {
        Some(self.server.iter().find(|it| it.0 == kind)?.1)
    }

    /// The name (label `command`) of a command; what the message says where the profile has no list.
    pub fn command<'a>(&'a self, said: &'a str) -> &'a str {
        let named = self.commands.iter().find(|it| it.0 == said);
        named.map_or(said, |it| it.1.as_str())
    }

    /// Whether the server's binary messages are audio.
    pub fn binary_is_audio(&self) -> bool {
        self.binary_is_audio
    }
}

/// Validates the section.
pub(super) fn websocket(section: file::WebSocket) -> Result<WebSocketProfile, ProfileError> {
    let mut members = vec![(section.kind, MemberRole::Type)];
    check_name("websocket.type", members.first().map_or("", |it| &it.0))?;
    for (name, role) in section.members {
        let key = format!("websocket.members.{name}");
        check_name(&key, &name)?;
        if members.first().is_some_and(|kind| kind.0 == name) {
            let what = format!("member {name} (it is websocket.type)");
            return Err(ProfileError::Duplicate { key, what });
        }
        let role = one_of(&key, &role, &MemberRole::ALL, MemberRole::as_str)?;
        members.push((name, role));
    }
    let binary_is_audio = match section.binary.as_str() {
        "audio" => true,
        "other" => false,
        _ => {
            return Err(ProfileError::UnknownValue {
                key: "websocket.binary".into(),
                value: section.binary,
                valid: "audio, other".into(),
            });
        }
    };
    Ok(WebSocketProfile {
        members,
        client: messages("client", section.client, &MessageRole::CLIENT)?,
        server: messages("server", section.server, &MessageRole::SERVER)?,
        commands: commands(section.commands)?,
        binary_is_audio,
    })
}

fn messages(
    end: &str,
    section: BTreeMap<String, String>,
    roles: &[MessageRole],
) -> Result<Vec<(String, MessageRole)>, ProfileError> {
    let message = |(kind, role): (String, String)| {
        let key = format!("websocket.{end}.{kind}");
        check_name(&key, &kind)?;
        let role = one_of(&key, &role, roles, MessageRole::as_str)?;
        Ok((kind, role))
    };
    section.into_iter().map(message).collect()
}

fn commands(section: BTreeMap<String, String>) -> Result<Vec<(String, String)>, ProfileError> {
    /// Names that control commands can have (label `command`).
    const NAMES: [&str; 4] = ["PAUSE", "RESUME", "STOP", "RELOAD"];
    let command = |(said, name): (String, String)| {
        let key = format!("websocket.commands.{said}");
        check_name(&key, &said)?;
        if NAMES.contains(&name.as_str()) {
            return Ok((said, name));
        }
        Err(ProfileError::UnknownValue {
            key,
            value: name,
            valid: NAMES.join(", "),
        })
    };
    section.into_iter().map(command).collect()
}

fn check_name(key: &str, name: &str) -> Result<(), ProfileError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(ProfileError::BadName {
            key: key.to_owned(),
            max: MAX_NAME_BYTES,
        });
    }
    Ok(())
}

fn one_of<R: Copy>(
    key: &str,
    name: &str,
    roles: &[R],
    as_str: impl Fn(R) -> &'static str,
) -> Result<R, ProfileError> {
    let found = roles.iter().copied().find(|role| as_str(*role) == name);
    found.ok_or_else(|| {
        let valid: Vec<_> = roles.iter().copied().map(as_str).collect();
        ProfileError::UnknownRole {
            key: key.to_owned(),
            role: name.to_owned(),
            valid: valid.join(", "),
        }
    })
}
