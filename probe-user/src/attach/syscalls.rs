//! Which syscalls are watched, and with how many arguments their tracepoints can be read.

/// How the syscall tier is attached. Measured by `cargo xtask bench`; the figures that decided the
/// default stand in `probe-ebpf/src/socket_sys.rs`.
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
    /// One tracepoint per syscall. A call that is not hooked runs no program, but pays for the
    /// kernel's slower path while any syscall tracepoint is on: 70 ns on Linux 6.18; one that is
    /// hooked pays 369 ns in a process that is not watched. Detaches in 1.7 s.
    #[default]
    Tracepoints,
    /// Two raw tracepoints that see every syscall of the host: 232 ns for each call that is not
    /// hooked, 273 ns for one that is. No cheaper on a watched write. Detaches in 0.2 s.
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
