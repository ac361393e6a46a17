//! Copies a call's bytes into chunk records.
//!
//! Payload is read at the call's return, so that only bytes that really moved are read (partial
//! writes), and while the thread is still in the kernel, so that its buffers have not changed.

use aya_ebpf::helpers::{bpf_ktime_get_ns, generated};
use probe_abi::{
    ChunkRecord, FRAGMENT_BYTES, HEAD_BYTES, RecordHeader, direction, flag, kind, loss,
};

use crate::{
    buffers::{Source, memory},
    cursor::field,
    emit::{self, allowance, count_loss, filled, output},
    maps::SCRATCH,
    pieces, unread,
    values::{Scratch, Transfer},
};

pub const FRAGMENT: u32 = FRAGMENT_BYTES as u32;

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

/// What became of a call's bytes.
pub struct Copied {
    /// Bytes in the scratch buffer.
    pub used: u32,
    /// Bytes at the end that are not, for no purpose.
    pub missing: u32,
    /// Whether memory could not be read.
    pub fault: bool,
}

/// Writes the chunk records of one call: fragments of at most `FRAGMENT_BYTES`, the last one
/// standing also for what could not be captured. Content that nobody reads is left where it is.
#[inline(always)]
pub fn capture(transfer: &Transfer, direction: u8, offset: u64, source: &Source, slot: u32) {
    let Some(scratch) = SCRATCH.get_ptr_mut(slot) else {
        return;
    };
    let record = ChunkRecord {
        header: RecordHeader {
            kind: kind::CHUNK,
            flags: 0,
            size: 0,
            // SAFETY: no argument, no side effect.
            time_ns: unsafe { bpf_ktime_get_ns() },
            tgid: (transfer.thread >> 32) as u32,
            tid: transfer.thread as u32,
        },
        connection: transfer.connection,
        offset,
        enter_ns: transfer.enter_ns,
        length: 0,
        captured: 0,
        fd: transfer.fd,
        direction,
        call: transfer.call,
        left_out: 0,
    };
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
    unsafe { (*scratch).record = record }
    let filled = filled();
    let allowance = allowance(filled);
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
    let is_one_buffer = source.buffer != 0 && source.memory & memory::BUFFERS == 0;
    if is_one_buffer && length <= FRAGMENT {
        let copied = one_buffer(scratch, source.buffer + source.skip, length, fields);
        end(scratch, &copied, shed, filled);
    } else {
        // SAFETY: as above. Kept there for the reasons that `Cursor` tells.
        let cursor = unsafe { &raw mut (*scratch).cursor };
        field!(cursor.shed = shed);
        let copied = pieces::gather(scratch, slot, source, length, fields);
        end(scratch, &copied, field!(cursor.shed), emit::filled());
    }
}

/// Writes the last record of a call, if there is anything left to tell.
#[inline(always)]
fn end(scratch: *mut Scratch, copied: &Copied, shed: u32, filled: u64) {
    let Copied {
        used,
        missing,
        fault,
    } = *copied;
    if used == 0 && missing == 0 && shed == 0 {
        return;
    }
    let mut flags = if shed == 0 { 0 } else { flag::SHED };
    if missing != 0 {
        let (what, loss) = if fault {
            (flag::READ_FAULT, loss::READ_FAULT)
        } else {
            (flag::CAPTURE_LIMIT, loss::CAPTURE_LIMIT)
        };
        flags = what;
        count_loss(loss);
    }
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
    let left_out = u32::from(unsafe { (*scratch).record.left_out });
    flush(
        scratch,
        used,
        used + left_out + missing + shed,
        flags,
        filled,
    );
}

/// Copies what is in one buffer of the process.
#[inline(always)]
fn one_buffer(scratch: *mut Scratch, base: u64, length: u32, fields: u32) -> Copied {
    let head = if fields == 0 { length } else { HEAD_BYTES };
    if !read::<0>(scratch, base, head) {
        return Copied {
            used: 0,
            missing: length,
            fault: true,
        };
    }
    if fields == 0 {
        return Copied {
            used: length,
            missing: 0,
            fault: false,
        };
    }
    let left_out = unread::behind_head(scratch, length, fields);
    let rest = length - HEAD_BYTES - left_out;
    let behind = base + u64::from(HEAD_BYTES + left_out);
    let is_read = rest == 0 || read::<{ HEAD_BYTES as usize }>(scratch, behind, rest);
    Copied {
        used: if is_read {
            HEAD_BYTES + rest
        } else {
            HEAD_BYTES
        },
        missing: if is_read { 0 } else { rest },
        fault: true,
    }
}

/// Copies at most a fragment to a place in the payload's first fragment; whether it could be read.
#[inline(always)]
fn read<const AT: usize>(scratch: *mut Scratch, base: u64, length: u32) -> bool {
    // SAFETY: the payload is two fragments long.
    let read = unsafe {
        let to = (&raw mut (*scratch).payload).cast::<u8>().add(AT);
        generated::bpf_probe_read_user(to.cast(), bounded(length), base as *const _)
    };
    read == 0
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
pub fn bounded(length: u32) -> u32 {
    let length = opaque(length);
    if length > FRAGMENT { FRAGMENT } else { length }
}

/// Writes the scratch buffer's first `captured` bytes as a record for `length` stream bytes. `filled`: as
/// [`filled`] says.
#[inline(always)]
pub fn flush(scratch: *mut Scratch, captured: u32, length: u32, flags: u16, filled: u64) {
    let captured = bounded(captured);
    let size = size_of::<ChunkRecord>() as u32 + captured;
    // SAFETY: this CPU's value; nobody else uses it meanwhile (see `slot`).
    let record = unsafe { &mut (*scratch).record };
    record.header.size = size;
    record.header.flags = flags;
    record.length = length;
    record.captured = captured;
    // SAFETY: record and payload are adjacent, and `captured` is at most FRAGMENT.
    if !unsafe { output(scratch.cast_const().cast(), u64::from(size), filled) } {
        count_loss(loss::RING_FULL);
    }
    record.offset += u64::from(length);
}
