//! Copies a call's bytes from user memory into chunk records.
//!
//! Payload is read at the call's return, so that only bytes that really moved are read (partial
//! writes), and while the thread is still in the kernel, so that its buffers have not changed.

use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_user, generated,
};
use probe_abi::{CALL_PIECES, ChunkRecord, FRAGMENT_BYTES, RecordHeader, flag, kind, loss};

use crate::{
    call::Call,
    emit::{count_loss, output},
    maps::SCRATCH,
    message::{UserMessage, UserMultiMessage},
};

const FRAGMENT: u32 = FRAGMENT_BYTES as u32;

/// Where a chunk record is put together. Twice the fragment, so that "an offset below the
/// fragment's size plus a length of at most that size" is visibly in range for the verifier.
#[repr(C)]
pub struct Scratch {
    record: ChunkRecord,
    payload: [u8; 2 * FRAGMENT_BYTES],
    cursor: Cursor,
}

/// How far a copy got. It lives in the map and is read and written there at every step: then the
/// verifier knows nothing about the values, finds each step's state equal however it was reached,
/// and walks the loop in thousands of instructions rather than millions.
#[repr(C)]
struct Cursor {
    /// Rest of the current buffer: its address and its bytes.
    base: u64,
    left: u32,
    /// Stream bytes not yet copied.
    remaining: u32,
    /// Next `iovec` and how many are left of the current message.
    iov: u64,
    iovs: u32,
    /// Payload bytes in the scratch buffer.
    used: u32,
    /// Next `mmsghdr` and how many are left.
    message: u64,
    messages: u32,
    /// Whether user memory could not be read.
    fault: u32,
}

/// Reads and writes fields of the map's value where they are.
macro_rules! field {
    ($cursor:ident.$field:ident) => {
        // SAFETY: the cursor is this CPU's map value; preemption is off in a tracepoint.
        unsafe { (&raw const (*$cursor).$field).read_volatile() }
    };
    ($cursor:ident.$field:ident = $value:expr) => {
        // SAFETY: as above.
        unsafe { (&raw mut (*$cursor).$field).write_volatile($value) }
    };
}

/// Where one call's bytes are: in one buffer, an array of `iovec`, or an array of `mmsghdr`.
#[derive(Clone, Copy)]
pub struct Source {
    /// Address of the only buffer; 0 when there are several.
    pub buffer: u64,
    /// First `iovec` and their number.
    pub iov: u64,
    pub iovs: u32,
    /// First `mmsghdr` and their number.
    pub message: u64,
    pub messages: u32,
    /// Bytes moved.
    pub length: u32,
}

/// `struct iovec`. Source: include/uapi/linux/uio.h.
#[repr(C)]
#[derive(Clone, Copy)]
struct Iovec {
    base: u64,
    length: u64,
}

/// Writes the chunk records of one call: fragments of at most `FRAGMENT_BYTES`, the last one
/// standing also for what could not be captured.
#[inline(always)]
pub fn capture(call: &Call, direction: u8, offset: u64, source: &Source) {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else {
        return;
    };
    let pid_tgid = bpf_get_current_pid_tgid();
    let record = ChunkRecord {
        header: RecordHeader {
            kind: kind::CHUNK,
            flags: 0,
            size: 0,
            // SAFETY: no argument, no side effect.
            time_ns: unsafe { bpf_ktime_get_ns() },
            tgid: (pid_tgid >> 32) as u32,
            tid: pid_tgid as u32,
        },
        connection: call.connection,
        offset,
        enter_ns: call.enter_ns,
        length: 0,
        captured: 0,
        fd: call.fd,
        direction,
        call: call.call as u8,
        pad: 0,
    };
    // SAFETY: this CPU's value; preemption is off in a tracepoint.
    let cursor = unsafe {
        (*scratch).record = record;
        &raw mut (*scratch).cursor
    };
    field!(cursor.base = source.buffer);
    field!(cursor.left = if source.buffer == 0 { 0 } else { source.length });
    field!(cursor.remaining = source.length);
    field!(cursor.iov = source.iov);
    field!(cursor.iovs = source.iovs);
    field!(cursor.message = source.message);
    field!(cursor.messages = source.messages);
    field!(cursor.used = 0);
    field!(cursor.fault = 0);
    for _ in 0..CALL_PIECES {
        if !step(scratch, cursor) {
            break;
        }
    }
    let used = field!(cursor.used);
    let remaining = field!(cursor.remaining);
    if used == 0 && remaining == 0 {
        return;
    }
    let mut flags = 0;
    if remaining != 0 {
        let read_fault = field!(cursor.fault) != 0;
        flags = if read_fault {
            flag::READ_FAULT
        } else {
            flag::CAPTURE_LIMIT
        };
        count_loss(if read_fault {
            loss::READ_FAULT
        } else {
            loss::CAPTURE_LIMIT
        });
    }
    flush(scratch, used, used + remaining, flags);
}

