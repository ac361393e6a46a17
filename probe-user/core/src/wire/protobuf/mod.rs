//! Push decoder of one protobuf message along a profile's description of it (wire format:
//! <https://protobuf.dev/programming-guides/encoding/>).
//!
//! Takes the message's bytes cut anywhere, and holes in them; gives a [`Message`]. Only fields with
//! a role are kept; of audio, text and remarks only the length. What the profile does not describe
//! is skipped. Once the message is damaged the rest of it is skipped by its known length. Where asked
//! for, the message's [`Shape`] is recorded too: that needs no description.

mod nested;
mod number;
mod pseudonym;
mod record;
mod shape;
mod state;
mod structure;

use std::sync::Arc;

use super::{Message, Value};
use crate::profile::{FieldDescription, FieldKind, FieldRole, MessageIndex, Profile};
pub use number::{fits_fixed32, fits_fixed64, fits_varint};
pub use pseudonym::Digest;
pub use shape::{Condition, Content, Look, Looks, Seen, Shape, ShapeField};
use state::{Field, KEY, Level, MAX_DEPTH, MAX_SPARE_TEXTS, MAX_VALUES, State};

/// A run of input that was consumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Bytes consumed; 0 only where the next step consumes more.
    pub used: usize,
    /// Whether they carry structure, numbers or ids only, and never content.
    pub keep: bool,
}

/// Decoder of one message at a time. Its buffers are reused from message to message.
#[derive(Debug, Default)]
pub struct Decoder {
    message: Message,
    state: State,
    /// Bytes of the message consumed so far.
    position: u32,
    /// Embedded messages being read, outermost (the message itself) first.
    levels: Vec<Level>,
    /// The text being read.
    text: Vec<u8>,
    spare: Vec<String>,
    /// The shape, where it is recorded.
    shape: Shape,
    looks: Option<Arc<Looks>>,
    /// Number of the message's own field being read.
    number: u32,
    /// The content of that field, which starts with the next byte, is to be looked at.
    looking: bool,
    /// What stands for the content just consumed.
    masked: Option<Vec<u8>>,
}

impl Decoder {
    /// Starts a message of `length` bytes. Without a schema its structure is walked, and nothing is
    /// read of it: the message is then not intact.
    pub fn start(&mut self, schema: Option<MessageIndex>, length: u32) {
        // Backwards: the first text is the first to be taken again.
        while let Some((_, value)) = self.message.fields.pop() {
            if let Value::Text(text) = value
                && self.spare.len() < MAX_SPARE_TEXTS
            {
                self.spare.push(text);
            }
        }
        (self.message.length, self.message.intact) = (length, schema.is_some());
        self.position = 0;
        self.levels.clear();
        self.levels.push(Level {
            end: length,
            schema,
            group: 0,
            grouped: false,
        });
        self.state = KEY;
        (self.looks, self.looking, self.masked) = (None, false, None);
    }

    /// Nothing more can be read of this message (it is compressed).
    pub fn skip(&mut self) {
        self.shape.condition = Condition::Partial;
        self.damage();
    }

    /// Consumes a run of the message's next bytes. `input` must not reach beyond the message and
    /// must not be empty.
    #[inline]
    pub fn step(&mut self, profile: &Profile, input: &[u8]) -> Run {
        match self.state {
            State::Skip => {
                self.advance(input.len());
                Run {
                    used: input.len(),
                    keep: false,
                }
            }
            State::Content { text, left } if text.is_none() || self.looking => {
                let content = input.get(..left as usize);
                let used = content.map_or(input.len(), <[u8]>::len);
                if text.is_some() {
                    self.text.extend_from_slice(content.unwrap_or(input));
                }
                if std::mem::take(&mut self.looking)
                    && let Some(content) = content
                {
                    self.look(profile, content);
                }
                self.content(text, left, used as u32);
                Run {
                    used,
                    keep: text.is_some() || self.masked.is_some(),
                }
            }
            _ => Run {
                used: self.kept(profile, input),
                keep: true,
            },
        }
    }

