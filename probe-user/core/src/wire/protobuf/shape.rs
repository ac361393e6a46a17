//! The shape of a message: which fields it has, whatever it means.

use super::Digest;
use crate::profile::MessageIndex;

/// Most fields kept of one message's shape. The profile's messages have up to seven; a list of models
/// has one field many times.
const MAX_FIELDS: usize = 24;

/// The fields of one message, embedded ones not entered. Of content only its length is here, and
/// what [`Seen`] tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// In wire order, at most 24.
    pub fields: Vec<ShapeField>,
    /// Fields beyond the most are not here.
    pub more: bool,
    /// How well it could be read.
    pub condition: Condition,
}

/// How well a message could be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// To its end.
    #[default]
    Whole,
    /// Bytes are missing, or it is compressed.
    Partial,
    /// It is no protobuf message.
    Malformed,
}

/// One field.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeField {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub content: Content,
}

/// What a field holds, by its wire type.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A varint.
    Varint(u64),
    /// Four octets.
    Fixed32,
    /// Eight octets.
    Fixed64,
    /// So many bytes.
    Bytes(u32, Seen),
    /// A group.
    Group,
}

/// What was seen in bytes that somebody wanted to have looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Seen {
    /// Nothing: they were not looked at, or not in one piece.
    #[default]
    Nothing,
    /// An identifier.
    Id(Digest),
    /// A message of these descriptions.
    Message {
        /// Every description asked about that it fits.
        fits: Vec<MessageIndex>,
        /// Its distinct fields.
        fields: u32,
        /// The model or session that it names.
        id: Option<Digest>,
    },
    /// None of the messages asked about.
    Misfit,
}

/// What to look at in the messages of one direction of a call whose method is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Looks {
    /// By field.
    pub fields: Vec<Look>,
}

/// What to look at in one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its number.
    pub number: u32,
    /// Whether it may be an identifier.
    pub id: bool,
    /// Messages that it may be.
    pub messages: Vec<MessageIndex>,
}

impl Looks {
    pub(super) fn at(&self, number: u32) -> Option<&Look> {
        self.fields.iter().find(|look| look.number == number)
    }
}

impl Shape {
    pub(super) fn clear(&mut self) {
        self.fields.clear();
        (self.more, self.condition) = (false, Condition::Whole);
    }

    pub(super) fn push(&mut self, number: u32, content: Content) {
        if self.fields.len() < MAX_FIELDS {
            self.fields.push(ShapeField { number, content });
        } else {
            self.more = true;
        }
    }

    /// Says what was seen in the last field.
    pub(super) fn see(&mut self, seen: Seen) {
        if !self.more
            && let Some(ShapeField {
                content: Content::Bytes(_, place),
                ..
            }) = self.fields.last_mut()
        {
            *place = seen;
        }
    }

    /// The last value of a field that is a varint.
    pub fn varint(&self, number: u32) -> Option<u64> {
        self.last(number).and_then(|content| match content {
            Content::Varint(value) => Some(*value),
            _ => None,
        })
    }

    /// The length in bytes of a field that has one.
    pub fn bytes(&self, number: u32) -> Option<u32> {
        self.last(number).and_then(|content| match content {
            Content::Bytes(length, _) => Some(*length),
            _ => None,
        })
    }

    /// The identifier in a field.
    pub fn id(&self, number: u32) -> Option<Digest> {
        self.last(number).and_then(|content| match content {
            Content::Bytes(_, Seen::Id(digest)) => Some(*digest),
            _ => None,
        })
    }

    fn last(&self, number: u32) -> Option<&Content> {
        let mut fields = self.fields.iter().rev();
        fields
            .find(|field| field.number == number)
            .map(|field| &field.content)
    }
}
