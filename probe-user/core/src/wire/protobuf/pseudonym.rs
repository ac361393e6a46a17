//! Identifiers told apart without being kept.
//!
//! A [`Digest`] says whether two identifiers are the same, and not what they are. A pseudonym is
//! written in an identifier's place into a capture: as long, with the same digest. Text that is not
//! like an identifier (with a space, a letter beyond ASCII, longer than any id) has neither.

use std::ops::RangeInclusive;

/// Lengths in bytes of what is taken for an identifier: a shorter one is equal to another by chance,
/// a longer one is more likely content. Ids in use have 5 to 40.
const ID_BYTES: RangeInclusive<usize> = 4..=64;

/// First octet of a pseudonym: no printable text begins with it, and no protobuf message (it is a
/// key with field number 0).
const MARK: u8 = 0x01;

/// Octets that carry the digest, six bits each. Five bound what a capture tells of an identifier to
/// 30 bits, and let two of them be taken for one with a chance of 2^-30.
const CARRIERS: usize = 5;

/// First of the 64 octets that carry six bits.
const CARRIER_BASE: u8 = b'0';

/// What follows the carriers.
const FILL: u8 = b'*';

/// Stands for one identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    bits: u32,
    /// Bytes of the identifier.
    length: u8,
}

impl Digest {
    /// The digest of an identifier or of its pseudonym; `None` for what is not like one.
    pub fn of(text: &[u8]) -> Option<Self> {
        if !ID_BYTES.contains(&text.len()) {
            return None;
        }
        let length = text.len() as u8;
        if let Some((&MARK, rest)) = text.split_first() {
            let (carriers, fill) = rest.split_at(rest.len().min(CARRIERS));
            let mut bits = 0;
            for octet in carriers {
                let value = octet.checked_sub(CARRIER_BASE).filter(|v| *v < 64)?;
                bits = bits << 6 | u32::from(value);
            }
            return fill
                .iter()
                .all(|octet| *octet == FILL)
                .then_some(Self { bits, length });
        }
        if !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        // FNV-1a, 64 bits, folded.
        let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
        });
        let carried = CARRIERS.min(text.len() - 1) as u32;
        let mask = (1_u32 << (6 * carried)) - 1;
        Some(Self {
            bits: (hash ^ (hash >> 32)) as u32 & mask,
            length,
        })
    }

    /// What stands for the identifier in a capture.
    pub fn pseudonym(self) -> Vec<u8> {
        let length = usize::from(self.length);
        let mut text = vec![FILL; length];
        let carried = CARRIERS.min(length.saturating_sub(1));
        let mut bits = self.bits;
        for place in text.iter_mut().skip(1).take(carried).rev() {
            *place = CARRIER_BASE + (bits & 0x3f) as u8;
            bits >>= 6;
        }
        if let Some(first) = text.first_mut() {
            *first = MARK;
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudonym_has_the_digest_and_the_length_of_its_identifier() {
        for text in [
            "s-01",
            "ws-9",
            "later-0",
            "ws-0123456789ab",
            &"x".repeat(64),
        ] {
            let digest = Digest::of(text.as_bytes()).unwrap();
            let pseudonym = digest.pseudonym();
            assert_eq!(pseudonym.len(), text.len());
            assert_eq!(Digest::of(&pseudonym), Some(digest));
            assert!(
                !pseudonym
                    .windows(3)
                    .any(|w| text.as_bytes().windows(3).any(|t| t == w) && w != b"***")
            );
        }
    }

    #[test]
    fn identifiers_of_a_series_have_digests_of_their_own() {
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..10_000 {
            assert!(seen.insert(Digest::of(format!("session-{number:05}").as_bytes()).unwrap()));
        }
    }

    #[test]
    fn text_that_is_not_like_an_identifier_has_no_digest() {
        let long = "x".repeat(65);
        for text in ["", "abc", "two words", "grüße", "\u{1}abc\n", &long] {
            assert_eq!(Digest::of(text.as_bytes()), None, "{text:?}");
        }
    }
}
