//! What tells a stream of audio: three messages in a row from the server.

use super::traits::{Traits, number};
use crate::profile::{FieldRole, Profile};
use crate::wire::protobuf::{Digest, Shape};

/// Messages in a row that are looked at.
pub(super) const RUN: usize = 3;

/// Points from which a run of messages is taken for speech: two facts that agree, of which one alone
/// may be chance.
pub(super) const ENOUGH: u32 = 4;

/// Sample rates in use, per second (ITU-T G.711 to professional audio).
const RATES: [u64; 9] = [
    8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000,
];

/// Points of a run of consecutive server messages, as far as it is what this method's server sends.
pub(super) fn points(
    profile: &Profile,
    traits: &Traits,
    run: &[Shape],
    session: Option<Digest>,
) -> u32 {
    if run.len() < RUN || !traits.server_streaming {
        return 0;
    }
    let place = |role| number(profile, traits.response, role);
    let Some(audio) = place(FieldRole::Audio) else {
        return 0;
    };
    if run
        .iter()
        .any(|shape| shape.bytes(audio).is_none_or(|bytes| bytes == 0))
    {
        return 0;
    }
    let rate = place(FieldRole::SampleRate).and_then(|field| same(run, field));
    let rate = rate.filter(|rate| RATES.contains(rate));
    let duration = place(FieldRole::FrameDurationMs).and_then(|field| same(run, field));
    let mut points = 0;
    if rate.is_some() {
        points += 2;
    }
    if place(FieldRole::Sequence).is_some_and(|field| counts_up(run, field)) {
        points += 2;
    }
    if let (Some(rate), Some(duration)) = (rate, duration)
        && run
            .iter()
            .all(|shape| is_pcm(u64::from(shape.bytes(audio).unwrap_or(0)), rate, duration))
    {
        points += 3;
    }
    let named = place(FieldRole::SessionId);
    if let (Some(field), Some(session)) = (named, session)
        && run.iter().all(|shape| shape.id(field) == Some(session))
    {
        points += 2;
    }
    points
}

/// The value of a field, where it is the same in every message.
fn same(run: &[Shape], field: u32) -> Option<u64> {
    let first = run.first()?.varint(field)?;
    run.iter()
        .all(|shape| shape.varint(field) == Some(first))
        .then_some(first)
}

fn counts_up(run: &[Shape], field: u32) -> bool {
    run.windows(2).all(|pair| match pair {
        [first, second] => {
            let first = first.varint(field).unwrap_or(0);
            second.varint(field) == first.checked_add(1)
        }
        _ => false,
    })
}

/// Whether so many bytes are so many milliseconds of uncompressed audio: one or two channels of
/// samples of one, two or four bytes.
fn is_pcm(bytes: u64, rate: u64, duration_ms: u64) -> bool {
    let samples = rate.saturating_mul(duration_ms);
    samples > 0
        && [1, 2, 4, 8]
            .iter()
            .any(|width| samples.saturating_mul(*width) == bytes.saturating_mul(1000))
}
