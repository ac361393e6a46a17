//! What a profile can read of one gRPC message.

use crate::profile::FieldRole;

/// What the profile could read of one gRPC message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// Bytes of the message, without the five-byte prefix.
    pub length: u32,
    /// False when holes or damage (or compression) took fields: a field that is absent may have
    /// been there.
    pub intact: bool,
    /// Fields with a role, in wire order. Proto3 defaults are absent from the wire.
    pub fields: Vec<(FieldRole, Value)>,
}

impl Message {
    /// The last value of a field (proto3: the last one wins).
    pub fn field(&self, role: FieldRole) -> Option<&Value> {
        self.fields
            .iter()
            .rev()
            .find_map(|(r, value)| (*r == role).then_some(value))
    }

    /// An integer, enum or bool field.
    pub fn integer(&self, role: FieldRole) -> Option<i64> {
        match self.field(role) {
            Some(Value::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// A text field.
    pub fn text(&self, role: FieldRole) -> Option<&str> {
        match self.field(role) {
            Some(Value::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// Models that a list says are loaded: those it names as resident, and entries that say so of
    /// themselves. `None` when any of it is unreadable.
    pub fn loaded_models(&self) -> Option<Vec<&str>> {
        if !self.intact {
            return None;
        }
        let mut loaded = Vec::new();
        let mut entry: (Option<&str>, bool) = (None, false);
        for (role, value) in &self.fields {
            match (role, value) {
                (FieldRole::ResidentModel, Value::Text(text)) => loaded.push(text.as_str()),
                (_, Value::Group) => entry = (None, false),
                (FieldRole::ModelId, Value::Text(text)) => entry.0 = Some(text.as_str()),
                (FieldRole::Loaded, Value::Integer(value)) => entry.1 = *value != 0,
                (_, Value::GroupEnd) => {
                    if let (Some(model), true) = std::mem::take(&mut entry) {
                        loaded.push(model);
                    }
                }
                _ => {}
            }
        }
        Some(loaded)
    }

    /// The length in bytes of a field whose content is never read.
    pub fn length_of(&self, role: FieldRole) -> Option<u32> {
        match self.field(role) {
            Some(Value::Length(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Integer, enum (its number) or bool (0, 1).
    Integer(i64),
    /// String, at most [`Value::MAX_TEXT`] bytes; a longer or non-UTF-8 one makes the message not
    /// intact and is left out.
    Text(String),
    /// Length in bytes of content that is never read (audio, text, remarks).
    Length(u32),
    /// An embedded message with role fields begins (repeated `ModelInfo`): groups what follows. Its
    /// role is that of the embedding field, as a rule [`FieldRole::None`].
    Group,
    /// The embedded message ends.
    GroupEnd,
}

impl Value {
    /// Bytes of a string field that are kept. Session and model ids are far shorter.
    pub const MAX_TEXT: usize = 256;
}
