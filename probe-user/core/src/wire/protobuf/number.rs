//! Numbers as the wire has them: which types travel how, and what their bits mean.

use crate::profile::FieldKind;

/// The value of a number of this type whose bits are `bits`.
pub(super) fn integer(kind: FieldKind, bits: u64) -> i64 {
    match kind {
        FieldKind::Int32 | FieldKind::Sfixed32 => i64::from(bits as i32),
        FieldKind::Uint32 | FieldKind::Fixed32 => i64::from(bits as u32),
        FieldKind::Sint32 => zigzag(u64::from(bits as u32)),
        FieldKind::Sint64 => zigzag(bits),
        FieldKind::Bool => i64::from(bits != 0),
        _ => bits as i64,
    }
}

/// Reads a varint of at most so many octets; `None` where it is longer, or not there in full.
pub(super) fn varint(input: &mut &[u8], most: u32) -> Option<u64> {
    // Most are of one octet.
    if let [octet @ ..0x80, rest @ ..] = *input {
        *input = rest;
        return Some(u64::from(*octet));
    }
    let mut value = 0;
    for place in 0..most {
        let (octet, rest) = input.split_first()?;
        *input = rest;
        value |= u64::from(octet & 0x7f) << (7 * place);
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Whether values of this type are varints (wire type 0).
pub(super) fn is_varint(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Int32
            | FieldKind::Int64
            | FieldKind::Uint32
            | FieldKind::Uint64
            | FieldKind::Sint32
            | FieldKind::Sint64
            | FieldKind::Bool
    )
}

/// Whether they are four octets (wire type 5).
pub(super) fn is_fixed32(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Fixed32 | FieldKind::Sfixed32)
}

/// Whether they are eight octets (wire type 1).
pub(super) fn is_fixed64(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Fixed64 | FieldKind::Sfixed64)
}

/// Whether a varint can be a value of this type.
pub fn fits_varint(kind: FieldKind, value: u64) -> bool {
    match kind {
        FieldKind::Bool => value <= 1,
        // Negative ones are sent as 64 bits.
        FieldKind::Int32 => i32::try_from(value).is_ok() || value >= (i64::from(i32::MIN)) as u64,
        FieldKind::Uint32 | FieldKind::Sint32 => u32::try_from(value).is_ok(),
        _ => is_varint(kind),
    }
}

/// Whether four octets can be a value of this type.
pub fn fits_fixed32(kind: FieldKind) -> bool {
    is_fixed32(kind) || kind == FieldKind::Float
}

/// Whether eight octets can be a value of this type.
pub fn fits_fixed64(kind: FieldKind) -> bool {
    is_fixed64(kind) || kind == FieldKind::Double
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_mean_what_the_type_says() {
        assert_eq!(integer(FieldKind::Int32, u64::MAX), -1);
        assert_eq!(integer(FieldKind::Uint32, u64::MAX), i64::from(u32::MAX));
        assert_eq!(integer(FieldKind::Sfixed32, 0xffff_fffe), -2);
        assert_eq!(integer(FieldKind::Int64, u64::MAX), -1);
        assert_eq!(integer(FieldKind::Bool, 7), 1);
        for kind in [FieldKind::Sint32, FieldKind::Sint64] {
            assert_eq!([0, 1, 2, 3].map(|bits| integer(kind, bits)), [0, -1, 1, -2]);
        }
        assert_eq!(integer(FieldKind::Sint32, 0xffff_ffff), i64::from(i32::MIN));
        assert_eq!(integer(FieldKind::Sint64, u64::MAX), i64::MIN);
    }
}
