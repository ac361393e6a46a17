//! One watched thread, from leaving a CPU to being on one again.

use aya_ebpf::helpers::{
    bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns,
};
use probe_abi::{COMM_BYTES, SCHED_STRETCH_NS, SCHED_SUM_NS, SchedRecord, kind, left, loss};

use super::{runs, runs::CpuRuns, wait};
use crate::{
    emit::{count_loss, filled, output},
    maps::SCHED_THREADS,
};

/// Shortest stretch that makes a record of its own, nanoseconds. The agent sets it.
#[unsafe(no_mangle)]
static SCHED_STRETCH: u64 = SCHED_STRETCH_NS;

/// Task states. Source: include/linux/sched.h.
const TASK_UNINTERRUPTIBLE: u64 = 0x2;
const TASK_STOPPED_OR_TRACED: u64 = 0x4 | 0x8;
const TASK_NOLOAD: u64 = 0x400;
const TASK_FROZEN: u64 = 0x8000;

/// What is kept of a thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SchedThread {
    /// The record being put together.
    pub record: SchedRecord,
    /// Since when it is on a CPU.
    on_ns: u64,
    /// Whether it is off every CPU (1).
    is_off: u64,
}

/// The bound, as the agent set it.
#[inline(always)]
fn stretch_ns() -> u64 {
    // SAFETY: the value is constant once the program is loaded; the compiler must not assume it.
    unsafe { (&raw const SCHED_STRETCH).read_volatile() }
}

/// The current thread leaves its CPU, on which something was switched to last at `since`.
#[inline(always)]
pub fn left(
    task: u64,
    current: u64,
    (preempted, state): (bool, u64),
    (cpu, since): (*mut CpuRuns, u64),
    now: u64,
) {
    let thread = match SCHED_THREADS.get_ptr_mut(task) {
        Some(thread) => thread,
        None => {
            let thread = SchedThread {
                record: SchedRecord::default(),
                on_ns: 0,
                is_off: 0,
            };
            // Fails only where no entry can be made free: then the thread is not followed.
            let _full = SCHED_THREADS.insert(task, thread, 0);
            let Some(thread) = SCHED_THREADS.get_ptr_mut(task) else {
                return;
            };
            thread
        }
    };
    // SAFETY: a thread is on one CPU at a time; a waker writes only the fields of `woken`.
    let followed = unsafe { (*thread).on_ns != 0 && (*thread).record.header.tid == current as u32 };
    // SAFETY: as above.
    if followed && unsafe { (*thread).is_off } != 0 {
        // The switch to it was not told: seen on Linux 6.18 of switches from a sandbox's own threads.
        // It came after the last one that was, and after the thread was woken.
        // SAFETY: as above.
        let earliest = unsafe { since.max((*thread).record.wake_ns) };
        // SAFETY: as above.
        arrived(
            thread,
            cpu,
            earliest.max(unsafe { (*thread).record.off_ns }),
        );
    }
    // SAFETY: as above.
    let thread = unsafe { &mut *thread };
    let record = &mut thread.record;
    // New, or the address is another thread's now: what came before is not known.
    if !followed {
        thread.on_ns = if since == 0 { now } else { since };
        record.since_ns = thread.on_ns;
        record.short_run_ns = 0;
        record.short_blocked_ns = 0;
        record.short_waiting_ns = 0;
        record.refused_ns = 0;
    }
    record.header.tgid = (current >> 32) as u32;
    record.header.tid = current as u32;
    record.run_ns = thread.on_ns;
    record.off_ns = now;
    record.deadline_ns = 0;
    record.waker_tgid = 0;
    record.waker_tid = 0;
    record.waker_in = 0;
    record.runner_tgid = 0;
    record.runner_tid = 0;
    record.runner_ns = 0;
    record.left = manner(preempted, state);
    record.wake_ns = if record.left == left::RUNNABLE {
        now
    } else {
        0
    };
    let inside = wait::inside(current);
    record.wait = inside.wait;
    record.syscall = inside.number;
    if record.left == left::SLEEPING {
        record.deadline_ns = wait::deadline(&inside, now);
    }
    thread.is_off = 1;
}

/// One of `probe_abi::left`.
#[inline(always)]
fn manner(preempted: bool, state: u64) -> u8 {
    if preempted || state == 0 {
        left::RUNNABLE
    } else if state & (TASK_STOPPED_OR_TRACED | TASK_FROZEN) != 0 {
        left::STOPPED
    } else if state & TASK_UNINTERRUPTIBLE != 0 && state & TASK_NOLOAD == 0 {
        left::UNINTERRUPTIBLE
    } else {
        left::SLEEPING
    }
}

/// The thread may run again: the current task, or an interrupt on top of it, woke it.
#[inline(always)]
pub fn woken(thread: *mut SchedThread) {
    // SAFETY: the fields written here are the waker's while the thread is off.
    let thread = unsafe { &mut *thread };
    let record = &mut thread.record;
    if thread.is_off == 0 || record.wake_ns != 0 {
        return;
    }
    // SAFETY: no argument, no side effect.
    let now = unsafe { bpf_ktime_get_ns() };
    record.wake_ns = now;
    if now - record.off_ns < stretch_ns() {
        return;
    }
    let waker = bpf_get_current_pid_tgid();
    record.waker_tgid = (waker >> 32) as u32;
    record.waker_tid = waker as u32;
    record.waker_comm = bpf_get_current_comm().unwrap_or_default();
    if waker != 0 {
        record.waker_in = wait::inside(waker).wait;
    }
}

/// The thread is on a CPU again.
#[inline(always)]
pub fn arrived(thread: *mut SchedThread, cpu: *mut CpuRuns, now: u64) {
    // SAFETY: as in `left`.
    let thread = unsafe { &mut *thread };
    if thread.is_off == 0 {
        return;
    }
    thread.is_off = 0;
    thread.on_ns = now;
    let record = &mut thread.record;
    if record.wake_ns == 0 {
        record.wake_ns = now;
    }
    let run = record.off_ns - record.run_ns;
    let blocked = record.wake_ns - record.off_ns;
    let waiting = now - record.wake_ns;
    let long = stretch_ns();
    if run < long && blocked < long && waiting < long && now - record.since_ns < SCHED_SUM_NS {
        record.short_run_ns += run;
        record.short_blocked_ns += blocked;
        record.short_waiting_ns += waiting;
        return;
    }
    record.runner_comm = [0; COMM_BYTES];
    if waiting >= long {
        runs::longest(cpu, record.wake_ns, record);
    }
    record.header.kind = kind::SCHED;
    record.header.size = size_of::<SchedRecord>() as u32;
    record.header.time_ns = now;
    // SAFETY: no argument, no side effect.
    record.cpu = unsafe { bpf_get_smp_processor_id() };
    // SAFETY: the record is `size_of::<SchedRecord>()` initialised bytes of the map's value.
    let written = unsafe {
        output(
            core::ptr::from_ref(record).cast(),
            size_of::<SchedRecord>() as u64,
            filled(),
        )
    };
    if !written {
        count_loss(loss::RING_FULL_SCHED);
    }
    record.since_ns = now;
    record.short_run_ns = 0;
    record.short_blocked_ns = 0;
    record.short_waiting_ns = 0;
    record.refused_ns = 0;
    record.waker_comm = [0; COMM_BYTES];
}