    /// Consumes structure, numbers and texts with a role until content comes that has none, or that is
    /// to be looked at; gives the bytes consumed.
    fn kept(&mut self, profile: &Profile, input: &[u8]) -> usize {
        let mut used = 0;
        while let Some(rest) = input.get(used..)
            && let Some(&octet) = rest.first()
        {
            used += match self.state {
                State::Content {
                    text: Some(role),
                    left,
                } if !self.looking => {
                    let content = rest.get(..left as usize).unwrap_or(rest);
                    self.text.extend_from_slice(content);
                    self.content(Some(role), left, content.len() as u32);
                    content.len()
                }
                State::Content { .. } | State::Skip => break,
                State::Key { octets: 0, .. } => match self.fields(profile, rest) {
                    0 => self.octet(profile, octet),
                    used => used,
                },
                _ => self.octet(profile, octet),
            };
        }
        used
    }

    /// The next `length` bytes of the message are missing.
    pub fn hole(&mut self, length: u32) {
        self.looking = false;
        match self.state {
            State::Content { text, left } if length <= left => {
                if text.is_some() {
                    self.message.intact = false;
                }
                self.content(None, left, length);
            }
            State::Skip => self.advance(length as usize),
            _ => {
                self.advance(length as usize);
                self.shape.condition = Condition::Partial;
                self.damage();
            }
        }
    }

    /// The message's last byte was consumed.
    pub fn finish(&mut self) -> &Message {
        if !matches!(self.state, State::Key { octets: 0, .. } | State::Skip)
            || self.levels.len() > 1
        {
            self.damage();
        }
        &self.message
    }

    fn advance(&mut self, bytes: usize) {
        self.position = self.position.saturating_add(bytes as u32);
    }

    /// A key is complete.
    fn key(&mut self, profile: &Profile, key: u64) {
        let number = (key >> 3) as u32;
        if number == 0 || key > u64::from(u32::MAX) {
            return self.damage();
        }
        let level = self.levels.last().copied();
        if self.levels.len() == 1 {
            self.number = number;
        }
        let field = level
            .and_then(|level| level.schema)
            .and_then(|schema| profile.message(schema))
            .and_then(|message| message.field(number));
        match key & 7 {
            0 => {
                self.state = State::Varint {
                    wanted: self.wanted(field, number::is_varint),
                    value: 0,
                    octets: 0,
                };
            }
            1 => {
                self.state = State::Fixed {
                    wanted: self.wanted(field, number::is_fixed64),
                    value: 0,
                    octets: 0,
                    size: 8,
                };
            }
            5 => {
                self.state = State::Fixed {
                    wanted: self.wanted(field, number::is_fixed32),
                    value: 0,
                    octets: 0,
                    size: 4,
                };
            }
            2 => {
                self.state = State::Length {
                    field: field.map(Field::of),
                    value: 0,
                    octets: 0,
                };
            }
            3 => {
                self.note(Content::Group);
                let end = level.map_or(0, |level| level.end);
                self.enter(Level {
                    end,
                    schema: None,
                    group: number,
                    grouped: false,
                });
            }
            4 if level.is_some_and(|level| level.group == number) => {
                self.levels.pop();
                self.next_field();
            }
            _ => self.damage(),
        }
    }

    /// The field to keep, if it has a role; a field with a role and another wire type than described
    /// cannot be read.
    fn wanted(
        &mut self,
        field: Option<&FieldDescription>,
        fits: fn(FieldKind) -> bool,
    ) -> Option<Field> {
        let field = field.filter(|field| field.role != FieldRole::None)?;
        if fits(field.kind) {
            return Some(Field::of(field));
        }
        self.message.intact = false;
        None
    }

    /// A number is complete.
    fn number(&mut self, wanted: Option<Field>, value: u64) {
        let Some(wanted) = wanted else { return };
        self.push(
            wanted.role,
            Value::Integer(number::integer(wanted.kind, value)),
        );
    }

