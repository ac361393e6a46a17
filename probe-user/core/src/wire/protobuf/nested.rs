//! What bytes are that may be an identifier or an embedded message, and what stands for them in a
//! capture.
//!
//! What stands for them looks the same to this file as they did: a capture replays alike.

use super::number;
use super::pseudonym::Digest;
use super::shape::{Look, Seen};
use super::state::{MAX_KEY_OCTETS, MAX_VARINT_OCTETS};
use crate::profile::{FieldKind, FieldRole, MessageDescription, MessageIndex, Profile};

/// Longest embedded message in bytes that is looked at. An entry of a list of models has about 100.
pub(super) const MAX_MESSAGE_BYTES: usize = 1024;

/// Deepest nesting that is looked at.
const MAX_DEPTH: usize = 3;

/// What stands for content: valid UTF-8, and not like an identifier.
const FILL: u8 = b' ';

/// What stands for bytes that are no message: a key of no wire type.
const NO_MESSAGE: u8 = 0x07;

/// What the bytes are, and what stands for them.
pub(super) fn look(profile: &Profile, look: &Look, bytes: &[u8]) -> (Seen, Option<Vec<u8>>) {
    if !look.messages.is_empty() && bytes.len() <= MAX_MESSAGE_BYTES {
        if let Some((seen, masked)) = message(profile, &look.messages, bytes) {
            return (seen, Some(masked));
        }
        if let Some(digest) = Digest::of(bytes).filter(|_| look.id) {
            return (Seen::Id(digest), Some(digest.pseudonym()));
        }
        return (Seen::Misfit, Some(vec![NO_MESSAGE; bytes.len()]));
    }
    match Digest::of(bytes).filter(|_| look.id) {
        Some(digest) => (Seen::Id(digest), Some(digest.pseudonym())),
        None => (Seen::Nothing, None),
    }
}

/// The bytes as one of the messages.
fn message(profile: &Profile, messages: &[MessageIndex], bytes: &[u8]) -> Option<(Seen, Vec<u8>)> {
    let mut masked = bytes.to_vec();
    let fits = |bytes: &[u8], index: &MessageIndex| {
        let mut walk = Walk::default();
        walk.message(profile, *index, bytes, &mut bytes.to_vec(), 0)
    };
    let first = messages.iter().position(|index| fits(bytes, index))?;
    let mut walk = Walk::default();
    walk.message(profile, *messages.get(first)?, bytes, &mut masked, 0);
    // Told by what a capture will hold, and only where that has the same first fit.
    let all: Vec<_> = messages
        .iter()
        .filter(|index| fits(&masked, index))
        .collect();
    (all.first() == messages.get(first).as_ref()).then(|| {
        let seen = Seen::Message {
            fits: all.into_iter().copied().collect(),
            fields: walk.fields.count_ones(),
            id: walk.id,
        };
        (seen, masked)
    })
}

#[derive(Default)]
struct Walk {
    /// Bit n: a field of number n is there, below 32.
    fields: u32,
    id: Option<Digest>,
}

impl Walk {
    /// Whether the bytes are a message of this description; masks its content in `masked`, which is
    /// as long.
    fn message(
        &mut self,
        profile: &Profile,
        index: MessageIndex,
        bytes: &[u8],
        masked: &mut [u8],
        depth: usize,
    ) -> bool {
        let Some(description) = profile.message(index).filter(|_| depth < MAX_DEPTH) else {
            return false;
        };
        let mut seen = Vec::new();
        let mut input = bytes;
        while !input.is_empty() {
            let Some(key) = number::varint(&mut input, MAX_KEY_OCTETS) else {
                return false;
            };
            let (number, wire) = ((key >> 3) as u32, key & 7);
            let Some(field) = description
                .field(number)
                .filter(|_| u32::try_from(key).is_ok())
            else {
                return false;
            };
            let again = seen.contains(&number);
            if again && !field.repeated && field.kind != FieldKind::Map {
                return false;
            }
            if !again {
                seen.push(number);
            }
            if depth == 0 {
                self.fields |= 1_u32.checked_shl(number).unwrap_or(0);
            }
            let fits = match wire {
                0 => number::varint(&mut input, MAX_VARINT_OCTETS)
                    .is_some_and(|value| number::fits_varint(field.kind, value)),
                1 => skip(&mut input, 8) && number::fits_fixed64(field.kind),
                5 => skip(&mut input, 4) && number::fits_fixed32(field.kind),
                2 => {
                    let Some(length) = number::varint(&mut input, MAX_VARINT_OCTETS) else {
                        return false;
                    };
                    let start = bytes.len() - input.len();
                    let Some((content, rest)) = usize::try_from(length)
                        .ok()
                        .and_then(|length| input.split_at_checked(length))
                    else {
                        return false;
                    };
                    input = rest;
                    let Some(place) = masked.get_mut(start..start + content.len()) else {
                        return false;
                    };
                    self.content(profile, (description, number), content, place, depth)
                }
                _ => false,
            };
            if !fits {
                return false;
            }
        }
        true
    }

