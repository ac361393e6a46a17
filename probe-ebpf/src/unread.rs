//! Content that nobody reads: the audio or text of a gRPC message. It is left where it is, which costs the
//! watched thread less than its copy.
//!
//! What is sent has to be exactly one DATA frame with exactly one message: its lengths say so in seven octets.

use probe_abi::{HEAD_BYTES, MIN_UNREAD_BYTES, TAIL_BYTES};

use crate::{cursor::field, maps::UNREAD_FIELDS, payload::opaque, values::Scratch};

/// Octets of a frame's header; a type, and a flag of it (RFC 9113, sections 4.1 and 6.1).
const FRAME_HEADER: u32 = 9;
const DATA: u32 = 0;
const PADDED: u32 = 8;

/// Octets of a message's prefix: whether it is compressed, and its length (gRPC over HTTP/2, "Requests").
const PREFIX: u32 = 5;

/// Fields of a message up to the one whose content nobody reads, and it.
const MAX_FIELDS: u32 = 6;

/// Octets of a key with a number below 16, and of a length below 2^21.
const KEY: u32 = 1;
const LENGTH: u32 = 3;

/// Octets of the longest number.
const VARINT: u32 = 10;

/// Numbers of the fields to look for in a send of so many bytes, as bits; 0 for none.
#[inline(always)]
pub fn fields(length: u32) -> u32 {
    if length < HEAD_BYTES + MIN_UNREAD_BYTES || length > u32::from(u16::MAX) {
        return 0;
    }
    UNREAD_FIELDS.get(0).copied().unwrap_or(0)
}

/// How many bytes after the first [`HEAD_BYTES`] of a send, which are in the scratch buffer, are content of one
/// of these fields; 0 where nobody can tell. The record says so too.
#[inline(always)]
pub fn behind_head(scratch: *mut Scratch, length: u32, fields: u32) -> u32 {
    let found = find(scratch, length, fields);
    // SAFETY: this CPU's value; `fields` sees to it that the number fits. Written and read, so that the verifier
    // does not follow each way by which it was found.
    unsafe {
        let left_out = &raw mut (*scratch).record.left_out;
        left_out.write_volatile(found as u16);
        u32::from(left_out.read_volatile())
    }
}

#[inline(always)]
fn find(scratch: *mut Scratch, length: u32, fields: u32) -> u32 {
    let octet = move |at| octet(scratch, at);
    let frame = octet(0) << 16 | octet(1) << 8 | octet(2);
    let message = octet(10) << 24 | octet(11) << 16 | octet(12) << 8 | octet(13);
    if frame + FRAME_HEADER != length
        || octet(3) != DATA
        || octet(4) & PADDED != 0
        || octet(FRAME_HEADER) != 0
        || u64::from(message) + u64::from(FRAME_HEADER + PREFIX) != u64::from(length)
    {
        return 0;
    }
    // SAFETY: the cursor is in this CPU's map value, for the reasons that it tells.
    let cursor = unsafe { &raw mut (*scratch).cursor };
    field!(cursor.field = FRAME_HEADER + PREFIX);
    for _ in 0..MAX_FIELDS {
        let at = field!(cursor.field);
        if at > HEAD_BYTES - KEY - LENGTH {
            return 0;
        }
        let key = octet(at);
        if key >= 0x80 {
            return 0;
        }
        let number = key >> 3;
        let at = at + KEY;
        match key & 7 {
            0 => {
                field!(cursor.field = at);
                if !pass_number(scratch) {
                    return 0;
                }
            }
            1 => field!(cursor.field = at + 8),
            5 => field!(cursor.field = at + 4),
            2 => {
                let (first, second, third) = (octet(at), octet(at + 1), octet(at + 2));
                let (size, octets) = if first < 0x80 {
                    (first, 1)
                } else if second < 0x80 {
                    (first & 0x7f | second << 7, 2)
                } else if third < 0x80 {
                    (first & 0x7f | (second & 0x7f) << 7 | third << 14, 3)
                } else {
                    return 0;
                };
                let end = at + octets + size;
                if end > length {
                    return 0;
                }
                if fields >> number & 1 != 0 && size >= MIN_UNREAD_BYTES {
                    return if length - end > TAIL_BYTES {
                        0
                    } else {
                        end - HEAD_BYTES
                    };
                }
                field!(cursor.field = end);
            }
            _ => return 0,
        }
    }
    0
}

/// Passes a number by; false where it does not end among the first bytes.
#[inline(always)]
fn pass_number(scratch: *mut Scratch) -> bool {
    // SAFETY: as in `behind_head`.
    let cursor = unsafe { &raw mut (*scratch).cursor };
    for _ in 0..VARINT {
        let at = field!(cursor.field);
        if at >= HEAD_BYTES {
            return false;
        }
        field!(cursor.field = at + 1);
        if octet(scratch, at) < 0x80 {
            return true;
        }
    }
    false
}

/// One of the first bytes.
#[inline(always)]
fn octet(scratch: *mut Scratch, at: u32) -> u32 {
    let at = opaque(at) & (HEAD_BYTES - 1);
    // SAFETY: inside the payload.
    u32::from(unsafe {
        (&raw const (*scratch).payload)
            .cast::<u8>()
            .add(at as usize)
            .read_volatile()
    })
}
