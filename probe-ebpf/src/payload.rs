//! Copies a call's bytes from user memory into chunk records.
//!
//! Payload is read at the call's return, so that only bytes that really moved are read (partial
//! writes), and while the thread is still in the kernel, so that its buffers have not changed.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_user, generated};
use probe_abi::{
    CALL_PIECES, ChunkRecord, FRAGMENT_BYTES, RecordHeader, flag, kind, loss,
};

use crate::{
    call::Call,
    emit::{count_loss, output},
    maps::SCRATCH,
};

const FRAGMENT: u32 = FRAGMENT_BYTES as u32;

/// Where a chunk record is put together. Twice the fragment, so that "an offset below the
/// fragment's size plus a length of at most that size" is visibly in range for the verifier.
#[repr(C)]
pub struct Scratch {
    record: ChunkRecord,
    payload: [u8; 2 * FRAGMENT_BYTES],
}

/// The bytes of one call: either one buffer or an array of `iovec`.
pub struct Source<'a> {
    pub call: &'a Call,
    pub direction: u8,
    pub offset: u64,
    pub length: u32,
    pub buffer: u64,
    pub iov: u64,
    pub iov_count: u32,
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
pub fn capture(source: &Source<'_>) {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's value; preemption is off in a tracepoint.
    let scratch = unsafe { &mut *scratch };
    let pid_tgid = bpf_get_current_pid_tgid();
    scratch.record = ChunkRecord {
        header: RecordHeader {
            kind: kind::CHUNK,
            flags: 0,
            size: 0,
            // SAFETY: no argument, no side effect.
            time_ns: unsafe { bpf_ktime_get_ns() },
            tgid: (pid_tgid >> 32) as u32,
            tid: pid_tgid as u32,
        },
        connection: source.call.connection,
        offset: source.offset,
        enter_ns: source.call.enter_ns,
        length: 0,
        captured: 0,
        fd: source.call.fd,
        direction: source.direction,
        call: source.call.call as u8,
        pad: 0,
    };

    // Stream bytes not yet copied.
    let mut remaining = source.length;
    // Rest of the current buffer.
    let mut base = source.buffer;
    let mut left = if source.buffer == 0 { 0 } else { source.length };
    let mut iov = source.iov;
    let mut iovs = source.iov_count;
    // Payload bytes in the scratch buffer.
    let mut used = 0_u32;
    let mut fault = source.buffer == 0 && source.iov_count == 0;

    for _ in 0..CALL_PIECES {
        if remaining == 0 {
            break;
        }
        if left == 0 {
            if iovs == 0 {
                break;
            }
            // SAFETY: a failing read is a fault, handled below.
            let Ok(next) = (unsafe { bpf_probe_read_user(iov as *const Iovec) }) else {
                fault = true;
                break;
            };
            base = next.base;
            left = if next.length > u64::from(remaining) { remaining } else { next.length as u32 };
            iov += size_of::<Iovec>() as u64;
            iovs -= 1;
            continue;
        }
        let at = used & (FRAGMENT - 1);
        let room = FRAGMENT - at;
        let mut take = if left > room { room } else { left };
        take = bounded(take);
        // SAFETY: `at` is below FRAGMENT and `take` at most FRAGMENT: inside the payload.
        let read = unsafe {
            generated::bpf_probe_read_user(
                scratch.payload.as_mut_ptr().add(at as usize).cast(),
                take,
                base as *const _,
            )
        };
        if read != 0 {
            fault = true;
            break;
        }
        base += u64::from(take);
        left -= take;
        remaining -= take;
        used = at + take;
        if used >= FRAGMENT {
            flush(scratch, FRAGMENT, FRAGMENT, 0);
            used = 0;
        }
    }

    if used == 0 && remaining == 0 {
        return;
    }
    let mut flags = 0;
    if remaining != 0 && fault {
        flags = flag::READ_FAULT;
        count_loss(loss::READ_FAULT);
    } else if remaining != 0 {
        flags = flag::CAPTURE_LIMIT;
        count_loss(loss::CAPTURE_LIMIT);
    }
    flush(scratch, used, used + remaining, flags);
}

/// Tells the verifier the range of a copy's length, which it may lose through a spill.
#[inline(always)]
fn bounded(mut take: u32) -> u32 {
    // SAFETY: leaves the value as it is; the optimiser must not know that.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) take, options(pure, nomem, nostack)) };
    if take > FRAGMENT { FRAGMENT } else { take }
}

/// Writes the scratch buffer's first `captured` bytes as a record for `length` stream bytes.
#[inline(always)]
fn flush(scratch: &mut Scratch, captured: u32, length: u32, flags: u16) {
    let captured = bounded(captured);
    let size = size_of::<ChunkRecord>() as u32 + captured;
    scratch.record.header.size = size;
    scratch.record.header.flags = flags;
    scratch.record.length = length;
    scratch.record.captured = captured;
    // SAFETY: record and payload are adjacent, and `captured` is at most FRAGMENT.
    if !unsafe { output(core::ptr::from_ref(scratch).cast(), u64::from(size)) } {
        count_loss(loss::RING_FULL);
    }
    scratch.record.offset += u64::from(length);
}
