//! Names of programs and maps, and what the shared maps hold.

use crate::{MAX_CONNECTIONS, MAX_SENDERS};

/// Map names, as in the object file.
pub mod map {
    /// Ring buffer of records.
    pub const RECORDS: &str = "RECORDS";
    /// Per-CPU counters of what was not recorded, indexed by [`crate::loss`].
    pub const LOSSES: &str = "LOSSES";
    /// Watched processes: tgid → [`crate::Process`].
    pub const PROCESSES: &str = "PROCESSES";
    /// Lowest bits of tgids (`tgid % `[`crate::WATCHED_SLOTS`]) → 1 where a process with them is in `PROCESSES`, or
    /// was.
    pub const WATCHED: &str = "WATCHED";
    /// Descriptors of connections: [`crate::FdKey`] → [`crate::FdEntry`].
    pub const FDS: &str = "FDS";
    /// Connections that the agent found: inode of the socket → connection id.
    pub const FOUND: &str = "FOUND";
    /// Place ([`crate::place`]) → [`crate::Connection`].
    pub const CONNECTIONS: &str = "CONNECTIONS";
    /// Places without a connection: the agent puts them there, whoever begins a connection takes one.
    pub const FREE_PLACES: &str = "FREE_PLACES";
    /// One `u32`: numbers of fields whose content nobody reads, as bits (`Profile::unread_fields`).
    pub const UNREAD_FIELDS: &str = "UNREAD_FIELDS";
    /// The one program that [`crate::program::SOCKET_SENT`] hands on to.
    pub const SENT_ANY: &str = "SENT_ANY";
    /// What only programs of sockets use: connections, beginnings and calls by socket or thread.
    pub const OF_SOCKETS: [&str; 4] = ["SOCKETS", "MOVES", "ORIGINS", "MESSAGES"];
    /// What only tracepoints of sockets use: places of sockets that send.
    pub const SENDERS: &str = "SENDERS";
    /// Calls in flight, by thread.
    pub const CALLS: &str = "CALLS";
    /// Calls of hooked library functions in flight.
    pub const HOOK_CALLS: &str = "HOOK_CALLS";
    /// Descriptors of files under model roots: [`crate::FdKey`] → [`crate::FileEntry`].
    pub const FILES: &str = "FILES";
    /// Model roots: [`crate::PathKey`] → 1.
    pub const MODEL_ROOTS: &str = "MODEL_ROOTS";
    /// Threads whose scheduling is followed.
    pub const SCHED_THREADS: &str = "SCHED_THREADS";
}

/// Names of the constants that are set before the programs are loaded.
pub mod global {
    /// A `u32`: 1 where files under model roots are followed. With 0 the verifier drops that code.
    pub const FOLLOWS_FILES: &str = "FOLLOWS_FILES";
    /// A `u64`: shortest stretch of scheduling that makes a record of its own, nanoseconds
    /// ([`crate::SCHED_STRETCH_NS`]).
    pub const SCHED_STRETCH: &str = "SCHED_STRETCH";
    /// A [`crate::Layout`]: where the programs of sockets find what they read.
    pub const LAYOUT: &str = "LAYOUT";
    /// A `u32`: 0 where the kernel has no `BPF_FETCH` (before 5.12).
    pub const HAS_FETCH: &str = "HAS_FETCH";
    /// A `u32`: of 2^32 records, how many are lost at the ring as if it were full. For tests.
    pub const REFUSED_RECORDS: &str = "REFUSED_RECORDS";
}

