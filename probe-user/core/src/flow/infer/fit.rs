//! Whether a message can be one of a description. What does not fit rules a method out.

use crate::profile::{FieldDescription, FieldKind, FieldRole, MessageIndex, Profile};
use crate::wire::protobuf::{Content, Seen, Shape, fits_fixed32, fits_fixed64, fits_varint};

/// Longest load believed, in milliseconds: a day. A moment in milliseconds since 1970 is far beyond.
const MAX_LOAD_MS: u64 = 24 * 60 * 60 * 1000;

/// Moments believed, in milliseconds since 1970: 2001 to 2100.
const TIMESTAMPS_MS: std::ops::Range<u64> = 1_000_000_000_000..4_102_444_800_000;

/// Samples per second believed: from telephone speech's half to four times studio quality.
const SAMPLE_RATES: std::ops::RangeInclusive<u64> = 4_000..=768_000;

/// Longest frame of audio believed, in milliseconds: a minute.
const MAX_FRAME_MS: u64 = 60_000;

/// Whether `shape`, read to its end, can be a message of this description.
pub(super) fn fits(profile: &Profile, message: MessageIndex, shape: &Shape) -> bool {
    let Some(description) = profile.message(message) else {
        return false;
    };
    let mut singular = 0_u64;
    shape.fields.iter().all(|field| {
        let Some(described) = description.field(field.number) else {
            return false;
        };
        if !described.repeated && described.kind != FieldKind::Map {
            let bit = 1_u64.checked_shl(field.number).unwrap_or(0);
            if singular & bit != 0 {
                return false;
            }
            singular |= bit;
        }
        content_fits(profile, described, &field.content)
    })
}

fn content_fits(profile: &Profile, field: &FieldDescription, content: &Content) -> bool {
    match content {
        Content::Varint(value) => {
            fits_varint(field.kind, *value) && in_range(profile, field.role, *value)
        }
        Content::Fixed32 => fits_fixed32(field.kind),
        Content::Fixed64 => fits_fixed64(field.kind),
        Content::Bytes(_, seen) => match (field.kind, seen) {
            (FieldKind::Message(inner), Seen::Message { fits, .. }) => fits.contains(&inner),
            (FieldKind::Message(_), Seen::Id(_) | Seen::Misfit) => false,
            (FieldKind::String | FieldKind::Bytes | FieldKind::Map | FieldKind::Message(_), _) => {
                true
            }
            // Packed numbers.
            _ => field.repeated,
        },
        Content::Group => false,
    }
}

fn in_range(profile: &Profile, role: FieldRole, value: u64) -> bool {
    match role {
        FieldRole::Command => profile.command_name(value as i64).is_some(),
        FieldRole::LoadDurationMs => value <= MAX_LOAD_MS,
        FieldRole::TimestampMs => TIMESTAMPS_MS.contains(&value),
        FieldRole::SampleRate => SAMPLE_RATES.contains(&value),
        FieldRole::FrameDurationMs => value <= MAX_FRAME_MS,
        FieldRole::Sequence | FieldRole::MaxSessions => i64::try_from(value).is_ok(),
        _ => true,
    }
}
