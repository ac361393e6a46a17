//! Keys, numbers and lengths: whole fields where they are there in full, else octet by octet.

use super::state::{Field, MAX_KEY_OCTETS, MAX_VARINT_OCTETS, State};
use super::{Content, Decoder, number};
use crate::profile::Profile;

/// Wire types: a number, and a length with so many bytes.
const VARINT: u32 = 0;
const BYTES: u32 = 2;

impl Decoder {
    /// Consumes fields of the message itself that begin here and are there in full, numbers with their
    /// value and others with their length; the bytes consumed.
    pub(super) fn fields(&mut self, profile: &Profile, input: &[u8]) -> usize {
        // Of embedded messages and recorded shapes there are few.
        let &[level] = self.levels.as_slice() else {
            return 0;
        };
        if self.looks.is_some() {
            return 0;
        }
        let description = level.schema.and_then(|schema| profile.message(schema));
        let left = level.end.saturating_sub(self.position) as usize;
        let input = input.get(..left).unwrap_or(input);
        let mut done = 0;
        while let Some(mut rest) = input.get(done..)
            && let Some(key) = number::varint(&mut rest, MAX_KEY_OCTETS)
            && let Ok(key) = u32::try_from(key)
            && key >> 3 != 0
            && let wire_type @ (VARINT | BYTES) = key & 7
        {
            let is_number = wire_type == VARINT;
            let most = if is_number {
                MAX_VARINT_OCTETS
            } else {
                MAX_KEY_OCTETS
            };
            let Some(value) = number::varint(&mut rest, most) else {
                break;
            };
            let used = input.len() - rest.len() - done;
            done += used;
            self.advance(used);
            let field = description.and_then(|description| description.field(key >> 3));
            if is_number {
                let wanted = self.wanted(field, number::is_varint);
                self.number(wanted, value);
            } else {
                self.length(profile, field.map(Field::of), value);
                break;
            }
        }
        done
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
