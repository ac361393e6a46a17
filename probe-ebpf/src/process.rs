//! Processes: made, executing another program, ended.
//!
//! Classic tracepoints rather than BTF ones: they exist on every kernel and need no BTF, and these
//! events are rare.

use aya_ebpf::{
    EbpfContext, helpers::bpf_get_current_pid_tgid, macros::tracepoint, programs::TracePointContext,
};
use aya_log_ebpf::debug;
use probe_abi::{INHERITED_FDS, Process, ProcessRecord, kind, loss, process_flag};

use crate::{
    call::{socket, watch, watched},
    descriptor::duplicate,
    emit::{control, count_loss, header, urgent},
    maps::{CALLS, MOVES, PROCESSES},
};

/// Source: include/uapi/linux/sched.h.
const CLONE_FILES: u64 = 0x0000_0400;
const CLONE_THREAD: u64 = 0x0001_0000;

/// Fields of `task:task_newtask` (its `format` file): `pid`, `comm[16]`, `clone_flags`.
const NEWTASK_PID: usize = 8;
const NEWTASK_CLONE_FLAGS: usize = 32;

/// A process was made. The child of a watched one is watched from its first instruction.
#[tracepoint]
pub fn process_fork(ctx: TracePointContext) -> u32 {
    let fields = ctx.as_ptr().cast::<u8>();
    // SAFETY: the kernel checks at attach time that the tracepoint has these fields.
    let (child, flags) = unsafe {
        (
            *fields.add(NEWTASK_PID).cast::<u32>(),
            *fields.add(NEWTASK_CLONE_FLAGS).cast::<u64>(),
        )
    };
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    // An id is free only when all of its process is gone.
    if PROCESSES.remove(child).is_ok() {
        gone(child);
    }
    let Some(parent) = watched() else { return 0 };
    let shared = flags & CLONE_FILES != 0;
    let files = if shared { parent.files } else { child };
    let process = Process {
        files,
        flags: 0,
        since_ns: parent.since_ns,
    };
    if !watch(child, &process) {
        count_loss(loss::MAP_FULL);
        return 0;
    }
    let parent_files = parent.files;
    let mut header = header::<ProcessRecord>(kind::FORK);
    let parent = header.tgid;
    header.tgid = child;
    header.tid = child;
    control(&ProcessRecord {
        header,
        parent,
        files,
        shared_files: u32::from(shared),
        pad: 0,
    });
    if !shared {
        inherit(parent_files, files);
    }
    // After the loop: the verifier follows each way into it by itself.
    debug!(&ctx, "process {} made process {}", parent, child);
    0
}

/// A watched process is gone, and its id given to another one.
fn gone(tgid: u32) {
    let mut header = header::<ProcessRecord>(kind::GONE);
    header.tgid = tgid;
    header.tid = tgid;
    control(&ProcessRecord {
        header,
        parent: 0,
        files: tgid,
        shared_files: 0,
        pad: 0,
    });
}

/// A child has its parent's connections. It does not run yet, and its parent is here: nothing
/// changes meanwhile but by the parent's other threads.
fn inherit(parent: u32, child: u32) {
    for fd in 0..INHERITED_FDS {
        inherit_one(parent, child, fd);
    }
}

/// A function of the object, so that nothing of one turn is left in the next: the verifier follows each way through
/// a turn once, and not each way through all of them.
#[inline(never)]
fn inherit_one(parent: u32, child: u32, fd: i32) {
    if let Some(entry) = socket(parent, fd) {
        duplicate(entry.connection, child, fd);
    }
}

/// Any process executed a program: the agent decides whether to watch it, at once, because a program
/// may open its first connection milliseconds later.
#[tracepoint]
pub fn process_exec(_ctx: TracePointContext) -> u32 {
    let header = header::<ProcessRecord>(kind::EXEC);
    let files = PROCESSES.get_ptr_mut(header.tgid).map_or(0, |process| {
        // SAFETY: the value lives as long as the program runs; the other threads are gone at `exec`.
        unsafe {
            (*process).flags |= process_flag::DESCRIPTORS_UNKNOWN;
            (*process).files
        }
    });
    urgent(&ProcessRecord {
        header,
        parent: 0,
        files,
        shared_files: 0,
        pad: 0,
    });
    0
}

/// A task ended. The agent removes the process when all of it is gone.
#[tracepoint]
pub fn process_exit(_ctx: TracePointContext) -> u32 {
    let Some(process) = watched() else { return 0 };
    let pid_tgid = bpf_get_current_pid_tgid();
    // Absent when the thread never was in a call that matters.
    let _absent = CALLS.remove(pid_tgid);
    let _absent = MOVES.remove(pid_tgid);
    if (pid_tgid >> 32) as u32 == pid_tgid as u32 {
        let header = header::<ProcessRecord>(kind::EXIT);
        let files = process.files;
        control(&ProcessRecord {
            header,
            parent: 0,
            files,
            shared_files: 0,
            pad: 0,
        });
    }
    0
}