    /// The length of a length-delimited field is complete.
    fn length(&mut self, profile: &Profile, field: Option<Field>, length: u64) {
        let end = self.levels.last().map_or(0, |level| level.end);
        if u64::from(self.position) + length > u64::from(end) {
            return self.damage();
        }
        let length = length as u32;
        if let Some(looks) = &self.looks
            && self.levels.len() == 1
        {
            self.looking = length > 0 && looks.at(self.number).is_some();
            self.shape
                .push(self.number, Content::Bytes(length, Seen::Nothing));
        }
        let mut kept = None;
        match field {
            Some(Field {
                kind: FieldKind::Message(schema),
                role,
            }) if profile.message(schema).is_some_and(|inner| inner.has_roles) => {
                return self.embedded(role, schema, length);
            }
            None
            | Some(Field {
                role: FieldRole::None,
                ..
            }) => {}
            Some(Field { role, .. }) if role.is_content() => self.push(role, Value::Length(length)),
            Some(Field {
                role,
                kind: FieldKind::String,
            }) if length as usize <= Value::MAX_TEXT => {
                self.text = self.spare.pop().unwrap_or_default().into_bytes();
                self.text.clear();
                kept = Some(role);
            }
            // Too long a text, or a number that is not sent as one (packed).
            Some(_) => self.message.intact = false,
        }
        self.content(kept, length, 0);
    }

    fn embedded(&mut self, role: FieldRole, schema: MessageIndex, length: u32) {
        if self.levels.len() >= MAX_DEPTH {
            self.message.intact = false;
            return self.content(None, length, 0);
        }
        // The end of a group needs a place too.
        let grouped = self.message.fields.len() + self.levels.len() < MAX_VALUES;
        if grouped {
            self.push(role, Value::Group);
        } else {
            self.message.intact = false;
        }
        self.enter(Level {
            end: self.position.saturating_add(length),
            schema: Some(schema),
            group: 0,
            grouped,
        });
    }

    fn enter(&mut self, level: Level) {
        if self.levels.len() >= MAX_DEPTH {
            return self.damage();
        }
        self.levels.push(level);
        self.next_field();
    }

    /// `bytes` of a field's content passed, of which `left` were to come.
    fn content(&mut self, text: Option<FieldRole>, left: u32, bytes: u32) {
        self.advance(bytes as usize);
        let left = left.saturating_sub(bytes);
        if left > 0 {
            self.state = State::Content { text, left };
            return;
        }
        if let Some(role) = text {
            match String::from_utf8(std::mem::take(&mut self.text)) {
                Ok(text) => self.push(role, Value::Text(text)),
                Err(_) => self.message.intact = false,
            }
        }
        self.next_field();
    }

    /// A field is complete: leaves the embedded messages that end here.
    fn next_field(&mut self) {
        self.state = KEY;
        while self.levels.len() > 1
            && let Some(level) = self.levels.last().copied()
            && level.end <= self.position
        {
            if level.group != 0 {
                return self.damage();
            }
            self.leave(level);
        }
    }

    fn leave(&mut self, level: Level) {
        self.levels.pop();
        if level.grouped {
            self.message.fields.push((FieldRole::None, Value::GroupEnd));
        }
    }

    fn push(&mut self, role: FieldRole, value: Value) {
        // Room is left for the ends of the groups that are open.
        if self.message.fields.len() + self.levels.len() < MAX_VALUES {
            self.message.fields.push((role, value));
        } else {
            self.message.intact = false;
        }
    }

    /// Gives up the rest of the message; groups given so far are closed.
    fn damage(&mut self) {
        self.message.intact = false;
        if self.shape.condition == Condition::Whole {
            self.shape.condition = Condition::Malformed;
        }
        while let Some(level) = self.levels.last().copied() {
            self.leave(level);
        }
        self.state = State::Skip;
    }
}

#[cfg(test)]
mod tests;
