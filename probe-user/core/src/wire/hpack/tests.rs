//! The decoder against the RFC's examples, an independent decoder, and hostile blocks.

use super::*;
use proptest::prelude::*;

type Fields = Vec<(Option<String>, Option<String>)>;

fn text(text: Text<'_>) -> Option<String> {
    text.known()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| {
        fields.push((text(field.name), text(field.value)));
    })?;
    Ok(fields)
}

fn known(fields: &[(&str, &str)]) -> Fields {
    fields
        .iter()
        .map(|(name, value)| (Some((*name).into()), Some((*value).into())))
        .collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn everything() -> Decoder {
    Decoder::new(|_| true)
}

#[test]
fn requests_of_the_rfc_decode_without_huffman() {
    // RFC 7541, C.3.
    let mut decoder = everything();
    let first = hex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d");
    let second = hex("8286 84be 5808 6e6f 2d63 6163 6865");
    let third = hex("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65");
    assert_requests(&mut decoder, &[&first, &second, &third]);
}

#[test]
fn requests_of_the_rfc_decode_with_huffman() {
    // RFC 7541, C.4.
    let mut decoder = everything();
    let first = hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff");
    let second = hex("8286 84be 5886 a8eb 1064 9cbf");
    let third = hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf");
    assert_requests(&mut decoder, &[&first, &second, &third]);
}

fn assert_requests(decoder: &mut Decoder, blocks: &[&[u8]; 3]) {
    let start = [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "www.example.com"),
    ];
    assert_eq!(decoded(decoder, blocks[0]), Ok(known(&start)));
    let mut second = start.to_vec();
    second.push(("cache-control", "no-cache"));
    assert_eq!(decoded(decoder, blocks[1]), Ok(known(&second)));
    assert_eq!(
        decoded(decoder, blocks[2]),
        Ok(known(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ]))
    );
}

#[test]
fn responses_of_the_rfc_decode_with_evictions() {
    // RFC 7541, C.5: a table of 256 bytes.
    let mut decoder = everything();
    decoder.decode(&hex("3fe101"), |_| {}).unwrap();
    let date = "Mon, 21 Oct 2013 20:13:21 GMT";
    let first = hex(
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 \
         303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 \
         6f6d",
    );
    assert_eq!(
        decoded(&mut decoder, &first),
        Ok(known(&[
            (":status", "302"),
            ("cache-control", "private"),
            ("date", date),
            ("location", "https://www.example.com"),
        ]))
    );
    assert_eq!(
        decoded(&mut decoder, &hex("4803 3330 37c1 c0bf")),
        Ok(known(&[
            (":status", "307"),
            ("cache-control", "private"),
            ("date", date),
            ("location", "https://www.example.com"),
        ]))
    );
    let third = hex(
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 \
         5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 \
         5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    );
    assert_eq!(
        decoded(&mut decoder, &third),
        Ok(known(&[
            (":status", "200"),
            ("cache-control", "private"),
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ("location", "https://www.example.com"),
            ("content-encoding", "gzip"),
            (
                "set-cookie",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"
            ),
        ]))
    );
    // Three entries are left (215 bytes); the fourth index refers to nothing.
    assert_eq!(decoded(&mut decoder, &[0xc1]), Err(HpackError::BadIndex));
}

#[test]
fn reference_from_before_the_join_is_unknown_and_later_ones_are_right() {
    let mut decoder = everything();
    decoder.forget();
    assert_eq!(decoded(&mut decoder, &[0xbe]), Ok(vec![(None, None)]));
    // A literal that goes into the table, then a reference to it and to what lies behind it.
    let block = hex("4003 6b65 7903 6f6e 65 be bf");
    let one = (Some("key".to_owned()), Some("one".to_owned()));
    assert_eq!(
        decoded(&mut decoder, &block),
        Ok(vec![one.clone(), one.clone(), (None, None)])
    );
    // A literal whose name is unknown takes a place in the table too.
    assert_eq!(
        decoded(&mut decoder, &hex("ff00 7f00 0374 776f bf")),
        Ok(vec![(None, None), (None, None), one])
    );
}

