//! Scheduling of watched threads: when each ran, waited for a CPU (and who ran instead) or was
//! blocked (in what, and who woke it).
//!
//! match-proto: `sched_switch(bool preempt, struct task_struct *prev, struct task_struct *next,
//! unsigned int prev_state)`, from Linux 5.19; `sched_waking(struct task_struct *p)`.
//!
//! Raw tracepoints rather than classic ones, because every context switch of the host passes here
//! and a raw one copies nothing. A `task_struct` is known by its address alone and never read, so
//! that no layout is assumed. Threads of other processes appear only as what ran on a CPU. Short
//! stretches are summed per thread; a record is written when one is longer than `SCHED_STRETCH`, or
//! after `SCHED_SUM_NS`.
//!
//! What it costs processes that are not watched, on Linux 6.18 (2 CPUs of an AMD EPYC, shared): two
//! processes that pass a byte to and fro through pipes on one CPU, at real-time priority (4.0 µs for a
//! write, a wake-up, a switch and a read), pay 0.34 µs more (median of 9 alternating rounds), beside
//! the 0.33 µs of the syscall hooks. That is why following is off until it is asked for.

mod runs;
mod thread;
mod wait;

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_get_current_task, bpf_ktime_get_ns},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};

use crate::{
    call::process,
    maps::{CPU_RUNS, SCHED_THREADS},
};
pub use runs::CpuRuns;
pub use thread::SchedThread;

/// The task is gone after this switch (`TASK_DEAD`). Source: include/linux/sched.h.
const TASK_DEAD: u64 = 0x80;

/// The CPU leaves one task for another. The current task is still the one it leaves.
#[raw_tracepoint(tracepoint = "sched_switch")]
pub fn sched_switch(ctx: RawTracePointContext) -> i32 {
    // SAFETY: no argument, no side effect.
    let now = unsafe { bpf_ktime_get_ns() };
    let current = bpf_get_current_pid_tgid();
    let tgid = (current >> 32) as u32;
    let Some(cpu) = CPU_RUNS.get_ptr_mut(0) else {
        return 0;
    };
    let since = runs::ended(cpu, current, now);
    if tgid != 0 && process(current).is_some() {
        let (preempted, prev, state): (u64, u64, u64) = (ctx.arg(0), ctx.arg(1), ctx.arg(3));
        if state & TASK_DEAD == 0 {
            let manner = (preempted != 0, state);
            thread::left(prev, current, manner, (cpu, since), now);
        } else {
            // Absent when it never left a CPU while its process was watched.
            let _absent = SCHED_THREADS.remove(prev);
        }
    }
    let next: u64 = ctx.arg(2);
    if let Some(thread) = SCHED_THREADS.get_ptr_mut(next) {
        thread::arrived(thread, cpu, now);
    }
    0
}

/// A task is woken, by the current one or by an interrupt on top of it.
#[raw_tracepoint(tracepoint = "sched_waking")]
pub fn sched_waking(ctx: RawTracePointContext) -> i32 {
    let task: u64 = ctx.arg(0);
    if let Some(thread) = SCHED_THREADS.get_ptr_mut(task) {
        thread::woken(thread);
    }
    0
}

/// The current thread's send found no room in a watched socket; whether the thread is followed.
#[inline(always)]
pub fn send_refused() -> bool {
    // SAFETY: no argument, no side effect; the address is not followed.
    let task = unsafe { bpf_get_current_task() };
    let Some(thread) = SCHED_THREADS.get_ptr_mut(task) else {
        return false;
    };
    // SAFETY: only this thread writes the field; no argument, no side effect.
    unsafe { (*thread).record.refused_ns = bpf_ktime_get_ns() }
    true
}
