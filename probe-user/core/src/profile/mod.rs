//! What a voice system says, described and not coded: services, methods, messages, fields and the
//! roles they play. A profile is a TOML file (`config/profiles/`); the guide's `tts` is built in.

mod error;
mod file;
mod role;
mod schema;
mod validate;
mod websocket;

pub use error::ProfileError;
pub use role::{FieldRole, MethodRole};
pub use schema::{
    FieldDescription, FieldKind, MessageDescription, MessageIndex, MethodDescription,
};
pub use websocket::{MAX_NAME_BYTES, MemberRole, MessageRole, WebSocketProfile};

use std::collections::BTreeMap;

/// A validated profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    name: String,
    methods: Vec<MethodDescription>,
    messages: Vec<MessageDescription>,
    commands: BTreeMap<i64, String>,
    websocket: WebSocketProfile,
}

impl Profile {
    /// Text of the guide's system, `tts`, as shipped.
    pub const BUILTIN: &str = include_str!("../../../../config/profiles/tts.toml");

    /// The guide's system, `tts`.
    ///
    /// # Panics
    /// Never: a test reads the shipped file.
    pub fn builtin() -> Self {
        Self::from_toml(Self::BUILTIN).expect("the built-in profile is valid")
    }

    /// Reads and validates a profile.
    ///
    /// # Errors
    /// Names the offending key and what to write instead.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let file = toml::from_str(text).map_err(|error| ProfileError::Syntax(error.to_string()))?;
        validate::profile(file)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The method with this `:path`.
    pub fn method(&self, path: &str) -> Option<&MethodDescription> {
        self.methods.iter().find(|method| method.path == path)
    }

    /// Every method, in the file's order.
    pub fn methods(&self) -> &[MethodDescription] {
        &self.methods
    }

    /// A message; `None` only for an index of another profile.
    pub fn message(&self, index: MessageIndex) -> Option<&MessageDescription> {
        self.messages.get(index.0)
    }

    /// Numbers below 16 of fields that hold audio or text in some method's message, and in none another
    /// message: bit 2 for field 2. What is as long as content and in such a field is read of no message.
    pub fn unread_fields(&self) -> u32 {
        let (mut content, mut read) = (0, 0);
        let messages = self.methods.iter().flat_map(|it| [it.request, it.response]);
        for field in messages
            .filter_map(|index| self.message(index))
            .flat_map(|message| &message.fields)
            .filter(|field| field.number < 16)
        {
            let bit = 1 << field.number;
            match (field.kind, field.role) {
                (FieldKind::Message(_), _) => read |= bit,
                (_, FieldRole::Audio | FieldRole::Text) => content |= bit,
                _ => {}
            }
        }
        content & !read
    }

    /// The name of a control command (label `command`).
    pub fn command_name(&self, number: i64) -> Option<&str> {
        self.commands.get(&number).map(String::as_str)
    }

    /// What is said over WebSocket; empty when the profile does not tell.
    pub fn websocket(&self) -> &WebSocketProfile {
        &self.websocket
    }

    /// Every control command's number and name, by rising number.
    pub fn commands(&self) -> impl Iterator<Item = (i64, &str)> {
        self.commands
            .iter()
            .map(|(number, name)| (*number, name.as_str()))
    }
}

#[cfg(test)]
mod tests;
