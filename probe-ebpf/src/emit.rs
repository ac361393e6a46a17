//! Writing records to the ring, and counting those that could not be written.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_ringbuf_output,
    },
};
use probe_abi::{
    HEAD_BYTES, RecordHeader, SHED_BYTES, SHED_CONTENT_BYTES, WAKEUP_BYTES, WAKEUP_STEP_BYTES, loss,
};

use crate::maps::{LOSSES, RECORDS, UNWOKEN};

/// Set by the agent before the programs are loaded: of 2^32 records, how many find the ring full though
/// it is not. 0 but in tests of what losses do.
#[unsafe(no_mangle)]
static REFUSED_RECORDS: u32 = 0;

/// Counts one thing that was not recorded.
#[inline(always)]
pub fn count_loss(reason: u32) {
    if let Some(counter) = LOSSES.get_ptr_mut(reason) {
        // SAFETY: the pointer is to this CPU's value. Preemption is off in a tracepoint; in a uprobe
        // another one on the same CPU may at worst undo this count.
        unsafe { *counter += 1 }
    }
}

/// Bytes in the ring that the agent has not read.
#[inline(always)]
pub fn filled() -> u64 {
    RECORDS.query(u64::from(BPF_RB_AVAIL_DATA))
}

/// The agent comes by every 50 ms by itself; it is woken only when the ring fills up, and by each CPU
/// then only once in many records, because a wake-up costs the watched thread several times what the record does.
#[inline(always)]
fn wakeup(filled: u64, size: u64) -> u64 {
    let quiet = u64::from(BPF_RB_NO_WAKEUP);
    if filled < WAKEUP_BYTES {
        return quiet;
    }
    let Some(unwoken) = UNWOKEN.get_ptr_mut(0) else {
        return quiet;
    };
    // SAFETY: the pointer is to this CPU's value. Where another program comes between, the agent is woken
    // a few records earlier or later.
    unsafe {
        *unwoken += size;
        if *unwoken < WAKEUP_STEP_BYTES {
            return quiet;
        }
        *unwoken = 0;
    }
    u64::from(BPF_RB_FORCE_WAKEUP)
}

/// Bytes of a call that may be captured: fewer where the ring fills up.
#[inline(always)]
pub fn allowance(filled: u64) -> u32 {
    match filled {
        SHED_BYTES.. => 0,
        SHED_CONTENT_BYTES.. => HEAD_BYTES,
        _ => u32::MAX,
    }
}

/// A header for a record of type `T` that happens now, on the current thread.
#[inline(always)]
pub fn header<T>(kind: u16) -> RecordHeader {
    let pid_tgid = bpf_get_current_pid_tgid();
    RecordHeader {
        kind,
        flags: 0,
        size: size_of::<T>() as u32,
        // SAFETY: no argument, no side effect.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid: (pid_tgid >> 32) as u32,
        tid: pid_tgid as u32,
    }
}

/// Writes a record of fixed size. `T` is one of `probe_abi`'s records: plain data without padding.
#[inline(always)]
pub fn control<T>(record: &T) {
    write(record, wakeup(filled(), size_of::<T>() as u64));
}

/// Writes a record of fixed size that the agent has to see at once.
#[inline(always)]
pub fn urgent<T>(record: &T) {
    write(record, u64::from(BPF_RB_FORCE_WAKEUP));
}

#[inline(always)]
fn write<T>(record: &T, wakeup: u64) {
    let bytes = core::ptr::from_ref(record).cast();
    // SAFETY: the record is `size_of::<T>()` initialised bytes.
    let written = unsafe { output_with(bytes, size_of::<T>() as u64, wakeup) };
    if !written {
        count_loss(loss::RING_FULL_CONTROL);
    }
}

/// Whether a test wants the ring to be full for this record.
#[inline(always)]
fn is_refused() -> bool {
    // SAFETY: a constant of the program; volatile, because it is not the one compiled here.
    let share = unsafe { (&raw const REFUSED_RECORDS).read_volatile() };
    // SAFETY: no argument, no side effect.
    share != 0 && unsafe { bpf_get_prandom_u32() } < share
}

/// Writes `size` bytes to the ring, of which so much is filled; false when it is full.
///
/// # Safety
/// `bytes` points to at least `size` initialised bytes.
#[inline(always)]
pub unsafe fn output(bytes: *const u8, size: u64, filled: u64) -> bool {
    // SAFETY: the caller vouches for the bytes.
    unsafe { output_with(bytes, size, wakeup(filled, size)) }
}

/// # Safety
/// `bytes` points to at least `size` initialised bytes.
#[inline(always)]
unsafe fn output_with(bytes: *const u8, size: u64, wakeup: u64) -> bool {
    if is_refused() {
        return false;
    }
    // SAFETY: the map exists; the caller vouches for the bytes.
    let result = unsafe {
        bpf_ringbuf_output(
            (&raw const RECORDS).cast_mut().cast(),
            bytes.cast_mut().cast(),
            size,
            wakeup,
        )
    };
    result == 0
}
