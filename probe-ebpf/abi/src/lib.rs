//! The contract between the eBPF programs and the agent.
//!
//! Plain data only: `repr(C)`, fixed-width integers, explicit padding, sizes asserted at compile
//! time. A flag is an integer and never a `bool`, so that no bit pattern the kernel side can write
//! is undefined on the user side. The records say what happened on a socket, not which kind of hook
//! saw it: every hook back end emits the same ones.

#![no_std]

mod files;
mod layout;
mod limits;
mod maps;
mod records;

pub use files::{FileEntry, FileOpenRecord, FileRecord, PathKey};
pub use layout::Layout;
pub use limits::{
    CALL_PIECES, COMM_BYTES, FILE_REPORT_NS, FRAGMENT_BYTES, HEAD_BYTES, INHERITED_FDS,
    MAX_CONNECTIONS, MAX_FDS, MAX_FILES, MAX_HOOK_CALLS, MAX_MAPPINGS, MAX_MESSAGES,
    MAX_NOT_STREAMS, MAX_ORIGINS, MAX_PROCESSES, MAX_ROOTS, MAX_SCHED_THREADS, MAX_SENDERS,
    MAX_THREADS, MIN_UNREAD_BYTES, PATH_BYTES, RING_BYTES, ROOT_BYTES, SCHED_RUN_NS, SCHED_RUNS,
    SCHED_STRETCH_NS, SCHED_SUM_NS, SHED_BYTES, SHED_CONTENT_BYTES, SOCKADDR_BYTES, TAIL_BYTES,
    WAKEUP_BYTES, WAKEUP_STEP_BYTES, WATCHED_SLOTS,
};
pub use maps::{
    Connection, FdEntry, FdKey, Process, USER_CONNECTION, connection_id, global, map, place,
    process_flag, program,
};
pub use records::{
    ChunkRecord, CloseRecord, DupRecord, EndRecord, HookRecord, OpenRecord, ProcessRecord,
    RecordHeader, SchedRecord, call, direction, flag, hook_event, kind, left, loss, origin, wait,
};
