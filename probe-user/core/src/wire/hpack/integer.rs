//! Integers with a prefix (RFC 7541, 5.1).

use super::HpackError;

/// Most octets behind the prefix: five carry 35 bits, more than the 32 that are accepted.
const MAX_CONTINUATION_OCTETS: u32 = 5;

/// Reads an integer whose first octet holds `prefix` bits of it.
pub(super) fn decode(input: &mut &[u8], prefix: u32) -> Result<u32, HpackError> {
    let (&first, mut rest) = input.split_first().ok_or(HpackError::Truncated)?;
    let mask = (1_u64 << prefix) - 1;
    let mut value = u64::from(first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (&octet, after) = rest.split_first().ok_or(HpackError::Truncated)?;
            rest = after;
            value += u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                break;
            }
            shift += 7;
            if shift >= 7 * MAX_CONTINUATION_OCTETS {
                return Err(HpackError::IntegerTooLarge);
            }
        }
    }
    *input = rest;
    u32::try_from(value).map_err(|_| HpackError::IntegerTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_the_rfc_decode() {
        // RFC 7541, C.1.1 to C.1.3.
        assert_eq!(decode(&mut &[0x0a][..], 5), Ok(10));
        assert_eq!(decode(&mut &[0x1f, 0x9a, 0x0a][..], 5), Ok(1337));
        assert_eq!(decode(&mut &[0x2a][..], 8), Ok(42));
    }

    #[test]
    fn unfinished_and_endless_integers_are_refused() {
        assert_eq!(decode(&mut &[][..], 5), Err(HpackError::Truncated));
        assert_eq!(
            decode(&mut &[0x1f, 0x80][..], 5),
            Err(HpackError::Truncated)
        );
        assert_eq!(
            decode(&mut &[0x1f, 0xff, 0xff, 0xff, 0xff, 0x7f][..], 5),
            Err(HpackError::IntegerTooLarge)
        );
        assert_eq!(
            decode(&mut &[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..], 5),
            Err(HpackError::IntegerTooLarge)
        );
    }
}
