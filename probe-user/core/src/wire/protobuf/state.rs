//! Where in a message the decoder is, and the bounds it keeps to.

use crate::profile::{FieldDescription, FieldKind, FieldRole, MessageIndex};

/// Deepest nesting of embedded messages and groups that is entered. The profile's own messages need
/// two; groups of unknown fields may add to it.
pub(super) const MAX_DEPTH: usize = 8;

/// Most values kept of one message: a list of 128 models with a group, an id and a flag each.
pub(super) const MAX_VALUES: usize = 512;

/// Buffers of text values kept for the next message. A message has one or two as a rule.
pub(super) const MAX_SPARE_TEXTS: usize = 8;

/// Most octets of a key: it is a 32-bit varint.
pub(super) const MAX_KEY_OCTETS: u32 = 5;

/// Most octets of a varint: 64 bits.
pub(super) const MAX_VARINT_OCTETS: u32 = 10;

/// What the profile says of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) role: FieldRole,
    pub(super) kind: FieldKind,
}

impl Field {
    pub(super) fn of(description: &FieldDescription) -> Self {
        Self {
            role: description.role,
            kind: description.kind,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    /// Position in the message at which it ends.
    pub(super) end: u32,
    pub(super) schema: Option<MessageIndex>,
    /// Field number of the group that this is; 0 for an embedded message.
    pub(super) group: u32,
    /// Whether [`Value::Group`] was given for it.
    pub(super) grouped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum State {
    Key {
        value: u64,
        octets: u32,
    },
    Varint {
        wanted: Option<Field>,
        value: u64,
        octets: u32,
    },
    Fixed {
        wanted: Option<Field>,
        value: u64,
        octets: u32,
        size: u32,
    },
    Length {
        field: Option<Field>,
        value: u64,
        octets: u32,
    },
    /// Inside a length-delimited field; `text` is the role under which the content is kept.
    Content {
        text: Option<FieldRole>,
        left: u32,
    },
    /// Nothing more is read of this message.
    #[default]
    Skip,
}

pub(super) const KEY: State = State::Key {
    value: 0,
    octets: 0,
};
