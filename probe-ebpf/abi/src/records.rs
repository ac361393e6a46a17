//! Records of the ring buffer. Each starts with a [`RecordHeader`].
//!
//! Times are `bpf_ktime_get_ns`: nanoseconds of the kernel's monotonic clock.

use crate::{COMM_BYTES, SOCKADDR_BYTES};

/// Kinds of records. Families are ten apart, so that each has room to grow.
pub mod kind {
    /// Bytes moved: [`crate::ChunkRecord`].
    pub const CHUNK: u16 = 1;
    /// The peer closed its sending side (a receive returned 0): [`crate::EndRecord`].
    pub const END: u16 = 2;
    /// The process shut a side down: [`crate::EndRecord`].
    pub const SHUTDOWN: u16 = 3;
    /// The connection failed (reset, refused, timed out): [`crate::EndRecord`].
    pub const FAILURE: u16 = 4;
    /// A send found no room in the socket (`EAGAIN`), told once for each `offset`, of threads whose
    /// scheduling is followed: [`crate::EndRecord`].
    pub const REFUSED: u16 = 5;

    /// A connection was accepted or started: [`crate::OpenRecord`].
    pub const OPEN: u16 = 10;
    /// A descriptor was closed: [`crate::CloseRecord`].
    pub const CLOSE: u16 = 11;
    /// A descriptor was duplicated: [`crate::DupRecord`].
    pub const DUP: u16 = 12;
    /// A connection's socket is gone, with all its descriptors: [`crate::CloseRecord`] without one.
    pub const SOCKET_CLOSED: u16 = 13;

    /// A watched process made a process: [`crate::ProcessRecord`].
    pub const FORK: u16 = 20;
    /// Any process executed a program: [`crate::ProcessRecord`].
    pub const EXEC: u16 = 21;
    /// A watched process ended: [`crate::ProcessRecord`].
    pub const EXIT: u16 = 22;
    /// A watched process's descriptors changed in a way no record describes (`close_range`, and
    /// descriptors received in a message).
    pub const FDS_CHANGED: u16 = 23;
    /// A watched process is gone: its id was given to another one. [`crate::ProcessRecord`].
    pub const GONE: u16 = 24;

    /// A hooked library function was called: [`crate::HookRecord`].
    pub const HOOK: u16 = 30;
    /// A file was opened: [`crate::FileOpenRecord`].
    pub const FILE_OPEN: u16 = 40;
    /// A file was read, since the last such record: [`crate::FileRecord`].
    pub const FILE_READ: u16 = 41;
    /// A file was mapped into memory: [`crate::FileRecord`].
    pub const FILE_MAP: u16 = 42;
    /// A mapping of a file was taken away: [`crate::FileRecord`].
    pub const FILE_UNMAP: u16 = 43;
    /// A file got another descriptor: [`crate::FileRecord`].
    pub const FILE_DUP: u16 = 44;
    /// A descriptor of a file was closed: [`crate::FileRecord`].
    pub const FILE_CLOSE: u16 = 45;
    /// A thread of a watched process is on a CPU again: [`crate::SchedRecord`].
    pub const SCHED: u16 = 50;
}

/// Directions of a stream, as the watched process sees it; also indices of
/// [`crate::Connection::offset`].
pub mod direction {
    /// The watched process wrote.
    pub const SENT: u8 = 0;
    /// The watched process read.
    pub const RECEIVED: u8 = 1;
}

/// How a connection began, in [`crate::OpenRecord::origin`].
pub mod origin {
    /// Not told; the process moved every byte of it since it is watched.
    pub const UNKNOWN: u8 = 0;
    /// The watched process accepted it.
    pub const ACCEPTED: u8 = 1;
    /// The watched process connected.
    pub const CONNECTED: u8 = 2;
    /// Not told; bytes may have moved before.
    pub const LATE: u8 = 3;
}

/// Flags of [`crate::RecordHeader`].
pub mod flag {
    /// The payload could not be read from user memory; `captured` is less than `length`.
    pub const READ_FAULT: u16 = 1;
    /// The call moved more than one capture holds; `captured` is less than `length`.
    pub const CAPTURE_LIMIT: u16 = 2;
    /// The ring was filling up, so that less was captured; `captured` is less than `length`.
    pub const SHED: u16 = 4;
}