/// Program names, as in the object file.
pub mod program {
    /// Syscall entry, one program for each number of arguments that a tracepoint carries: a program
    /// that reads past a tracepoint's own fields is refused (`EACCES`).
    pub const ENTER: [&str; 5] = [
        "enter_args1",
        "enter_args2",
        "enter_args3",
        "enter_args4",
        "enter_args5",
    ];
    /// Syscall return.
    pub const EXIT: &str = "exit_any";
    /// Entry of every syscall of the host, through one raw tracepoint.
    pub const RAW_ENTER: &str = "raw_sys_enter";
    /// Return of every syscall of the host, through one raw tracepoint.
    pub const RAW_EXIT: &str = "raw_sys_exit";
    /// A socket has sent (`sock:sock_send_length`, from Linux 6.3): one of a thread's own process, of which it is known
    /// what is sent. It hands every other one on to [`SOCKET_SENT_ANY`].
    pub const SOCKET_SENT: &str = "socket_sent";
    /// A socket has sent, any.
    pub const SOCKET_SENT_ANY: &str = "socket_sent_any";
    /// A socket has received (`sock:sock_recv_length`, from Linux 6.3).
    pub const SOCKET_RECEIVED: &str = "socket_received";
    /// TCP begins to send (`tcp:tcp_sendmsg_locked`, from Linux 6.16).
    pub const SOCKET_SENDS: &str = "socket_sends";
    /// A TCP socket changes its state (`sock:inet_sock_set_state`).
    pub const SOCKET_STATE: &str = "socket_state";
    /// A TCP socket is gone (`tcp:tcp_destroy_sock`).
    pub const SOCKET_GONE: &str = "socket_gone";
    /// Entries of functions of sockets: program (fentry), program (kprobe), function.
    pub const FUNCTIONS_ENTERED: [(&str, &str, &str); 5] = [
        ("fentry_tcp_send", "kprobe_tcp_send", "tcp_sendmsg"),
        ("fentry_tcp_receive", "kprobe_tcp_receive", "tcp_recvmsg"),
        (
            "fentry_unix_send",
            "kprobe_unix_send",
            "unix_stream_sendmsg",
        ),
        (
            "fentry_unix_receive",
            "kprobe_unix_receive",
            "unix_stream_recvmsg",
        ),
        ("fentry_unix_release", "kprobe_unix_release", "unix_release"),
    ];
    /// Returns of functions of sockets: program (fexit), program (kretprobe), function.
    pub const FUNCTIONS_RETURNED: [(&str, &str, &str); 4] = [
        ("fexit_tcp_send", "kretprobe_tcp_send", "tcp_sendmsg"),
        ("fexit_tcp_receive", "kretprobe_tcp_receive", "tcp_recvmsg"),
        (
            "fexit_unix_send",
            "kretprobe_unix_send",
            "unix_stream_sendmsg",
        ),
        (
            "fexit_unix_receive",
            "kretprobe_unix_receive",
            "unix_stream_recvmsg",
        ),
    ];
    /// A task was created (`task:task_newtask`).
    pub const PROCESS_FORK: &str = "process_fork";
    /// A program was executed (`sched:sched_process_exec`).
    pub const PROCESS_EXEC: &str = "process_exec";
    /// A task ended (`sched:sched_process_exit`).
    pub const PROCESS_EXIT: &str = "process_exit";
    /// Entry of a hooked library function (uprobe).
    pub const HOOK_ENTER: &str = "hook_enter";
    /// Return of a hooked library function (uretprobe).
    pub const HOOK_RETURN: &str = "hook_return";
    /// A CPU changes its task (`sched:sched_switch`). From Linux 5.19: earlier kernels do not say
    /// how the task leaves.
    pub const SCHED_SWITCH: &str = "sched_switch";
    /// A task is woken (`sched:sched_waking`).
    pub const SCHED_WAKING: &str = "sched_waking";
}

/// Bits of a connection's id that tell its place.
const PLACE_BITS: u32 = MAX_CONNECTIONS.trailing_zeros();

/// The place of a connection among [`map::CONNECTIONS`]. It has it as long as that one's `id` is its own.
#[must_use]
pub const fn place(connection: u64) -> u32 {
    connection as u32 & (MAX_CONNECTIONS - 1)
}

/// The id of a connection with this place. `number`, of at most 47 bits, tells it from those that had the place
/// before.
#[must_use]
pub const fn connection_id(number: u64, place: u32) -> u64 {
    number << PLACE_BITS | place as u64
}

/// Bit set in connection ids that the agent gave out (sockets older than the probe).
pub const USER_CONNECTION: u64 = 1 << 63;

/// Flags of [`Process`].
pub mod process_flag {
    /// The process executed another program, which closed some of its descriptors without a call:
    /// nothing is taken for a connection's bytes until the agent has looked which are left.
    pub const DESCRIPTORS_UNKNOWN: u32 = 1;
}

/// Value of `PROCESSES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Identity of the file descriptor table: the tgid that first had it. Processes that share a
    /// table (`CLONE_FILES`) share this.
    pub files: u32,
    /// Of [`process_flag`].
    pub flags: u32,
    /// Kernel time from which on it, or the one that made it, is watched, nanoseconds.
    pub since_ns: u64,
}

/// Key of `FDS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FdKey {
    /// [`Process::files`].
    pub files: u32,
    /// File descriptor.
    pub fd: i32,
}

/// Value of `FDS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdEntry {
    /// Connection id. One connection may have several descriptors.
    pub connection: u64,
}

/// Value of `CONNECTIONS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Its id; 0 for none.
    pub id: u64,
    /// Bytes moved so far by direction (see [`crate::direction`]), counted at the calls' return.
    pub offset: [u64; 2],
    /// Number of its socket's inode; 0 where it is not known.
    pub inode: u64,
    /// One more than the offset at which a send was last told to have found no room; 0 before.
    pub refused: u64,
}

const _: () = assert!(MAX_CONNECTIONS.is_power_of_two() && MAX_SENDERS.is_power_of_two());
const _: () = assert!(size_of::<Process>() == 16);
const _: () = assert!(size_of::<FdKey>() == 8);
const _: () = assert!(size_of::<FdEntry>() == 8);
const _: () = assert!(size_of::<Connection>() == 40);
