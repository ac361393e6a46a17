//! Keys, numbers and lengths: whole fields where they are there in full, else octet by octet.

use super::state::{Field, MAX_KEY_OCTETS, MAX_VARINT_OCTETS, State};
use super::{Content, Decoder, Value, number};
use crate::profile::{FieldRole, Profile};

/// Wire types: a number, and a length with so many bytes.
const VARINT: u32 = 0;
const BYTES: u32 = 2;

impl Decoder {
    /// Consumes fields of the message itself that begin here and are there in full, and of the first other
    /// one its key and length where it has one; the bytes consumed.
    pub(super) fn fields(&mut self, profile: &Profile, input: &[u8]) -> usize {
        // Of embedded messages and recorded shapes there are few.
        let &[level] = self.levels.as_slice() else {
            return 0;
        };
        if self.looks.is_some() {
            return 0;
        }
        let description = level.schema.and_then(|schema| profile.message(schema));
        let start = self.position;
        let left = level.end.saturating_sub(start) as usize;
        let input = input.get(..left).unwrap_or(input);
        let mut rest = input;
        loop {
            let mut next = rest;
            let Some(key) = number::varint(&mut next, MAX_KEY_OCTETS) else {
                break;
            };
            let wire_type = key as u32 & 7;
            let is_number = wire_type == VARINT;
            if key >> 3 == 0 || key > u64::from(u32::MAX) || !(is_number || wire_type == BYTES) {
                break;
            }
            let most = if is_number {
                MAX_VARINT_OCTETS
            } else {
                MAX_KEY_OCTETS
            };
            let Some(value) = number::varint(&mut next, most) else {
                break;
            };
            let field = description.and_then(|description| description.field(key as u32 >> 3));
            if is_number {
                rest = next;
                let wanted = self.wanted(field, number::is_varint);
                self.number(wanted, value);
                continue;
            }
            if let Some(field) = field
                && field.is_text()
                && value <= Value::MAX_TEXT as u64
                && let Some((content, after)) = next.split_at_checked(value as usize)
            {
                rest = after;
                self.text(field.role, content);
                continue;
            }
            rest = next;
            self.position = start + (input.len() - rest.len()) as u32;
            self.length(profile, field.map(Field::of), value);
            return input.len() - rest.len();
        }
        let used = input.len() - rest.len();
        self.position = start + used as u32;
        used
    }

    /// A text that is there in full. Most are the one of the message before.
    fn text(&mut self, role: FieldRole, content: &[u8]) {
        let mut text = self.spare.pop().unwrap_or_default();
        if text.as_bytes() != content {
            let Ok(content) = str::from_utf8(content) else {
                self.message.intact = false;
                return;
            };
            text.clear();
            text.push_str(content);
        }
        self.push(role, Value::Text(text));
    }

    /// Consumes the next octet of a key, number or length; the bytes consumed.
    pub(super) fn octet(&mut self, profile: &Profile, octet: u8) -> usize {
        let level = self.levels.last();
        if level.is_none_or(|level| self.position >= level.end) {
            self.damage();
            return 0;
        }
        self.advance(1);
        match self.state {
            State::Key { value, octets } => {
                let value = value | (u64::from(octet & 0x7f) << (7 * octets));
                let octets = octets + 1;
                if octet & 0x80 == 0 {
                    self.key(profile, value);
                } else if octets < MAX_KEY_OCTETS {
                    self.state = State::Key { value, octets };
                } else {
                    self.damage();
                }
            }
            State::Varint {
                wanted,
                value,
                octets,
            } => {
                let value = value | (u64::from(octet & 0x7f) << (7 * octets));
                let octets = octets + 1;
                if octet & 0x80 == 0 {
                    self.note(Content::Varint(value));
                    self.number(wanted, value);
                    self.next_field();
                } else if octets < MAX_VARINT_OCTETS {
                    self.state = State::Varint {
                        wanted,
                        value,
                        octets,
                    };
                } else {
                    self.damage();
                }
            }
            State::Fixed {
                wanted,
                value,
                octets,
                size,
            } => {
                let value = value | (u64::from(octet) << (8 * octets));
                let octets = octets + 1;
                if octets == size {
                    self.note(if size == 4 {
                        Content::Fixed32
                    } else {
                        Content::Fixed64
                    });
                    self.number(wanted, value);
                    self.next_field();
                } else {
                    self.state = State::Fixed {
                        wanted,
                        value,
                        octets,
                        size,
                    };
                }
            }
            State::Length {
                field,
                value,
                octets,
            } => {
                let value = value | (u64::from(octet & 0x7f) << (7 * octets));
                let octets = octets + 1;
                if octet & 0x80 == 0 {
                    self.length(profile, field, value);
                } else if octets < MAX_KEY_OCTETS {
                    self.state = State::Length {
                        field,
                        value,
                        octets,
                    };
                } else {
                    self.damage();
                }
            }
            State::Content { .. } | State::Skip => {}
        }
        1
    }
}
