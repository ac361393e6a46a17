//! The decoder on the built-in profile's messages, whole, cut, with holes, and damaged.

use super::*;
use proptest::prelude::*;

fn schema(profile: &Profile, name: &str) -> MessageIndex {
    profile
        .methods()
        .iter()
        .flat_map(|method| [method.request, method.response])
        .find(|index| profile.message(*index).is_some_and(|m| m.name == name))
        .expect("a message of the built-in profile")
}

/// Decodes pieces: bytes, or `Err(length)` for a hole.
fn decoded(name: &str, pieces: &[Result<&[u8], u32>]) -> Message {
    let profile = Profile::builtin();
    let mut decoder = Decoder::default();
    let length: usize = pieces
        .iter()
        .map(|piece| piece.map_or_else(|hole| hole as usize, <[u8]>::len))
        .sum();
    decoder.start(Some(schema(&profile, name)), length as u32);
    for piece in pieces {
        match piece {
            Ok(bytes) => {
                let mut rest = *bytes;
                while !rest.is_empty() {
                    let run = decoder.step(&profile, rest);
                    rest = &rest[run.used..];
                }
            }
            Err(hole) => decoder.hole(*hole),
        }
    }
    decoder.finish().clone()
}

const FRAME: &[u8] = b"\x0a\x02s1\x12\x06AUDIO!\x18\x80\xf7\x02\x20\x14\x28\x07\x30\x01";

fn frame_fields() -> Vec<(FieldRole, Value)> {
    vec![
        (FieldRole::SessionId, Value::Text("s1".into())),
        (FieldRole::Audio, Value::Length(6)),
        (FieldRole::SampleRate, Value::Integer(48_000)),
        (FieldRole::FrameDurationMs, Value::Integer(20)),
        (FieldRole::Sequence, Value::Integer(7)),
        (FieldRole::Final, Value::Integer(1)),
    ]
}

#[test]
fn frame_is_read_wherever_it_is_cut() {
    for first in 0..=FRAME.len() {
        for second in first..=FRAME.len() {
            let pieces = [
                Ok(&FRAME[..first]),
                Ok(&FRAME[first..second]),
                Ok(&FRAME[second..]),
            ];
            let message = decoded("AudioFrame", &pieces);
            assert!(message.intact);
            assert_eq!(message.fields, frame_fields());
        }
    }
}

#[test]
fn hole_inside_audio_costs_nothing() {
    let message = decoded("AudioFrame", &[Ok(&FRAME[..6]), Err(6), Ok(&FRAME[12..])]);
    assert!(message.intact);
    assert_eq!(message.fields, frame_fields());
}

#[test]
fn hole_inside_an_id_costs_that_field_only() {
    let message = decoded("AudioFrame", &[Ok(&FRAME[..3]), Err(1), Ok(&FRAME[4..])]);
    assert!(!message.intact);
    assert_eq!(message.fields, frame_fields()[1..]);
}

#[test]
fn hole_over_a_key_ends_the_reading() {
    let message = decoded("AudioFrame", &[Ok(&FRAME[..11]), Err(2), Ok(&FRAME[13..])]);
    assert!(!message.intact);
    assert_eq!(message.fields, frame_fields()[..2]);
}

#[test]
fn absent_fields_are_absent_and_the_message_intact() {
    let message = decoded("ControlRequest", &[Ok(b"\x0a\x01s")]);
    assert!(message.intact);
    assert_eq!(message.integer(FieldRole::Command), None);
    assert_eq!(message.text(FieldRole::SessionId), Some("s"));
}

#[test]
fn negative_integers_take_ten_octets() {
    let minus_one = b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    let message = decoded("AudioFrame", &[Ok(minus_one)]);
    assert!(message.intact);
    assert_eq!(message.integer(FieldRole::SampleRate), Some(-1));
}

#[test]
fn unknown_fields_and_groups_are_skipped() {
    // Field 100 as varint, fixed64, fixed32 and bytes, then group 9 holding a group 10.
    let bytes =
        b"\xa0\x06\x01\xa1\x06ABCDEFGH\xa5\x06ABCD\xa2\x06\x03xyz\x4b\x53\x08\x01\x54\x4c\x28\x09";
    let message = decoded("AudioFrame", &[Ok(bytes)]);
    assert!(message.intact);
    assert_eq!(message.fields, [(FieldRole::Sequence, Value::Integer(9))]);
}

#[test]
fn embedded_models_are_grouped() {
    let bytes = b"\x0a\x07\x0a\x01a\x18\x01\x12\x00\x0a\x05\x0a\x01b\x12\x00\x0a\x00";
    let message = decoded("ListModelsResponse", &[Ok(bytes)]);
    assert!(message.intact);
    let group = (FieldRole::None, Value::Group);
    let end = (FieldRole::None, Value::GroupEnd);
    assert_eq!(
        message.fields,
        [
            group.clone(),
            (FieldRole::ModelId, Value::Text("a".into())),
            (FieldRole::Loaded, Value::Integer(1)),
            end.clone(),
            group.clone(),
            (FieldRole::ModelId, Value::Text("b".into())),
            end.clone(),
            group,
            end,
        ]
    );
}

#[test]
fn damage_keeps_what_was_read_and_closes_groups() {
    // The embedded message says 9 octets, the message ends before.
    let message = decoded(
        "ListModelsResponse",
        &[Ok(b"\x0a\x03\x0a\x01a\x0a\x09\x0a")],
    );
    assert!(!message.intact);
    assert_eq!(message.fields.len(), 3);
    // Wire type 7 inside an embedded message.
    let message = decoded("ListModelsResponse", &[Ok(b"\x0a\x05\x0a\x01a\x0f\x00")]);
    assert!(!message.intact);
    assert_eq!(
        message.fields.last(),
        Some(&(FieldRole::None, Value::GroupEnd))
    );
    // Truncated.
    assert!(!decoded("AudioFrame", &[Ok(b"\x0a\x02s")]).intact);
}

#[test]
fn text_too_long_or_not_utf8_is_left_out() {
    let mut long = vec![0x0a, 0xac, 0x02];
    long.extend([b'x'; 300]);
    long.extend([0x28, 0x03]);
    for bytes in [&long[..], b"\x0a\x01\xff\x28\x03"] {
        let message = decoded("AudioFrame", &[Ok(bytes)]);
        assert!(!message.intact);
        assert_eq!(message.fields, [(FieldRole::Sequence, Value::Integer(3))]);
    }
}

#[test]
fn values_are_bounded_and_groups_stay_balanced() {
    let message = decoded("ListModelsResponse", &[Ok(&b"\x0a\x00".repeat(2000))]);
    assert!(!message.intact);
    assert!(message.fields.len() <= MAX_VALUES);
    let ends = |wanted: &Value| message.fields.iter().filter(|(_, v)| v == wanted).count();
    assert_eq!(ends(&Value::Group), ends(&Value::GroupEnd));
}

proptest! {
    #[test]
    fn garbage_decodes_alike_wherever_it_is_cut(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 0_usize..300,
    ) {
        let cut = cut.min(bytes.len());
        for name in ["AudioFrame", "ListModelsResponse", "GetCapabilitiesResponse"] {
            let whole = decoded(name, &[Ok(&bytes)]);
            prop_assert_eq!(&whole, &decoded(name, &[Ok(&bytes[..cut]), Ok(&bytes[cut..])]));
        }
    }
}