/// One step: enters the next message, enters the next buffer, or copies. False at the end.
#[inline(always)]
fn step(scratch: *mut Scratch, cursor: *mut Cursor) -> bool {
    let remaining = field!(cursor.remaining);
    if remaining == 0 {
        return false;
    }
    let left = field!(cursor.left);
    if left == 0 {
        return next_buffer(cursor, remaining);
    }
    let at = opaque(field!(cursor.used)) & (FRAGMENT - 1);
    let room = FRAGMENT - at;
    let take = bounded(if left > room { room } else { left });
    let base = field!(cursor.base);
    // SAFETY: `at` is below FRAGMENT and `take` at most FRAGMENT: inside the payload.
    let read = unsafe {
        let payload = (&raw mut (*scratch).payload).cast::<u8>().add(at as usize);
        generated::bpf_probe_read_user(payload.cast(), take, base as *const _)
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
        flush(scratch, FRAGMENT, FRAGMENT, 0);
        field!(cursor.used = 0);
    } else {
        field!(cursor.used = used);
    }
    true
}

/// Enters the next buffer, or the next message's buffers; false when there is none or it cannot be
/// read.
#[inline(always)]
fn next_buffer(cursor: *mut Cursor, remaining: u32) -> bool {
    let iovs = field!(cursor.iovs);
    if iovs != 0 {
        let iov = field!(cursor.iov);
        // SAFETY: a failing read is a fault.
        let Ok(next) = (unsafe { bpf_probe_read_user(iov as *const Iovec) }) else {
            field!(cursor.fault = 1);
            return false;
        };
        let length = next.length;
        field!(cursor.base = next.base);
        field!(
            cursor.left = if length > u64::from(remaining) {
                remaining
            } else {
                length as u32
            }
        );
        field!(cursor.iov = iov + size_of::<Iovec>() as u64);
        field!(cursor.iovs = iovs - 1);
        return true;
    }
    let messages = field!(cursor.messages);
    if messages == 0 {
        field!(cursor.fault = 1);
        return false;
    }
    let message = field!(cursor.message);
    // SAFETY: a failing read is a fault.
    let Ok(next) = (unsafe { bpf_probe_read_user(message as *const UserMessage) }) else {
        field!(cursor.fault = 1);
        return false;
    };
    field!(cursor.iov = next.iov);
    field!(cursor.iovs = next.iov_count as u32);
    field!(cursor.message = message + size_of::<UserMultiMessage>() as u64);
    field!(cursor.messages = messages - 1);
    true
}

/// A value whose range the optimiser does not know, so that it keeps the check that follows: the
/// verifier needs to see it.
#[inline(always)]
fn opaque(mut value: u32) -> u32 {
    // SAFETY: adds nothing.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) value, options(pure, nomem, nostack)) };
    value
}

/// A copy's length, visibly at most one fragment.
#[inline(always)]
fn bounded(length: u32) -> u32 {
    let length = opaque(length);
    if length > FRAGMENT { FRAGMENT } else { length }
}

/// Writes the scratch buffer's first `captured` bytes as a record for `length` stream bytes.
#[inline(always)]
fn flush(scratch: *mut Scratch, captured: u32, length: u32, flags: u16) {
    let captured = bounded(captured);
    let size = size_of::<ChunkRecord>() as u32 + captured;
    // SAFETY: this CPU's value; preemption is off in a tracepoint.
    let record = unsafe { &mut (*scratch).record };
    record.header.size = size;
    record.header.flags = flags;
    record.length = length;
    record.captured = captured;
    // SAFETY: record and payload are adjacent, and `captured` is at most FRAGMENT.
    if !unsafe { output(scratch.cast_const().cast(), u64::from(size)) } {
        count_loss(loss::RING_FULL);
    }
    record.offset += u64::from(length);
}
