//! Blocks that use all that the format allows, whether an encoder would do so or not.

use fastrand::Rng;

use crate::reference::{Inflater, name, value};

/// A valid block for a decoder in this state.
pub(crate) fn block(rng: &mut Rng, inflater: &Inflater) -> Vec<u8> {
    let mut block = Vec::new();
    let mut entries = inflater.entries();
    if rng.u8(..10) == 0 {
        let size = if rng.bool() { 0 } else { rng.usize(..4097) };
        if size < 4096 {
            entries = 0;
        }
        integer(&mut block, 0x20, 5, size);
    }
    for _ in 0..rng.usize(1..8) {
        let index = |rng: &mut Rng, entries: usize| {
            if rng.bool() && entries > 0 {
                61 + rng.usize(1..=entries)
            } else {
                rng.usize(1..=61)
            }
        };
        if rng.u8(..3) == 0 {
            integer(&mut block, 0x80, 7, index(rng, entries));
            continue;
        }
        let (first, bits) = match rng.u8(..4) {
            0 => (0x00, 4),
            1 => (0x10, 4),
            _ => (0x40, 6),
        };
        if rng.bool() {
            integer(&mut block, first, bits, index(rng, entries));
        } else {
            block.push(first);
            string(&mut block, name(rng));
        }
        string(&mut block, &value(rng));
        if first == 0x40 {
            // What the insertion evicts is known to the inflater alone: nothing older than this
            // block is referred to from here on.
            entries = 0;
        }
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    integer(block, 0, 7, text.len());
    block.extend(text);
}

/// An integer (RFC 7541, 5.1) behind a prefix of `bits` bits.
fn integer(block: &mut Vec<u8>, first: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        block.push(first | value as u8);
        return;
    }
    block.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        block.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    block.push(rest as u8);
}
