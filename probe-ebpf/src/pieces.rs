//! Puts the bytes of a call together that are in several buffers, or more than a fragment.

use aya_ebpf::helpers::generated;
use probe_abi::{CALL_PIECES, HEAD_BYTES};

use crate::{
    buffers::{Source, memory},
    cursor::{field, next_buffer},
    emit::filled,
    maps::SCRATCH,
    payload::{Copied, FRAGMENT, bounded, flush, opaque},
    unread,
    values::{Cursor, Scratch},
};

/// Steps that are made at once. The first bytes of a send may take as many: grpc-core sends them in four buffers.
const STEPS: u32 = 12;

const _: () = assert!(CALL_PIECES.is_multiple_of(STEPS));

/// Copies the first `length` bytes, and writes fragments that are full. `slot`: where the buffer is.
#[inline(always)]
pub fn gather(
    scratch: *mut Scratch,
    slot: u32,
    source: &Source,
    length: u32,
    fields: u32,
) -> Copied {
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
    let cursor = unsafe { &raw mut (*scratch).cursor };
    let head = if fields == 0 { 0 } else { HEAD_BYTES };
    field!(cursor.base = source.buffer + source.skip);
    field!(cursor.left = if source.buffer == 0 { 0 } else { source.length });
    field!(cursor.iov = source.iov);
    field!(cursor.iovs = source.iovs);
    field!(cursor.message = source.message);
    field!(cursor.messages = source.messages);
    field!(cursor.used = 0);
    field!(cursor.fault = 0);
    field!(cursor.skip = source.skip);
    field!(cursor.memory = source.memory);
    field!(cursor.unread = 0);
    field!(cursor.remaining = head);
    if head != 0 {
        steps(slot);
        if field!(cursor.remaining) == 0 {
            let left_out = unread::behind_head(scratch, length, fields);
            field!(cursor.unread = left_out);
        }
    }
    let left = field!(cursor.remaining);
    field!(cursor.remaining = left + length - head);
    for _ in 0..CALL_PIECES / STEPS {
        if steps(slot) == 0 {
            break;
        }
    }
    let passing = field!(cursor.unread);
    Copied {
        used: field!(cursor.used),
        missing: field!(cursor.remaining) - passing,
        fault: field!(cursor.fault) != 0,
    }
}

/// A few steps; 0 at the end. A function of its own to the verifier as well (a global one, from Linux 5.6): it is
/// checked once, whatever it is given, and not at each turn of each loop that calls it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn steps(slot: u32) -> u32 {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else {
        return 0;
    };
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
    let cursor = unsafe { &raw mut (*scratch).cursor };
    for _ in 0..STEPS {
        if !step(scratch, cursor) {
            return 0;
        }
    }
    1
}

/// One step: enters the next message, enters the next buffer, passes content by, or copies. False at the end.
#[inline(always)]
fn step(scratch: *mut Scratch, cursor: *mut Cursor) -> bool {
    let remaining = field!(cursor.remaining);
    if remaining == 0 {
        return false;
    }
    let left = field!(cursor.left);
    if left == 0 {
        return next_buffer(cursor);
    }
    let base = field!(cursor.base);
    let left_here = if left > remaining { remaining } else { left };
    let unread = field!(cursor.unread);
    if unread != 0 {
        let pass = if left_here > unread {
            unread
        } else {
            left_here
        };
        field!(cursor.base = base + u64::from(pass));
        field!(cursor.left = left - pass);
        field!(cursor.remaining = remaining - pass);
        field!(cursor.unread = unread - pass);
        return true;
    }
    let at = opaque(field!(cursor.used)) & (FRAGMENT - 1);
    let room = FRAGMENT - at;
    let take = bounded(if left_here > room { room } else { left_here });
    let is_kernel = field!(cursor.memory) & memory::BUFFERS != 0;
    // SAFETY: `at` is below FRAGMENT and `take` at most FRAGMENT: inside the payload.
    let read = unsafe {
        let payload = (&raw mut (*scratch).payload).cast::<u8>().add(at as usize);
        if is_kernel {
            generated::bpf_probe_read_kernel(payload.cast(), take, base as *const _)
        } else {
            generated::bpf_probe_read_user(payload.cast(), take, base as *const _)
        }
    };
    if read != 0 {
        field!(cursor.fault = 1);
        return false;
    }
    field!(cursor.base = base + u64::from(take));
    field!(cursor.left = left - take);
    field!(cursor.remaining = remaining - take);
    let used = at + take;
    if used >= FRAGMENT {
        flush(scratch, FRAGMENT, FRAGMENT, 0, filled());
        field!(cursor.used = 0);
    } else {
        field!(cursor.used = used);
    }
    true
}