#[test]
fn entry_keeps_its_identity_as_others_are_inserted() {
    let mut decoder = everything();
    decoder.forget();
    let mut entries = |block: &str| {
        let mut entries = Vec::new();
        let field = |field: Field<'_>| entries.push(field.entry.map(|entry| entry.number));
        decoder.decode(&hex(block), field).unwrap();
        entries
    };
    assert_eq!(entries("be bf 82"), [Some(-1), Some(-2), None]);
    // Two insertions, one of them with an unknown name, and a literal that is none.
    assert_eq!(
        entries("4001 6b01 76 7f 0001 76 0001 6b01 76"),
        [Some(0), Some(1), None]
    );
    assert_eq!(
        entries("be bf c0 c1"),
        [Some(1), Some(0), Some(-1), Some(-2)]
    );
    decoder.forget();
    let mut epochs = Vec::new();
    decoder
        .decode(&[0xbe], |field| epochs.extend(field.entry))
        .unwrap();
    assert_eq!(
        epochs,
        [EntryId {
            epoch: 2,
            number: -1
        }]
    );
}

#[test]
fn entry_that_only_a_larger_table_holds_takes_a_place_and_is_unknown() {
    let mut decoder = Decoder::new(|_| false);
    decoder.forget();
    decoder.decode(&hex("4001 6101 76"), |_| {}).unwrap();
    let value = huffman::encode(&b"a".repeat(70_000));
    let mut block = hex("4001 62");
    let mut length = loona_hpack::encoder::encode_integer(value.len(), 7);
    length[0] |= 0x80;
    block.extend(length);
    block.extend(value);
    block.extend(hex("4001 6301 76"));
    decoder.decode(&block, |_| {}).unwrap();
    let fields = decoded(&mut decoder, &[0xbe, 0xbf, 0xc0]).unwrap();
    let names: Vec<_> = fields.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [Some("c".to_owned()), None, None]);
}

#[test]
fn table_emptied_by_the_encoder_is_known_again() {
    let mut decoder = everything();
    decoder.forget();
    assert_eq!(decoded(&mut decoder, &hex("20 3fe11f")), Ok(vec![]));
    assert_eq!(decoded(&mut decoder, &[0xbe]), Err(HpackError::BadIndex));
}

#[test]
fn unwanted_value_is_measured_and_not_kept() {
    let mut decoder = Decoder::new(|name| name == b":path");
    let mut seen = Vec::new();
    let value = huffman::encode(b"not kept");
    let mut block = hex("4003 6b65 79");
    block.push(0x80 | value.len() as u8);
    block.extend(value);
    block.push(0xbe);
    let result = decoder.decode(&block, |field| {
        assert_eq!(field.name, Text::Known(b"key"));
        seen.push(match field.value {
            Text::Length(length) => Some(length),
            Text::Known(_) | Text::Unknown => None,
        });
    });
    assert_eq!(result, Ok(()));
    assert_eq!(seen, [Some(8), Some(8)]);
}

#[test]
fn size_update_is_bounded_and_only_at_the_start() {
    let mut decoder = everything();
    assert_eq!(
        decoded(&mut decoder, &hex("3fe21f")),
        Err(HpackError::TableTooLarge)
    );
    decoder.allow_table_size(4097);
    assert_eq!(decoded(&mut decoder, &hex("3fe21f")), Ok(vec![]));
    assert_eq!(
        decoded(&mut decoder, &hex("82 20")),
        Err(HpackError::LateSizeUpdate)
    );
}

#[test]
fn small_block_that_stands_for_a_huge_list_is_refused() {
    let mut decoder = everything();
    let mut block = vec![0x40, 0x01, b'k', 0x7f, 0x80 | (3000_u32 - 127) as u8 & 0x7f];
    block.push(((3000 - 127) >> 7) as u8);
    block.extend(std::iter::repeat_n(b'v', 3000));
    assert_eq!(
        decoded(&mut decoder, &block).map(|fields| fields.len()),
        Ok(1)
    );
    assert_eq!(
        decoded(&mut decoder, &[0xbe; 100]),
        Err(HpackError::ListTooLarge)
    );
}

/// One field as an encoder may write it.
#[derive(Clone, Debug)]
enum Written {
    Indexed(u32),
    Literal {
        first: u8,
        name: Option<Vec<u8>>,
        index: u32,
        value: Vec<u8>,
        huffman: bool,
    },
}

