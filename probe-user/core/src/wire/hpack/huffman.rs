//! Huffman decoding of header strings (RFC 7541, 5.2 and Appendix B).
//!
//! The code is canonical: codes of one length are consecutive, in order of symbol, and shorter
//! codes come first. So the lengths alone define it; the tables below are derived from them when
//! the crate is compiled.

use super::HpackError;

/// Code length in bits of each octet and, last, of the end-of-string symbol (RFC 7541, Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOL_COUNT] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,];

/// 256 octets and the end-of-string symbol.
const SYMBOL_COUNT: usize = 257;

/// The end-of-string symbol, which must not occur in a string (RFC 7541, 5.2).
const END_OF_STRING: u16 = 256;

/// Longest code in bits.
const MAX_LENGTH: usize = 30;

/// Shortest code in bits.
const MIN_LENGTH: u32 = 5;

/// Codes of one length.
#[derive(Clone, Copy)]
struct Group {
    /// Length in bits.
    length: u32,
    /// First code, left-aligned to 32 bits.
    first: u64,
    /// One past the last code, left-aligned to 32 bits.
    limit: u64,
    /// Where this group's symbols start in [`SYMBOLS`].
    offset: usize,
}

/// Distinct code lengths.
const GROUP_COUNT: usize = group_count();

/// Symbols in order of their codes.
const SYMBOLS: [u16; SYMBOL_COUNT] = symbols();

/// Groups, shortest codes first.
const GROUPS: [Group; GROUP_COUNT] = groups();

/// Decodes a Huffman string, giving each octet to `emit`, and returns the number of octets.
///
/// # Errors
/// [`HpackError::BadHuffman`] for padding that is longer than seven bits or not all ones, and for a
/// string that holds the end-of-string symbol (RFC 7541, 5.2).
pub(super) fn decode(input: &[u8], mut emit: impl FnMut(u8)) -> Result<u32, HpackError> {
    let mut bits: u64 = 0;
    // At most 29 bits that are not yet a code, and the eight just added.
    let mut count: u32 = 0;
    let mut length: u32 = 0;
    for &octet in input {
        bits = (bits << 8) | u64::from(octet);
        count += 8;
        while count >= MIN_LENGTH {
            let window = (bits << (64 - count)) >> 32;
            let Some(group) = GROUPS.iter().find(|group| window < group.limit) else {
                return Err(HpackError::BadHuffman);
            };
            if group.length > count {
                break;
            }
            let index = group.offset + ((window - group.first) >> (32 - group.length)) as usize;
            match SYMBOLS.get(index) {
                Some(&symbol) if symbol != END_OF_STRING => emit(symbol as u8),
                _ => return Err(HpackError::BadHuffman),
            }
            length = length.saturating_add(1);
            count -= group.length;
        }
    }
    let padding = bits & ((1 << count) - 1);
    if count > 7 || padding != (1 << count) - 1 {
        return Err(HpackError::BadHuffman);
    }
    Ok(length)
}

