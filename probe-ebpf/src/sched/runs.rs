//! What ran on a CPU of late: who had it while a watched thread waited for it.

use aya_ebpf::helpers::bpf_get_current_comm;
use probe_abi::{COMM_BYTES, SCHED_RUN_NS, SCHED_RUNS, SchedRecord};

/// One stretch of one thread on the CPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Run {
    start: u64,
    end: u64,
    tgid: u32,
    tid: u32,
    comm: [u8; COMM_BYTES],
}

/// The CPU's latest stretches that were long enough to matter.
#[repr(C)]
pub struct CpuRuns {
    /// When the current task came.
    since: u64,
    /// Stretches remembered so far.
    count: u64,
    /// The longest that a search has come by, and where it is. They are written and read here at every turn, as of
    /// values in registers the verifier would follow each way through all turns.
    longest: u64,
    found: usize,
    runs: [Run; SCHED_RUNS],
}

/// The current task leaves the CPU; gives since when it had it, 0 where that was not seen.
#[inline(always)]
pub fn ended(cpu: *mut CpuRuns, current: u64, now: u64) -> u64 {
    // SAFETY: the value is this CPU's, and preemption is off in a tracepoint.
    let cpu = unsafe { &mut *cpu };
    let since = cpu.since;
    cpu.since = now;
    // The idle task takes the CPU from nobody.
    if since == 0 || now - since < SCHED_RUN_NS || current == 0 {
        return since;
    }
    let slot = cpu.count as usize & (SCHED_RUNS - 1);
    cpu.count += 1;
    let run = &mut cpu.runs[slot];
    run.start = since;
    run.end = now;
    run.tgid = (current >> 32) as u32;
    run.tid = current as u32;
    run.comm = bpf_get_current_comm().unwrap_or_default();
    since
}

/// Writes down who ran longest on this CPU since `from`: the process of the longest stretch, with
/// the sum of its stretches.
#[inline(always)]
pub fn longest(cpu: *mut CpuRuns, from: u64, record: &mut SchedRecord) {
    // SAFETY: as in `ended`.
    let (longest, found, runs) = unsafe {
        let longest = &raw mut (*cpu).longest;
        (longest, &raw mut (*cpu).found, &(*cpu).runs)
    };
    // SAFETY: as above; nobody else has these two words.
    unsafe {
        longest.write_volatile(0);
        found.write_volatile(0);
    }
    for (index, run) in runs.iter().enumerate() {
        // One that was switched to unseen may have the time of what ran before it.
        if run.tid == record.header.tid {
            continue;
        }
        let overlap = overlap(run, from);
        // SAFETY: as above.
        unsafe {
            if overlap > longest.read_volatile() {
                longest.write_volatile(overlap);
                found.write_volatile(index);
            }
        }
    }
    // SAFETY: as above.
    let (longest, found) = unsafe { (longest.read_volatile(), found.read_volatile()) };
    if longest == 0 {
        return;
    }
    let run = &runs[found & (SCHED_RUNS - 1)];
    record.runner_tgid = run.tgid;
    record.runner_tid = run.tid;
    record.runner_comm = run.comm;
    let mut sum = 0;
    for other in runs {
        if other.tgid == run.tgid && other.tid != record.header.tid {
            sum += overlap(other, from);
        }
    }
    record.runner_ns = sum;
}

/// Nanoseconds of a stretch after `from`.
#[inline(always)]
fn overlap(run: &Run, from: u64) -> u64 {
    if run.end <= from {
        0
    } else if run.start > from {
        run.end - run.start
    } else {
        run.end - from
    }
}
