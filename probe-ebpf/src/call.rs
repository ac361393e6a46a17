//! What a thread's call in flight is about, kept from its entry to its return.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use probe_abi::{FdEntry, FdKey, Process, WATCHED_SLOTS};

use crate::{
    maps::{CALLS, FDS, PROCESSES, WATCHED},
    values::Call,
};

/// The current process, if it is watched.
#[inline(always)]
pub fn watched() -> Option<&'static Process> {
    process(bpf_get_current_pid_tgid())
}

/// The process of a thread (`bpf_get_current_pid_tgid`), if it is watched.
#[inline(always)]
pub fn process(thread: u64) -> Option<&'static Process> {
    if !may_be_watched(thread) {
        return None;
    }
    let tgid = (thread >> 32) as u32;
    // SAFETY: the agent writes entries once; a torn read of `files` is not possible (aligned u32).
    unsafe { PROCESSES.get_ptr(tgid).map(|process| &*process) }
}

/// Whether the process of a thread is watched, or shares its slot with one that is or was: what says no is no
/// call, and nearly every process of a host is told so.
#[inline(always)]
pub fn may_be_watched(thread: u64) -> bool {
    let slot = (thread >> 32) as u32 & (WATCHED_SLOTS - 1);
    WATCHED.get(slot).is_some_and(|watched| *watched != 0)
}

/// Watches a process, which the current one made; false when the map is full.
#[inline(always)]
pub fn watch(tgid: u32, process: &Process) -> bool {
    if let Some(watched) = WATCHED.get_ptr_mut(tgid & (WATCHED_SLOTS - 1)) {
        // SAFETY: an aligned word, to which nobody writes anything else.
        unsafe { *watched = 1 }
    }
    PROCESSES.insert(tgid, process, 0).is_ok()
}

/// The stream socket behind a descriptor, if it is one.
#[inline(always)]
pub fn socket(files: u32, fd: i32) -> Option<FdEntry> {
    // SAFETY: entries are eight aligned bytes, written at once.
    unsafe { FDS.get_ptr(FdKey { files, fd }).map(|entry| *entry) }
}

/// Remembers a call until its return.
#[inline(always)]
pub fn begin(call: u8, number: u32, files: u32, connection: u64, fd: i32, args: [u64; 3]) {
    let thread = bpf_get_current_pid_tgid();
    let call = Call {
        connection,
        // SAFETY: no argument, no side effect.
        enter_ns: unsafe { bpf_ktime_get_ns() },
        args,
        fd,
        files,
        call: u32::from(call),
        number,
        thread,
    };
    match CALLS.get_ptr_mut(thread) {
        // SAFETY: only this thread uses the entry.
        Some(entry) => unsafe { *entry = call },
        None => drop(CALLS.insert(thread, call, 0)),
    }
}

/// The call the current thread returns from, if it was remembered. `number` is the syscall's.
///
/// The kernel skips a tracepoint's program while the CPU is inside another tracing program or a
/// map operation of the agent, so that a return can be missed: what was remembered for another
/// syscall is not this one's.
#[inline(always)]
pub fn finish(number: u32) -> Option<Call> {
    let entry = CALLS.get_ptr_mut(bpf_get_current_pid_tgid())?;
    // SAFETY: only this thread uses the entry.
    let call = unsafe { *entry };
    if call.call == 0 {
        return None;
    }
    // SAFETY: as above.
    unsafe { (*entry).call = 0 };
    (number == call.number).then_some(call)
}

/// Whether the current thread was in no call that matters yet: the one that it returns from may have
/// begun before its process was watched. True once.
#[inline(always)]
pub fn is_first() -> bool {
    let thread = bpf_get_current_pid_tgid();
    if CALLS.get_ptr(thread).is_some() {
        return false;
    }
    begin(0, u32::MAX, 0, 0, -1, [0; 3]);
    true
}
