use super::*;

/// A chunk record as the kernel side writes it.
fn chunk_bytes(length: u32, captured: u32, flags: u16, direction: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(kind::CHUNK.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend((64 + payload.len() as u32).to_ne_bytes());
    bytes.extend(900_u64.to_ne_bytes());
    bytes.extend(10_u32.to_ne_bytes());
    bytes.extend(11_u32.to_ne_bytes());
    bytes.extend(77_u64.to_ne_bytes());
    bytes.extend(4096_u64.to_ne_bytes());
    bytes.extend(850_u64.to_ne_bytes());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(captured.to_ne_bytes());
    bytes.extend(5_i32.to_ne_bytes());
    bytes.extend([direction, 8, 0, 0]);
    bytes.extend(payload);
    bytes
}

#[test]
fn chunk_with_all_bytes_has_no_hole() {
    let bytes = chunk_bytes(3, 3, 0, 0, b"abc");
    let Ok(KernelRecord::Chunk { chunk, tgid, fd }) = parse(&bytes) else {
        panic!("no chunk")
    };
    assert_eq!((tgid, fd, chunk.tid), (Tgid(10), 5, 11));
    assert_eq!((chunk.connection, chunk.offset), (ConnectionId(77), 4096));
    assert_eq!((chunk.enter, chunk.exit), (KtimeNs(850), KtimeNs(900)));
    assert_eq!(chunk.at(), KtimeNs(850), "a send counts from its entry");
    assert_eq!(&*chunk.bytes, b"abc");
    assert!(chunk.holes.is_empty());
}

#[test]
fn chunk_cut_by_the_capture_limit_ends_in_a_hole() {
    let bytes = chunk_bytes(1000, 3, flag::CAPTURE_LIMIT, 1, b"abc");
    let Ok(KernelRecord::Chunk { chunk, .. }) = parse(&bytes) else {
        panic!("no chunk")
    };
    assert_eq!(chunk.at(), KtimeNs(900), "a receive counts from its return");
    let hole = Hole {
        at: 3,
        length: 997,
        reason: GapReason::CaptureLimit,
    };
    assert_eq!(*chunk.holes, [hole]);
}

#[test]
fn content_that_nobody_reads_is_a_hole_behind_the_first_bytes() {
    let payload = [7; HEAD_BYTES as usize + 20];
    let captured = payload.len() as u32;
    let with = |length: u32, flags, left_out: u16| {
        let mut bytes = chunk_bytes(length, captured, flags, 0, &payload);
        bytes[62..64].copy_from_slice(&left_out.to_ne_bytes());
        bytes
    };
    let unread = Hole {
        at: HEAD_BYTES,
        length: 1900,
        reason: GapReason::Unread,
    };
    let holes = |bytes: &[u8]| match parse(bytes) {
        Ok(KernelRecord::Chunk { chunk, .. }) => chunk.holes.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(holes(&with(captured + 1900, 0, 1900)), [unread]);
    let missing = Hole {
        at: captured + 1900,
        length: 5,
        reason: GapReason::ReadFault,
    };
    let cut = with(captured + 1905, flag::READ_FAULT, 1900);
    assert_eq!(holes(&cut), [unread, missing]);
    // It stands for more than there was, or the first bytes are not there.
    assert_eq!(
        parse(&with(captured + 1899, 0, 1900)),
        Err(RecordError::Unknown)
    );
    let mut short = chunk_bytes(2000, 3, 0, 0, b"abc");
    short[62..64].copy_from_slice(&1997_u16.to_ne_bytes());
    assert_eq!(parse(&short), Err(RecordError::Unknown));
}

/// A record of a hooked call as the kernel side writes it.
fn hook_bytes(event: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(kind::HOOK.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(56_u32.to_ne_bytes());
    bytes.extend(900_u64.to_ne_bytes());
    bytes.extend(10_u32.to_ne_bytes());
    bytes.extend(11_u32.to_ne_bytes());
    for value in [850_u64, 0x7f00, 1] {
        bytes.extend(value.to_ne_bytes());
    }
    bytes.extend(3_u32.to_ne_bytes());
    bytes.extend(event.to_ne_bytes());
    bytes
}

#[test]
fn hooked_call_is_read_and_cut_or_unknown_ones_are_errors() {
    let bytes = hook_bytes(hook_event::RETURNED);
    let call = HookCall {
        hook: HookId::default(),
        tgid: Tgid(10),
        tid: 11,
        enter: KtimeNs(850),
        exit: KtimeNs(900),
        instance: 0x7f00,
        event: HookEvent::Returned(1),
    };
    let expected = KernelRecord::Hooked {
        attachment: 3,
        call,
    };
    assert_eq!(parse(&bytes), Ok(expected));
    for cut in 0..bytes.len() {
        assert_eq!(parse(&bytes[..cut]), Err(RecordError::TooShort));
    }
    assert_eq!(parse(&hook_bytes(9)), Err(RecordError::Unknown));
}

#[test]
fn id_that_is_given_again_is_a_record_of_the_process_that_had_it() {
    let mut bytes = Vec::new();
    bytes.extend(kind::GONE.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(40_u32.to_ne_bytes());
    bytes.extend(900_u64.to_ne_bytes());
    bytes.extend(10_u32.to_ne_bytes());
    bytes.extend([0; 20]);
    let gone = KernelRecord::Gone {
        tgid: Tgid(10),
        at: KtimeNs(900),
    };
    assert_eq!(parse(&bytes), Ok(gone));
}

#[test]
fn hostile_records_are_errors() {
    let good = chunk_bytes(3, 3, 0, 0, b"abc");
    for cut in 0..good.len() {
        assert_eq!(
            parse(&good[..cut]),
            Err(RecordError::TooShort),
            "cut at {cut}"
        );
    }
    let mut longer = good.clone();
    longer[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(parse(&longer), Err(RecordError::TooShort));
    let mut unknown = good;
    unknown[0] = 200;
    assert_eq!(parse(&unknown), Err(RecordError::Unknown));
    assert_eq!(
        parse(&chunk_bytes(3, 3, 0, 9, b"abc")),
        Err(RecordError::Unknown)
    );
    assert_eq!(
        parse(&chunk_bytes(1, 3, 0, 0, b"abc")),
        Err(RecordError::Unknown)
    );
}

#[test]
fn addresses_are_canonical() {
    let v4 = [2, 0, 0x1b, 0x59, 127, 0, 0, 1];
    let expected = Address::Inet("127.0.0.1:7001".parse().unwrap());
    assert_eq!(socket_address(&v4), Some(expected.clone()));
    let mut mapped = vec![10, 0, 0x1b, 0x59, 0, 0, 0, 0];
    mapped.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1]);
    assert_eq!(socket_address(&mapped), Some(expected));
    assert_eq!(
        socket_address(b"\x01\0/run/x\0junk"),
        Some(Address::Unix("/run/x".into()))
    );
    assert_eq!(
        socket_address(b"\x01\0\0abc\0\0"),
        Some(Address::Unix("@abc".into()))
    );
    assert_eq!(socket_address(&v4[..6]), None);
    assert_eq!(socket_address(&[16, 0, 0, 0]), None);
}

/// A connection's opening as the kernel side writes it.
fn open_bytes(origin: u8, fd: i32, address: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(kind::OPEN.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend((72 + SOCKADDR_BYTES as u32).to_ne_bytes());
    bytes.extend(900_u64.to_ne_bytes());
    bytes.extend(10_u32.to_ne_bytes());
    bytes.extend(11_u32.to_ne_bytes());
    bytes.extend(77_u64.to_ne_bytes());
    bytes.extend(850_u64.to_ne_bytes());
    bytes.extend(fd.to_ne_bytes());
    bytes.extend((-1_i32).to_ne_bytes());
    bytes.extend(0_i32.to_ne_bytes());
    bytes.extend(10_u32.to_ne_bytes());
    bytes.extend([origin, 0]);
    bytes.extend((address.len() as u16).to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(4711_u64.to_ne_bytes());
    let mut room = [0; SOCKADDR_BYTES];
    for (to, from) in room.iter_mut().zip(address) {
        *to = *from;
    }
    bytes.extend(room);
    bytes
}

#[test]
fn opening_says_what_is_known_of_its_beginning() {
    let opened = |origin| match parse(&open_bytes(origin, 5, &[])) {
        Ok(KernelRecord::Opened(new)) => {
            assert_eq!(new.inode, Some(4711));
            (new.side, new.joined)
        }
        other => panic!("{other:?}"),
    };
    let start = Joined::FromStart;
    assert_eq!(opened(origin::ACCEPTED), (Some(Side::Server), start));
    assert_eq!(opened(origin::CONNECTED), (Some(Side::Client), start));
    assert_eq!(opened(origin::UNKNOWN), (None, start));
    assert_eq!(opened(origin::LATE), (None, Joined::Late));
    assert_eq!(
        parse(&open_bytes(4, 5, &[])),
        Err(RecordError::Unknown),
        "no other origin"
    );
}

#[test]
fn socket_that_is_gone_names_its_connection_alone() {
    let mut bytes = Vec::new();
    bytes.extend(kind::SOCKET_CLOSED.to_ne_bytes());
    bytes.extend(0_u16.to_ne_bytes());
    bytes.extend(56_u32.to_ne_bytes());
    bytes.extend(900_u64.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend(77_u64.to_ne_bytes());
    bytes.extend([0; 24]);
    let expected = KernelRecord::SocketClosed {
        connection: ConnectionId(77),
        at: KtimeNs(900),
    };
    assert_eq!(parse(&bytes), Ok(expected));
    assert!(parse(&bytes[..30]).is_err(), "cut short");
}
