//! What a thread is inside: the syscall by which it entered the kernel, and until when it asked to
//! wait there.

use aya_ebpf::helpers::bpf_probe_read_user;
use probe_abi::wait;

use crate::{
    call, message,
    registers::{Current, current_syscall},
    sockets,
    syscall::{self, Syscall},
};

/// Where a thread is.
pub struct Inside {
    /// Of `probe_abi::wait`.
    pub wait: u8,
    /// Syscall number; `u32::MAX` for none.
    pub number: u32,
    args: [u64; 5],
}

/// Syscalls with a meaning here. Source: arch/x86/entry/syscalls/syscall_64.tbl.
#[cfg(bpf_target_arch = "x86_64")]
mod number {
    pub const FUTEX: u32 = 202;
    pub const EPOLL_WAIT: u32 = 232;
    pub const EPOLL_PWAIT: u32 = 281;
    pub const EPOLL_PWAIT2: u32 = 441;
    pub const POLL: u32 = 7;
    pub const PPOLL: u32 = 271;
    pub const SELECT: u32 = 23;
    pub const PSELECT: u32 = 270;
    pub const NANOSLEEP: u32 = 35;
    pub const CLOCK_NANOSLEEP: u32 = 230;
    pub const IOCTL: u32 = 16;
    /// mmap, mprotect, munmap, brk, mremap, madvise.
    pub const MEMORY: [u32; 6] = [9, 10, 11, 12, 25, 28];
    /// read, write, pread64, pwrite64, readv, writev, fsync, fdatasync, open, openat.
    pub const FILE: [u32; 10] = [0, 1, 17, 18, 19, 20, 74, 75, 2, 257];
}

/// Source: include/uapi/asm-generic/unistd.h. Calls that this architecture lacks have numbers that
/// none has.
#[cfg(bpf_target_arch = "aarch64")]
mod number {
    pub const FUTEX: u32 = 98;
    pub const EPOLL_WAIT: u32 = u32::MAX - 1;
    pub const EPOLL_PWAIT: u32 = 22;
    pub const EPOLL_PWAIT2: u32 = 441;
    pub const POLL: u32 = u32::MAX - 2;
    pub const PPOLL: u32 = 73;
    pub const SELECT: u32 = u32::MAX - 3;
    pub const PSELECT: u32 = 72;
    pub const NANOSLEEP: u32 = 101;
    pub const CLOCK_NANOSLEEP: u32 = 115;
    pub const IOCTL: u32 = 29;
    /// mmap, mprotect, munmap, brk, mremap, madvise.
    pub const MEMORY: [u32; 6] = [222, 226, 215, 214, 216, 233];
    /// read, write, pread64, pwrite64, readv, writev, fsync, fdatasync, openat, openat2.
    pub const FILE: [u32; 10] = [63, 64, 67, 68, 65, 66, 82, 83, 56, 437];
}

/// Source: include/uapi/linux/futex.h.
const FUTEX_WAIT: u64 = 0;
const FUTEX_WAIT_BITSET: u64 = 9;
const FUTEX_COMMAND: u64 = 127;
const FUTEX_CLOCK_REALTIME: u64 = 256;

/// Source: include/uapi/linux/time.h.
const CLOCK_MONOTONIC: u64 = 1;
const TIMER_ABSTIME: u64 = 1;

/// Where the current thread is; `current` is its `pid_tgid`.
#[inline(always)]
pub fn inside(current: u64) -> Inside {
    let mut inside = Inside {
        wait: wait::USER,
        number: u32::MAX,
        args: [0; 5],
    };
    let Current { number, args } = current_syscall();
    if number == u32::MAX {
        return inside;
    }
    inside.number = number;
    inside.args = args;
    inside.wait = match inside.number {
        number::FUTEX => wait::FUTEX,
        number::EPOLL_WAIT
        | number::EPOLL_PWAIT
        | number::EPOLL_PWAIT2
        | number::POLL
        | number::PPOLL
        | number::SELECT
        | number::PSELECT => wait::READINESS,
        number::NANOSLEEP | number::CLOCK_NANOSLEEP => wait::SLEEP,
        number::IOCTL => wait::IOCTL,
        number => transfer(current, number, inside.args[0] as i32),
    };
    inside
}

/// A call on a watched socket, a call on another descriptor, or something else.
#[inline(always)]
fn transfer(current: u64, number: u32, fd: i32) -> u8 {
    if let Some(Syscall::Transfer(kind)) = syscall::meaning(number) {
        let sends = message::sends(kind);
        let is_watched = is_stream(current, fd)
            || sockets::is_known(fd)
            || (sends && sockets::is_sending(current));
        if is_watched {
            return if sends { wait::SEND } else { wait::RECEIVE };
        }
    }
    if number::FILE.contains(&number) {
        wait::FILE
    } else if number::MEMORY.contains(&number) {
        wait::MEMORY
    } else {
        wait::OTHER
    }
}

/// Whether a descriptor of this thread is one of a watched connection.
#[inline(always)]
fn is_stream(current: u64, fd: i32) -> bool {
    call::process(current).is_some_and(|process| call::socket(process.files, fd).is_some())
}

/// Until when the thread asked to wait at most, as kernel time in nanoseconds; 0 where it did not or
/// nobody knows. A relative time counts from now, microseconds after the call's entry.
#[inline(always)]
pub fn deadline(inside: &Inside, now: u64) -> u64 {
    let args = &inside.args;
    match inside.number {
        number::EPOLL_WAIT | number::EPOLL_PWAIT => after_ms(args[3], now),
        number::POLL => after_ms(args[2], now),
        number::EPOLL_PWAIT2 => time(args[3], now),
        number::PPOLL => time(args[2], now),
        number::NANOSLEEP => time(args[0], now),
        number::CLOCK_NANOSLEEP if args[1] & TIMER_ABSTIME == 0 => time(args[2], now),
        number::CLOCK_NANOSLEEP if args[0] == CLOCK_MONOTONIC => time(args[2], 0),
        number::FUTEX if args[1] & FUTEX_COMMAND == FUTEX_WAIT => time(args[3], now),
        number::FUTEX
            if args[1] & FUTEX_COMMAND == FUTEX_WAIT_BITSET
                && args[1] & FUTEX_CLOCK_REALTIME == 0 =>
        {
            time(args[3], 0)
        }
        _ => 0,
    }
}

/// An `int` of milliseconds; negative for ever.
#[inline(always)]
fn after_ms(timeout: u64, now: u64) -> u64 {
    let timeout = timeout as i32;
    if timeout <= 0 {
        return 0;
    }
    now + timeout as u64 * 1_000_000
}

/// A `struct timespec` of the thread, after `base`; null for ever.
#[inline(always)]
fn time(pointer: u64, base: u64) -> u64 {
    if pointer == 0 {
        return 0;
    }
    // SAFETY: a failing read leaves the time unknown.
    match unsafe { bpf_probe_read_user(pointer as *const [u64; 2]) } {
        Ok([seconds, nanoseconds]) => base + seconds * 1_000_000_000 + nanoseconds,
        Err(_) => 0,
    }
}