fn written() -> impl Strategy<Value = Written> {
    let bytes = || proptest::collection::vec(any::<u8>(), 1..40);
    prop_oneof![
        (1_u32..75).prop_map(Written::Indexed),
        (
            prop_oneof![Just(0x40_u8), Just(0x00), Just(0x10)],
            proptest::option::of(bytes()),
            1_u32..70,
            bytes(),
            any::<bool>()
        )
            .prop_map(|(first, name, index, value, huffman)| Written::Literal {
                first,
                name,
                index,
                value,
                huffman,
            }),
    ]
}

fn write(written: &Written, output: &mut Vec<u8>) {
    let integer = |output: &mut Vec<u8>, first: u8, bits: u8, value: usize| {
        let mut encoded = loona_hpack::encoder::encode_integer(value, bits);
        encoded[0] |= first;
        output.extend(encoded);
    };
    match written {
        Written::Indexed(index) => integer(output, 0x80, 7, *index as usize),
        Written::Literal {
            first,
            name,
            index,
            value,
            huffman,
        } => {
            let bits = if *first == 0x40 { 6 } else { 4 };
            let string = |output: &mut Vec<u8>, text: &[u8]| {
                if *huffman {
                    let encoded = huffman::encode(text);
                    integer(output, 0x80, 7, encoded.len());
                    output.extend(encoded);
                } else {
                    integer(output, 0, 7, text.len());
                    output.extend(text);
                }
            };
            match name {
                Some(name) => {
                    output.push(*first);
                    string(output, name);
                }
                None => integer(output, *first, bits, *index as usize),
            }
            string(output, value);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Until the first error both decoders see the same fields, and both see the error.
    #[test]
    fn blocks_decode_as_the_independent_decoder_decodes_them(
        blocks in proptest::collection::vec(proptest::collection::vec(written(), 0..12), 1..12)
    ) {
        let mut decoder = everything();
        let mut oracle = loona_hpack::Decoder::new();
        for fields in &blocks {
            let mut block = Vec::new();
            for field in fields {
                write(field, &mut block);
            }
            let mut ours: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            let result = decoder.decode(&block, |field| {
                ours.push((
                    field.name.known().expect("joined from the start").to_vec(),
                    field.value.known().expect("everything is wanted").to_vec(),
                ));
            });
            if let Ok(theirs) = oracle.decode(&block) {
                prop_assert_eq!(result, Ok(()));
                prop_assert_eq!(ours, theirs);
            } else {
                prop_assert!(result.is_err());
                return Ok(());
            }
        }
    }

    /// A decoder that joined late and one that saw everything agree on what both know.
    #[test]
    fn late_decoder_never_contradicts_the_one_that_saw_everything(
        blocks in proptest::collection::vec(proptest::collection::vec(written(), 0..12), 2..12),
        missed in 1_usize..6,
    ) {
        let mut whole = everything();
        let mut late = everything();
        late.forget();
        for (number, fields) in blocks.iter().enumerate() {
            let mut block = Vec::new();
            for field in fields {
                write(field, &mut block);
            }
            let Ok(truth) = decoded(&mut whole, &block) else { return Ok(()) };
            if number < missed {
                continue;
            }
            let seen = decoded(&mut late, &block).expect("an unknown entry is no error");
            prop_assert_eq!(seen.len(), truth.len());
            for (seen, truth) in seen.iter().zip(&truth) {
                prop_assert!(seen.0.is_none() || seen.0 == truth.0);
                prop_assert!(seen.1.is_none() || seen.1 == truth.1);
            }
        }
    }

    #[test]
    fn garbage_never_panics(
        blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8),
        late in any::<bool>(),
    ) {
        let mut decoder = everything();
        if late {
            decoder.forget();
        }
        for block in &blocks {
            let mut bytes = 0_usize;
            let result = decoder.decode(block, |field| {
                let length = |text: Text<'_>| text.known().map_or(0, <[u8]>::len);
                bytes += length(field.name) + length(field.value);
            });
            prop_assert!(bytes as u64 <= MAX_HEADER_LIST_BYTES);
            if result.is_err() {
                decoder.forget();
            }
        }
    }
}