    fn content(
        &mut self,
        profile: &Profile,
        (description, number): (&MessageDescription, u32),
        content: &[u8],
        place: &mut [u8],
        depth: usize,
    ) -> bool {
        let Some(field) = description.field(number) else {
            return false;
        };
        match field.kind {
            FieldKind::Message(inner) => {
                return self.message(profile, inner, content, place, depth + 1);
            }
            FieldKind::Map => return entry(content, place),
            FieldKind::String if std::str::from_utf8(content).is_err() => return false,
            FieldKind::String | FieldKind::Bytes => {}
            // Packed numbers.
            _ if field.repeated => return true,
            _ => return false,
        }
        place.fill(FILL);
        let is_id = matches!(
            field.role,
            FieldRole::SessionId | FieldRole::ModelId | FieldRole::ResidentModel
        );
        if is_id
            && depth == 0
            && let Some(digest) = Digest::of(content)
        {
            place.copy_from_slice(&digest.pseudonym());
            self.id = self.id.or(Some(digest));
        }
        true
    }
}

/// Whether the bytes are an entry of a map (a message of a key, field 1, and a value, field 2), whose
/// content is masked.
fn entry(bytes: &[u8], masked: &mut [u8]) -> bool {
    let mut input = bytes;
    let mut last = 0;
    while !input.is_empty() {
        let Some(key) = number::varint(&mut input, MAX_KEY_OCTETS) else {
            return false;
        };
        let number = key >> 3;
        if !(1..=2).contains(&number) || number <= last {
            return false;
        }
        last = number;
        let fits = match key & 7 {
            0 => number::varint(&mut input, MAX_VARINT_OCTETS).is_some(),
            1 => skip(&mut input, 8),
            5 => skip(&mut input, 4),
            2 => {
                let length = number::varint(&mut input, MAX_VARINT_OCTETS).unwrap_or(u64::MAX);
                let start = bytes.len() - input.len();
                let end = usize::try_from(length)
                    .ok()
                    .and_then(|length| start.checked_add(length));
                let place = end.and_then(|end| masked.get_mut(start..end));
                place.is_some_and(|place| {
                    place.fill(FILL);
                    skip(&mut input, place.len())
                })
            }
            _ => false,
        };
        if !fits {
            return false;
        }
    }
    true
}

fn skip(input: &mut &[u8], bytes: usize) -> bool {
    match input.split_at_checked(bytes) {
        Some((_, rest)) => {
            *input = rest;
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn models(profile: &Profile) -> Look {
        let method = profile.method("/tts.TTSService/ListModels").unwrap();
        let FieldKind::Message(entry) = profile.message(method.response).unwrap().fields[0].kind
        else {
            panic!("models are messages");
        };
        Look {
            number: 1,
            id: true,
            messages: vec![entry],
        }
    }

    const ENTRY: &[u8] =
        b"\x0a\x0atone-small\x12\x04tone\x18\x01\x22\x02de\x2a\x06\x0a\x01k\x12\x01v";

    #[test]
    fn message_is_told_by_its_fields_and_its_content_is_masked() {
        let profile = Profile::builtin();
        let (seen, masked) = look(&profile, &models(&profile), ENTRY);
        let Seen::Message { fits, fields, id } = &seen else {
            panic!("{seen:?}");
        };
        assert_eq!((fits.len(), *fields), (1, 5));
        assert_eq!(*id, Digest::of(b"tone-small"));
        let masked = masked.unwrap();
        assert!(!masked.windows(4).any(|text| text == b"tone"));
        assert_eq!(
            look(&profile, &models(&profile), &masked),
            (seen, Some(masked))
        );
    }

    #[test]
    fn message_with_a_field_that_is_not_described_is_a_misfit() {
        let profile = Profile::builtin();
        let (seen, masked) = look(&profile, &models(&profile), b"\x0a\x01m\x32\x02ab");
        assert_eq!(seen, Seen::Misfit);
        assert_eq!(
            look(&profile, &models(&profile), &masked.unwrap()).0,
            Seen::Misfit
        );
    }

    proptest! {
        /// Whatever the bytes are, what stands for them looks the same.
        #[test]
        fn masked_bytes_look_as_they_did(
            random in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 0..ENTRY.len(),
            place in 0..ENTRY.len(),
            octet in any::<u8>(),
            kind in 0..3,
        ) {
            let profile = Profile::builtin();
            let bytes = match kind {
                0 => random,
                1 => ENTRY[..cut].to_vec(),
                _ => {
                    let mut bytes = ENTRY.to_vec();
                    bytes[place] = octet;
                    bytes
                }
            };
            let (seen, masked) = look(&profile, &models(&profile), &bytes);
            if let Some(masked) = masked {
                prop_assert_eq!(masked.len(), bytes.len());
                let again = look(&profile, &models(&profile), &masked);
                prop_assert_eq!(again, (seen, Some(masked)));
            } else {
                prop_assert_eq!(seen, Seen::Nothing);
            }
        }
    }
}