/// Reasons for which something was not recorded; indices of the `LOSSES` map.
pub mod loss {
    /// The ring was full: a chunk record was not written.
    pub const RING_FULL: u32 = 0;
    /// The ring was full: a record other than a chunk was not written.
    pub const RING_FULL_CONTROL: u32 = 1;
    /// Bytes beyond the capture limit of a call (counted per call).
    pub const CAPTURE_LIMIT: u32 = 2;
    /// User memory could not be read.
    pub const READ_FAULT: u32 = 3;
    /// `PROCESSES`, `FDS` or `CONNECTIONS` was full.
    pub const MAP_FULL: u32 = 4;
    /// The ring was full: a record of a hooked call was not written.
    pub const RING_FULL_HOOK: u32 = 5;
    /// A hooked function returned whose entry was forgotten.
    pub const HOOK_UNPAIRED: u32 = 6;
    /// The ring was full: scheduling of a thread was not told.
    pub const RING_FULL_SCHED: u32 = 7;
    /// Bytes moved whose place in their stream nobody can tell (counted per call): the return of a socket's
    /// function was not seen, or, before Linux 5.12, two threads used a socket at the same moment.
    pub const UNPLACED: u32 = 8;
    /// The ring was filling up: the first bytes of a call were captured, or none, but when it was and how
    /// many it moved (counted per call).
    pub const SHED: u32 = 9;
    /// Number of reasons.
    pub const COUNT: u32 = 10;
}

/// What a hook at a library function tells of its calls: the upper half of the attach cookie, whose
/// lower half is the attachment's number; and [`crate::HookRecord::event`].
pub mod hook_event {
    /// Each entry.
    pub const ENTERED: u32 = 1;
    /// Each return, with its entry.
    pub const RETURNED: u32 = 2;
    /// Each entry of the function that makes an instance start anew.
    pub const RESET: u32 = 3;
}

/// What a thread was inside when it left its CPU, in [`crate::SchedRecord::wait`] and
/// [`crate::SchedRecord::waker_in`].
pub mod wait {
    /// User code: preempted, a page fault, or another exception.
    pub const USER: u8 = 0;
    /// `futex`: a lock, a condition variable, a channel between threads.
    pub const FUTEX: u8 = 1;
    /// `epoll_wait`, `poll`, `select` and their variants: readiness or time.
    pub const READINESS: u8 = 2;
    /// `nanosleep`, `clock_nanosleep`.
    pub const SLEEP: u8 = 3;
    /// A sending call on a watched stream socket.
    pub const SEND: u8 = 4;
    /// A receiving call on a watched stream socket.
    pub const RECEIVE: u8 = 5;
    /// `read`, `write` and the like on anything else; `fsync`, `openat` …
    pub const FILE: u8 = 6;
    /// `ioctl`: a driver.
    pub const IOCTL: u8 = 7;
    /// Memory management: `mmap`, `munmap`, `madvise`, `mprotect`, `brk`.
    pub const MEMORY: u8 = 8;
    /// Another syscall.
    pub const OTHER: u8 = 9;
}

/// How a thread left its CPU, in [`crate::SchedRecord::left`].
pub mod left {
    /// Preempted, or it yielded: it wanted to run on.
    pub const RUNNABLE: u8 = 0;
    /// Interruptible sleep (`S`).
    pub const SLEEPING: u8 = 1;
    /// Uninterruptible sleep (`D`): storage, a page fault, a lock of the kernel.
    pub const UNINTERRUPTIBLE: u8 = 2;
    /// Stopped by a signal, traced or frozen (`T`, `t`).
    pub const STOPPED: u8 = 3;
}

/// The call that moved the bytes.
pub mod call {
    /// `read`
    pub const READ: u8 = 1;
    /// `write`
    pub const WRITE: u8 = 2;
    /// `readv`
    pub const READV: u8 = 3;
    /// `writev`
    pub const WRITEV: u8 = 4;
    /// `recvfrom`
    pub const RECVFROM: u8 = 5;
    /// `sendto`
    pub const SENDTO: u8 = 6;
    /// `recvmsg`
    pub const RECVMSG: u8 = 7;
    /// `sendmsg`
    pub const SENDMSG: u8 = 8;
    /// `recvmmsg`
    pub const RECVMMSG: u8 = 9;
    /// `sendmmsg`
    pub const SENDMMSG: u8 = 10;
    /// Bytes sent in another way, such as `sendfile` or `io_uring`.
    pub const OTHER_SEND: u8 = 11;
    /// Bytes received in another way, such as `io_uring`. Nothing tells of `splice`.
    pub const OTHER_RECEIVE: u8 = 12;
    /// `socket`
    pub const SOCKET: u8 = 20;
    /// `connect`
    pub const CONNECT: u8 = 21;
    /// `accept` or `accept4`
    pub const ACCEPT: u8 = 22;
    /// `close`
    pub const CLOSE: u8 = 23;
    /// `shutdown`
    pub const SHUTDOWN: u8 = 24;
    /// `dup`, `dup2`, `dup3` or `fcntl(F_DUPFD…)`
    pub const DUP: u8 = 25;
    /// `close_range`
    pub const CLOSE_RANGE: u8 = 26;
    /// `recvmsg` on anything but a connection, with room for descriptors.
    pub const PASS: u8 = 27;
    /// `open`, `openat` or `openat2`
    pub const OPEN: u8 = 40;
    /// `read`, `readv`, `pread64`, `preadv` or `preadv2` of a file
    pub const FILE_READ: u8 = 41;
    /// `mmap` of a file
    pub const MAP: u8 = 42;
    /// `dup`, `dup2`, `dup3` or `fcntl(F_DUPFD…)` of a file
    pub const FILE_DUP: u8 = 43;
}

