//! Which syscalls are watched, and with how many arguments their tracepoints can be read.

use super::tracefs::Field;

/// Where the programs of syscalls read: only this layout is as good as fixed.
pub(super) const LAYOUT: [Field; 2] = [
    ("syscalls", "sys_enter_read", "fd", 16),
    ("syscalls", "sys_exit_read", "ret", 16),
];

/// A watched syscall.
#[derive(Debug)]
pub(super) struct Syscall {
    /// As in `syscalls:sys_enter_<name>`.
    pub(super) name: &'static str,
    /// Arguments the entry program reads: 1 to 5.
    pub(super) args: usize,
    /// Whether the return matters.
    pub(super) exit: bool,
    /// Whether every kernel and architecture has it.
    pub(super) required: bool,
    /// Whether it matters only where files are followed.
    pub(super) files: bool,
}

impl Syscall {
    /// Never on its own return.
    const fn enter_only(self) -> Self {
        Self {
            exit: false,
            ..self
        }
    }

    /// Not on every kernel and architecture.
    const fn optional(self) -> Self {
        Self {
            required: false,
            ..self
        }
    }

    /// Only where files are followed.
    const fn of_files(self) -> Self {
        Self {
            files: true,
            ..self
        }
    }
}

const fn both(name: &'static str, args: usize) -> Syscall {
    Syscall {
        name,
        args,
        exit: true,
        required: true,
        files: false,
    }
}

/// Every way bytes move on a socket, and everything that makes, copies or ends a descriptor; then, for
/// files under model roots, every way to open, read or map one.
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
    both("dup2", 2).optional(),
    both("dup3", 2),
    both("fcntl", 2),
    both("close", 1).enter_only(),
    // From 5.9.
    both("close_range", 1).optional(),
    // Not on 64-bit Arm.
    both("open", 3).optional().of_files(),
    both("openat", 4).of_files(),
    // From 5.6.
    both("openat2", 4).optional().of_files(),
    both("pread64", 4).of_files(),
    both("preadv", 4).of_files(),
    both("preadv2", 4).of_files(),
    both("mmap", 5).of_files(),
    both("munmap", 2).of_files().enter_only(),
];