/// A string of as many octets, encoded and decoded, that tells of `input` only how many codes of each
/// length it has. Empty for a string that cannot be decoded.
pub(super) fn mask(input: &[u8]) -> Vec<u8> {
    let mut lengths = Vec::new();
    let decodes = decode(input, |octet| {
        lengths.push(LENGTHS.get(usize::from(octet)).copied().unwrap_or(0));
    });
    if decodes.is_err() {
        return Vec::new();
    }
    lengths.sort_unstable();
    let mut output = Vec::with_capacity(input.len());
    let (mut bits, mut count): (u64, u32) = (0, 0);
    for length in lengths {
        let group = GROUPS
            .iter()
            .find(|group| group.length == u32::from(length));
        let code = group.map_or(0, |group| group.first >> (32 - group.length));
        bits = (bits << length) | code;
        count += u32::from(length);
        while count >= 8 {
            count -= 8;
            output.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        let room = 8 - count;
        output.push(((bits << room) | ((1 << room) - 1)) as u8);
    }
    output
}

const fn group_count() -> usize {
    let mut groups = 0;
    let mut length = 1;
    while length <= MAX_LENGTH {
        if codes_of(length) > 0 {
            groups += 1;
        }
        length += 1;
    }
    groups
}

const fn codes_of(length: usize) -> usize {
    let mut codes = 0;
    let mut symbol = 0;
    while symbol < SYMBOL_COUNT {
        if LENGTHS[symbol] as usize == length {
            codes += 1;
        }
        symbol += 1;
    }
    codes
}

const fn symbols() -> [u16; SYMBOL_COUNT] {
    let mut symbols = [0; SYMBOL_COUNT];
    let mut next = 0;
    let mut length = 1;
    while length <= MAX_LENGTH {
        let mut symbol = 0;
        while symbol < SYMBOL_COUNT {
            if LENGTHS[symbol] as usize == length {
                symbols[next] = symbol as u16;
                next += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    symbols
}

const fn groups() -> [Group; GROUP_COUNT] {
    let mut groups = [Group {
        length: 0,
        first: 0,
        limit: 0,
        offset: 0,
    }; GROUP_COUNT];
    let mut code: u64 = 0;
    let mut offset = 0;
    let mut next = 0;
    let mut length = 1;
    while length <= MAX_LENGTH {
        let codes = codes_of(length);
        if codes > 0 {
            let unit = 1_u64 << (32 - length);
            groups[next] = Group {
                length: length as u32,
                first: code,
                limit: code + codes as u64 * unit,
                offset,
            };
            code = groups[next].limit;
            offset += codes;
            next += 1;
        }
        length += 1;
    }
    groups
}

/// Huffman-encodes a string: what the tests of this folder speak to the decoder with.
#[cfg(test)]
pub(super) fn encode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut bits: u64 = 0;
    let mut count = 0;
    for &octet in input {
        let index = SYMBOLS
            .iter()
            .position(|&symbol| symbol == u16::from(octet))
            .expect("every octet has a code");
        let group = GROUPS
            .iter()
            .rev()
            .find(|group| group.offset <= index)
            .expect("every symbol is in a group");
        let code = (group.first >> (32 - group.length)) + (index - group.offset) as u64;
        bits = (bits << group.length) | code;
        count += group.length;
        while count >= 8 {
            count -= 8;
            output.push((bits >> count) as u8);
        }
    }
    if count > 0 {
        output.push(((bits << (8 - count)) | ((1 << (8 - count)) - 1)) as u8);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(input: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut output = Vec::new();
        let length = decode(input, |octet| output.push(octet))?;
        assert_eq!(length as usize, output.len());
        Ok(output)
    }

    #[test]
    fn code_uses_every_bit_pattern_once() {
        assert_eq!(GROUPS[0].first, 0);
        assert_eq!(GROUPS[GROUP_COUNT - 1].limit, 1 << 32);
        // RFC 7541, Appendix B: the ends of the table.
        assert_eq!(SYMBOLS[0], u16::from(b'0'));
        assert_eq!(SYMBOLS[SYMBOL_COUNT - 1], 256);
    }

    #[test]
    fn string_of_the_rfc_decodes() {
        // RFC 7541, C.4.1.
        let encoded = [
            0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff,
        ];
        assert_eq!(decoded(&encoded), Ok(b"www.example.com".to_vec()));
    }

    #[test]
    fn padding_of_eight_bits_or_of_zeros_is_refused() {
        assert_eq!(decoded(&[0x07, 0xff]), Err(HpackError::BadHuffman));
        assert_eq!(decoded(&[0x00]), Err(HpackError::BadHuffman));
        assert_eq!(decoded(&[0x07]), Ok(b"0".to_vec()));
    }

    #[test]
    fn end_of_string_symbol_is_refused() {
        assert_eq!(
            decoded(&[0xff, 0xff, 0xff, 0xff]),
            Err(HpackError::BadHuffman)
        );
    }

    proptest! {
        #[test]
        fn masked_string_keeps_both_lengths_and_forgets_the_order(
            text in proptest::collection::vec(any::<u8>(), 0..100)
        ) {
            let encoded = encode(&text);
            let masked = mask(&encoded);
            prop_assert_eq!(masked.len(), encoded.len());
            let read = decoded(&masked);
            prop_assert_eq!(read.map(|read| read.len()), Ok(text.len()));
            let mut backwards = text;
            backwards.reverse();
            prop_assert_eq!(mask(&encode(&backwards)), masked);
        }

        #[test]
        fn any_string_survives_encoding(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(decoded(&encode(&text)), Ok(text));
        }
    }
}