/// Start of every record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordHeader {
    /// One of [`kind`].
    pub kind: u16,
    /// Of [`flag`].
    pub flags: u16,
    /// Bytes of the whole record, this header included.
    pub size: u32,
    /// When the call returned (or the event happened).
    pub time_ns: u64,
    /// Process (thread group) id in the host's pid namespace.
    pub tgid: u32,
    /// Thread id in the host's pid namespace.
    pub tid: u32,
}

/// Bytes that one call moved, or one fragment of them. `captured` payload bytes follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkRecord {
    /// `time_ns` is the call's return.
    pub header: RecordHeader,
    /// Connection id.
    pub connection: u64,
    /// Position of the first byte in the connection's stream of this direction.
    pub offset: u64,
    /// When the call was entered.
    pub enter_ns: u64,
    /// Stream bytes this record stands for.
    pub length: u32,
    /// Payload bytes that follow: the first of `length`, but for those of `left_out`.
    pub captured: u32,
    /// File descriptor the call named.
    pub fd: i32,
    /// One of [`direction`].
    pub direction: u8,
    /// One of [`call`].
    pub call: u8,
    /// Bytes after the first [`crate::HEAD_BYTES`] that are content which nobody reads, and not captured.
    pub left_out: u16,
}

/// A side of a connection ended, found no room, or the connection failed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndRecord {
    /// Kind `END`, `SHUTDOWN`, `FAILURE` or `REFUSED`.
    pub header: RecordHeader,
    /// Connection id.
    pub connection: u64,
    /// Bytes moved so far in this direction.
    pub offset: u64,
    /// `errno` of a failure, `how` of a shutdown, else 0.
    pub detail: i32,
    /// One of [`direction`].
    pub direction: u8,
    /// Zero.
    pub pad: [u8; 3],
}

/// A connection began.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenRecord {
    /// Kind `OPEN`.
    pub header: RecordHeader,
    /// Connection id.
    pub connection: u64,
    /// When `connect` or `accept` was entered.
    pub enter_ns: u64,
    /// File descriptor of the connection.
    pub fd: i32,
    /// Listening descriptor that it was accepted from, else -1.
    pub listener: i32,
    /// What the call returned: a descriptor, 0, or minus `errno` (`EINPROGRESS` is usual).
    pub result: i32,
    /// Descriptor table of the process.
    pub files: u32,
    /// One of [`origin`].
    pub origin: u8,
    /// Zero.
    pub pad: u8,
    /// Bytes of `address` that hold the peer's address; 0 when the process did not ask for it.
    pub address_length: u16,
    /// Zero.
    pub pad2: u32,
    /// Number of the socket's inode, as `/proc` shows it; 0 where a syscall told of the connection.
    pub inode: u64,
    /// Peer address: a `sockaddr_in`, `sockaddr_in6` or `sockaddr_un` as user memory had it.
    pub address: [u8; SOCKADDR_BYTES],
}

/// A descriptor of a connection was closed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloseRecord {
    /// Kind `CLOSE`.
    pub header: RecordHeader,
    /// Connection id.
    pub connection: u64,
    /// Bytes moved by direction.
    pub offset: [u64; 2],
    /// Descriptor table of the process.
    pub files: u32,
    /// File descriptor.
    pub fd: i32,
}

/// A descriptor of a connection was duplicated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DupRecord {
    /// Kind `DUP`.
    pub header: RecordHeader,
    /// Connection id, or 0 where the original is no connection: then `fd` only lost what it was.
    pub connection: u64,
    /// Descriptor table of the process.
    pub files: u32,
    /// The new descriptor.
    pub fd: i32,
}

