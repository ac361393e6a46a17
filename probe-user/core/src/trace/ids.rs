//! Identifiers of traces and spans: the same for the same records and seed.

use std::hash::{DefaultHasher, Hash, Hasher as _};

use crate::record::{SpanId, TraceId};

/// What identifiers are derived from besides the records: random, and another one for every run, so that
/// no two hosts or runs give the same ones.
pub type Seed = [u64; 2];

/// A trace's identifier, of what it is about.
pub(super) fn trace_id(seed: Seed, of: &impl Hash) -> TraceId {
    let halves = [hash(seed, &(0_u8, of)), hash(seed, &(1_u8, of))];
    let mut id = [0; 16];
    for (place, half) in id.chunks_exact_mut(8).zip(halves) {
        place.copy_from_slice(&half.to_be_bytes());
    }
    TraceId(id)
}

/// A span's identifier, of what it is about.
pub(super) fn span_id(seed: Seed, of: &impl Hash) -> SpanId {
    SpanId(hash(seed, &(2_u8, of)).to_be_bytes())
}

/// Never 0, which stands for no identifier.
fn hash(seed: Seed, of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    (seed, of).hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_follow_from_the_seed_and_what_they_are_of() {
        assert_eq!(trace_id([1, 2], &7_u64), trace_id([1, 2], &7_u64));
        assert_ne!(trace_id([1, 2], &7_u64), trace_id([1, 2], &8_u64));
        assert_ne!(trace_id([1, 2], &7_u64), trace_id([1, 3], &7_u64));
        assert_ne!(span_id([1, 2], &7_u64), span_id([1, 2], &8_u64));
        let TraceId(id) = trace_id([1, 2], &7_u64);
        assert_ne!(id[..8], id[8..]);
    }
}
