//! Fields of messages with proto3's rule on absence: a default when the message is intact, unknown
//! when it is not.

use super::{AudioFrame, Command, Id, LoadDuration};
use crate::flow::{Message, Value};
use crate::profile::FieldRole;

/// An integer; absent is 0.
pub(super) fn integer(message: &Message, role: FieldRole) -> Option<i64> {
    message
        .integer(role)
        .or_else(|| message.intact.then_some(0))
}

/// A bool; absent is false.
pub(super) fn boolean(message: &Message, role: FieldRole) -> Option<bool> {
    integer(message, role).map(|value| value != 0)
}

/// The length in bytes of a field that is never read; absent is empty.
pub(super) fn length(message: &Message, role: FieldRole) -> Option<u32> {
    message
        .length_of(role)
        .or_else(|| message.intact.then_some(0))
}

/// An identifier; absent and empty are both `None`.
pub(super) fn id(message: &Message, role: FieldRole) -> Option<Id> {
    message.text(role).and_then(Id::new)
}

/// A command; absent is number 0.
pub(super) fn command(message: &Message, names: &[(i64, Command)]) -> Command {
    integer(message, FieldRole::Command).map_or(Command::Unknown, |number| {
        names
            .iter()
            .find_map(|(n, command)| (*n == number).then_some(*command))
            .unwrap_or(Command::Other)
    })
}

/// An audio message. Runs once per frame: one pass over the fields.
pub(super) fn audio_frame(message: &Message) -> AudioFrame {
    let absent = message.intact.then_some(0);
    let mut frame = AudioFrame {
        audio_bytes: message.intact.then_some(0),
        sample_rate: absent,
        duration_ms: absent,
        sequence: absent,
        is_final: message.intact.then_some(false),
    };
    for (role, value) in &message.fields {
        match (role, value) {
            (FieldRole::Audio, Value::Length(bytes)) => frame.audio_bytes = Some(*bytes),
            (FieldRole::SampleRate, Value::Integer(v)) => frame.sample_rate = Some(*v),
            (FieldRole::FrameDurationMs, Value::Integer(v)) => frame.duration_ms = Some(*v),
            (FieldRole::Sequence, Value::Integer(v)) => frame.sequence = Some(*v),
            (FieldRole::Final, Value::Integer(v)) => frame.is_final = Some(*v != 0),
            _ => {}
        }
    }
    frame
}

/// The worker's own figure for a load. 0 is proto3's "absent".
pub(super) fn load_duration(message: &Message) -> LoadDuration {
    match integer(message, FieldRole::LoadDurationMs) {
        Some(ms) if ms > 0 => LoadDuration::Said(ms.unsigned_abs()),
        Some(_) => LoadDuration::Unsaid,
        None => LoadDuration::Unknown,
    }
}

/// Models of a list that are loaded; `None` when any of it is unreadable.
pub(super) fn loaded_models(message: &Message) -> Option<Vec<Id>> {
    let loaded = message.loaded_models()?;
    Some(loaded.into_iter().filter_map(Id::new).collect())
}