/// A process was made, executed a program, or ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessRecord {
    /// `tgid` is the process itself (the child, for `FORK`).
    pub header: RecordHeader,
    /// Parent's tgid, for `FORK`.
    pub parent: u32,
    /// Descriptor table of the process.
    pub files: u32,
    /// Whether the descriptor table is shared with the parent (1) or a copy (0), for `FORK`.
    pub shared_files: u32,
    /// Zero.
    pub pad: u32,
}

/// What one thread did until it is on a CPU again. `since_ns` ≤ `run_ns` ≤ `off_ns` ≤ `wake_ns` ≤
/// `header.time_ns`, and the records of one thread join without a gap: before `run_ns` many short
/// stretches, told by their sums; then one stretch each of running, blocked and waiting for a CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchedRecord {
    /// `time_ns` is when the thread is on a CPU again; `tgid` and `tid` are the thread's.
    pub header: RecordHeader,
    /// Where the record before ended; for a thread's first one, where following it began.
    pub since_ns: u64,
    /// Sum of short stretches on a CPU, nanoseconds.
    pub short_run_ns: u64,
    /// Sum of short stretches blocked, nanoseconds.
    pub short_blocked_ns: u64,
    /// Sum of short stretches of waiting for a CPU, nanoseconds.
    pub short_waiting_ns: u64,
    /// When the last stretch on a CPU began.
    pub run_ns: u64,
    /// When it ended.
    pub off_ns: u64,
    /// When the thread could run again: `off_ns` where it could all the time.
    pub wake_ns: u64,
    /// When the wait it was in was to end by itself (a time-out); 0 where it was not, or nobody knows.
    pub deadline_ns: u64,
    /// When the thread's last send that found no room in a watched socket returned, since the record
    /// before; 0 for none.
    pub refused_ns: u64,
    /// Process and thread that woke it; 0 for an interrupt on an idle CPU, or when it is not known.
    pub waker_tgid: u32,
    /// See `waker_tgid`.
    pub waker_tid: u32,
    /// Process and thread that ran longest on this CPU while it waited for one; 0 for none (an idle
    /// CPU, or many short ones).
    pub runner_tgid: u32,
    /// See `runner_tgid`.
    pub runner_tid: u32,
    /// How long that process's threads ran there meanwhile, nanoseconds.
    pub runner_ns: u64,
    /// Syscall it was in when it left its CPU, by the machine's number; `u32::MAX` for none.
    pub syscall: u32,
    /// CPU it is on again.
    pub cpu: u32,
    /// Of [`left`].
    pub left: u8,
    /// Of [`wait`]: what it was inside when it left its CPU.
    pub wait: u8,
    /// Of [`wait`]: what the waker was inside.
    pub waker_in: u8,
    /// Zero.
    pub pad: [u8; 5],
    /// Name of the waker's thread, ended by zero.
    pub waker_comm: [u8; COMM_BYTES],
    /// Name of the runner's thread, ended by zero.
    pub runner_comm: [u8; COMM_BYTES],
}

const _: () = assert!(size_of::<RecordHeader>() == 24);
/// A hooked library function was entered, or returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookRecord {
    /// Kind `HOOK`. `time_ns` is the return; the entry where the event is one.
    pub header: RecordHeader,
    /// When the function was entered.
    pub enter_ns: u64,
    /// Its first argument's register at the entry.
    pub argument: u64,
    /// The return value's register; 0 for an entry.
    pub value: u64,
    /// Number of the attachment: a hook at one library file.
    pub attachment: u32,
    /// One of [`hook_event`].
    pub event: u32,
}

const _: () = assert!(size_of::<HookRecord>() == 56);
const _: () = assert!(size_of::<SchedRecord>() == 24 + 9 * 8 + 4 * 4 + 8 + 8 + 8 + 2 * COMM_BYTES);
const _: () = assert!(size_of::<ChunkRecord>() == 64);
const _: () = assert!(size_of::<EndRecord>() == 48);
const _: () = assert!(size_of::<OpenRecord>() == 24 + 16 + 16 + 8 + 8 + SOCKADDR_BYTES);
const _: () = assert!(size_of::<CloseRecord>() == 56);
const _: () = assert!(size_of::<DupRecord>() == 40);
const _: () = assert!(size_of::<ProcessRecord>() == 40);

impl Default for OpenRecord {
    fn default() -> Self {
        Self {
            header: RecordHeader::default(),
            connection: 0,
            enter_ns: 0,
            fd: -1,
            listener: -1,
            result: 0,
            files: 0,
            origin: 0,
            pad: 0,
            address_length: 0,
            pad2: 0,
            inode: 0,
            address: [0; SOCKADDR_BYTES],
        }
    }
}
