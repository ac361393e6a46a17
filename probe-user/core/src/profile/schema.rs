//! A validated profile's methods and messages, as the decoder walks them.

use super::{FieldRole, MethodRole};

/// Position of a message in its profile. Valid by construction: only a profile gives them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageIndex(pub(super) usize);

/// One method of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodDescription {
    /// Path as in `:path`: `/package.Service/Method`.
    pub path: String,
    /// What it does.
    pub role: MethodRole,
    /// What the client sends.
    pub request: MessageIndex,
    /// What the server sends.
    pub response: MessageIndex,
    /// Whether the client may send several messages.
    pub client_streaming: bool,
    /// Whether the server may send several messages.
    pub server_streaming: bool,
}

/// One message type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageDescription {
    /// Its name.
    pub name: String,
    /// Its fields, by rising number.
    pub fields: Vec<FieldDescription>,
    /// Whether it, or a message in it, has a field with a role.
    pub has_roles: bool,
}

impl MessageDescription {
    /// The field with this number.
    pub fn field(&self, number: u32) -> Option<&FieldDescription> {
        // Proto fields are numbered from one without holes as a rule.
        let guess = self.fields.get((number as usize).wrapping_sub(1));
        if let Some(field) = guess.filter(|field| field.number == number) {
            return Some(field);
        }
        let position = self
            .fields
            .binary_search_by_key(&number, |field| field.number)
            .ok()?;
        self.fields.get(position)
    }
}

/// One field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDescription {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: FieldKind,
    /// Whether it may occur several times.
    pub repeated: bool,
    /// What it means.
    pub role: FieldRole,
}

impl FieldDescription {
    /// Whether its content is kept as a text: an identifier, and never what is spoken.
    pub fn is_text(&self) -> bool {
        self.kind == FieldKind::String && self.role != FieldRole::None && !self.role.is_content()
    }
}

/// Types of fields (protobuf language guide, "Scalar Value Types"), by how they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// `int32` or an enum: a varint whose low 32 bits count.
    Int32,
    /// `int64`: a varint.
    Int64,
    /// `uint32`: a varint whose low 32 bits count.
    Uint32,
    /// `uint64`: a varint.
    Uint64,
    /// `sint32`: a zigzag varint.
    Sint32,
    /// `sint64`: a zigzag varint.
    Sint64,
    /// `bool`: a varint, true unless 0.
    Bool,
    /// `fixed32`: four octets.
    Fixed32,
    /// `fixed64`: eight octets.
    Fixed64,
    /// `sfixed32`: four octets.
    Sfixed32,
    /// `sfixed64`: eight octets.
    Sfixed64,
    /// `float`: four octets.
    Float,
    /// `double`: eight octets.
    Double,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `map`: entries are embedded messages; never read.
    Map,
    /// An embedded message.
    Message(MessageIndex),
}

impl FieldKind {
    /// The scalar type, or `map`, of this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "uint32" => Self::Uint32,
            "uint64" => Self::Uint64,
            "sint32" => Self::Sint32,
            "sint64" => Self::Sint64,
            "bool" => Self::Bool,
            "fixed32" => Self::Fixed32,
            "fixed64" => Self::Fixed64,
            "sfixed32" => Self::Sfixed32,
            "sfixed64" => Self::Sfixed64,
            "float" => Self::Float,
            "double" => Self::Double,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "map" => Self::Map,
            _ => return None,
        })
    }

    /// Whether values are integers, enums or bools.
    pub(super) fn is_integer(self) -> bool {
        !matches!(
            self,
            Self::Float | Self::Double | Self::String | Self::Bytes | Self::Map | Self::Message(_)
        )
    }
}
