//! The HPACK decoder against nghttp2, the reference of most of the web: on whole connections both see
//! the same; on connections joined late ours says nothing that nghttp2 contradicts.

mod reference;
mod written;

use std::collections::HashMap;

use fastrand::Rng;
use probe_core::wire::hpack::{Decoder, EntryId, Text};

use reference::{Deflater, Inflater};

/// Connections of one run: some seconds without optimisation. A long one (`VOXPROBE_LONG=1`) has ten
/// times as many.
const CONNECTIONS: u64 = 100_000;

/// A name and a value.
type Field = (Vec<u8>, Vec<u8>);

/// A field as far as it is known, and the table entry it came from.
type Seen = (Option<Vec<u8>>, Option<Vec<u8>>, Option<EntryId>);

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Vec<Seen> {
    let own = |text: Text<'_>| text.known().map(<[u8]>::to_vec);
    let mut fields = Vec::new();
    decoder
        .decode(block, |field| {
            fields.push((own(field.name), own(field.value), field.entry));
        })
        .expect("a block that nghttp2 accepts");
    fields
}

/// What a decoder that joined late says agrees with the truth, and fields of one entry are equal.
fn assert_agrees(
    seen: &[Seen],
    truth: &[Field],
    entries: &mut HashMap<EntryId, Field>,
    place: &str,
) -> (usize, usize) {
    assert_eq!(seen.len(), truth.len(), "{place}");
    let (mut known, mut told) = (0, 0);
    for ((name, value, entry), truth) in seen.iter().zip(truth) {
        assert!(name.as_ref().is_none_or(|name| *name == truth.0), "{place}");
        assert!(
            value.as_ref().is_none_or(|value| *value == truth.1),
            "{place}"
        );
        known += usize::from(name.is_some() && value.is_some());
        if let Some(entry) = entry {
            told += usize::from(name.is_none());
            let first = entries.entry(*entry).or_insert_with(|| truth.clone());
            assert_eq!(first, truth, "{place}: {entry:?}");
        }
    }
    (known, told)
}

/// Runs one connection whose blocks `next` writes.
fn run(
    rng: &mut Rng,
    place: &str,
    mut next: impl FnMut(&mut Rng, &Inflater) -> Vec<u8>,
) -> [usize; 2] {
    let mut inflater = Inflater::new();
    let mut whole = Decoder::new(|_| true);
    let mut late = Decoder::new(|_| true);
    late.forget();
    let mut entries = HashMap::new();
    let blocks = rng.usize(2..7);
    let cut = rng.usize(1..blocks);
    let gap = rng.usize(0..blocks * 2);
    let mut sums = [0, 0];
    for number in 0..blocks {
        let block = next(rng, &inflater);
        let truth = inflater.inflate(&block).expect("a valid block");
        let seen = decoded(&mut whole, &block);
        let ours = seen.into_iter().map(|(name, value, _)| {
            (
                name.expect("seen from the start"),
                value.expect("everything is wanted"),
            )
        });
        assert_eq!(ours.collect::<Vec<_>>(), truth, "{place}");
        if number == gap {
            late.forget();
            continue;
        }
        if number >= cut {
            let seen = decoded(&mut late, &block);
            let (known, told) = assert_agrees(&seen, &truth, &mut entries, place);
            sums[0] += known;
            sums[1] += told;
        }
    }
    sums
}

#[test]
fn connections_decode_as_nghttp2_decodes_them_whole_and_joined_late() {
    let long = std::env::var_os("VOXPROBE_LONG").is_some();
    let connections = if long { 10 * CONNECTIONS } else { CONNECTIONS };
    let mut sums = [0, 0];
    for seed in 0..connections {
        let mut rng = Rng::with_seed(seed);
        let place = format!("seed {seed}");
        let counts = if seed % 2 == 0 {
            run(&mut rng, &place, |rng, inflater| {
                written::block(rng, inflater)
            })
        } else {
            let mut deflater = Deflater::new();
            run(&mut rng, &place, |rng, _| deflater.block(rng))
        };
        sums[0] += counts[0];
        sums[1] += counts[1];
    }
    // The late decoder knows most, and meets enough that it does not.
    assert!(
        sums[0] as u64 > connections && sums[1] as u64 > connections / 4,
        "{sums:?}"
    );
}
