//! Which syscalls are watched, and with how many arguments their tracepoints can be read.

/// How the syscall tier is attached. See README.md for what each costs.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Attachment {
    /// One tracepoint per syscall: other syscalls of unrelated processes run no program.
    #[default]
    Tracepoints,
    /// Two raw tracepoints that see every syscall of the host: cheaper on a watched call, dearer
    /// on everything else.
    Raw,
}

/// A watched syscall.
#[derive(Debug)]
pub(super) struct Syscall {
    /// As in `syscalls:sys_enter_<name>`.
    pub(super) name: &'static str,
    /// Arguments the entry program reads: 1 to 4.
    pub(super) args: usize,
    /// Whether the return matters.
    pub(super) exit: bool,
    /// Whether every kernel and architecture has it.
    pub(super) required: bool,
}

const fn both(name: &'static str, args: usize) -> Syscall {
    Syscall {
        name,
        args,
        exit: true,
        required: true,
    }
}

/// Every way bytes move on a socket, and everything that makes, copies or ends a descriptor.
pub(super) const SYSCALLS: &[Syscall] = &[
    both("read", 3),
    both("write", 3),
    both("readv", 3),
    both("writev", 3),
    both("recvfrom", 4),
    both("sendto", 4),
    both("recvmsg", 3),
    both("sendmsg", 3),
    both("recvmmsg", 4),
    both("sendmmsg", 4),
    both("socket", 3),
    both("connect", 3),
    both("accept", 3),
    both("accept4", 3),
    both("shutdown", 2),
    both("dup", 1),
    // Not on 64-bit Arm.
    Syscall {
        name: "dup2",
        args: 2,
        exit: true,
        required: false,
    },
    both("dup3", 2),
    both("fcntl", 2),
    Syscall {
        name: "close",
        args: 1,
        exit: false,
        required: true,
    },
    // From 5.9.
    Syscall {
        name: "close_range",
        args: 1,
        exit: true,
        required: false,
    },
];
