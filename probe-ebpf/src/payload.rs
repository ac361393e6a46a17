//! Copies a call's bytes into chunk records.
//!
//! Payload is read at the call's return, so that only bytes that really moved are read (partial
//! writes), and while the thread is still in the kernel, so that its buffers have not changed.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, generated};
use probe_abi::{
    CALL_PIECES, ChunkRecord, FRAGMENT_BYTES, HEAD_BYTES, RecordHeader, direction, flag, kind, loss,
};

use crate::{
    buffers::{Source, memory},
    cursor::{field, next_buffer},
    emit::{allowance, count_loss, output},
    maps::SCRATCH,
    unread,
    values::{Call, Cursor, Scratch},
};

const FRAGMENT: u32 = FRAGMENT_BYTES as u32;

/// Which of a CPU's buffers a program puts its records together in.
pub mod slot {
    /// Programs that are not preempted, or of which there is one.
    pub const ONLY: u32 = 0;
    /// Programs at the return of functions of sockets.
    pub const TCP_SEND: u32 = 1;
    pub const TCP_RECEIVE: u32 = 2;
    pub const UNIX_SEND: u32 = 3;
    pub const UNIX_RECEIVE: u32 = 4;
    pub const COUNT: u32 = 5;
}

/// Steps that the first bytes of a send may take: grpc-core sends them in four buffers.
const HEAD_PIECES: u32 = 12;

/// Writes the chunk records of one call: fragments of at most `FRAGMENT_BYTES`, the last one
/// standing also for what could not be captured. Content that nobody reads is left where it is.
#[inline(always)]
pub fn capture(call: &Call, direction: u8, offset: u64, source: &Source, slot: u32) {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else {
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
        left_out: 0,
    };
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
    let cursor = unsafe {
        (*scratch).record = record;
        &raw mut (*scratch).cursor
    };
    field!(cursor.base = source.buffer + source.skip);
    field!(cursor.left = if source.buffer == 0 { 0 } else { source.length });
    let allowance = allowance();
    let shed = if source.length > allowance {
        count_loss(loss::SHED);
        source.length - allowance
    } else {
        0
    };
    let length = source.length - shed;
    let fields = if direction == direction::SENT && shed == 0 {
        unread::fields(length)
    } else {
        0
    };
    let head = if fields == 0 { 0 } else { HEAD_BYTES };
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
        for _ in 0..HEAD_PIECES {
            if !step(scratch, cursor) {
                break;
            }
        }
        if field!(cursor.remaining) == 0 {
            let unread = unread::behind_head(scratch, length, fields);
            field!(cursor.unread = unread);
            // SAFETY: see above; `fields` sees to it that it fits.
            unsafe { (*scratch).record.left_out = unread as u16 };
        }
    }
    let left = field!(cursor.remaining);
    field!(cursor.remaining = left + length - head);
    for _ in 0..CALL_PIECES {
        if !step(scratch, cursor) {
            break;
        }
    }
    let used = field!(cursor.used);
    let remaining = field!(cursor.remaining);
    if used == 0 && remaining == 0 && shed == 0 {
        return;
    }
    let mut flags = if shed == 0 { 0 } else { flag::SHED };
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
    // SAFETY: see above.
    let left_out = u32::from(unsafe { (*scratch).record.left_out });
    let missing = remaining - field!(cursor.unread) + shed;
    flush(scratch, used, used + left_out + missing, flags);
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
        flush(scratch, FRAGMENT, FRAGMENT, 0);
        field!(cursor.used = 0);
    } else {
        field!(cursor.used = used);
    }
    true
}

/// A value whose range the optimiser does not know, so that it keeps the check that follows: the
/// verifier needs to see it.
#[inline(always)]
pub fn opaque(mut value: u32) -> u32 {
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
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
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
