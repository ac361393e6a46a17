//! The syscall tier: entry and return of the calls that make, use and end sockets.
//!
//! Attached as one tracepoint per syscall (`syscalls:sys_enter_*`, `sys_exit_*`) or, by
//! configuration, as two raw tracepoints that see every syscall of the host. What `cargo xtask bench`
//! measured on Linux 6.18 (2 CPUs of an AMD EPYC, shared; medians of 15 alternating repetitions),
//! in ns added to a call and times the call without a probe:
//!
//! | call | tracepoints | raw |
//! |---|---|---|
//! | 2 KiB write on a watched connection (7.3 µs) | 963, 1.11 | 1024, 1.14 |
//! | `getppid` of an unrelated process (144 ns) | 70, 1.49 | 232, 2.57 |
//! | empty `read` of an unrelated process (178 ns) | 369, 3.11 | 273, 2.51 |
//!
//! The tracepoints are the default, since unrelated processes never asked to be watched: a call
//! that is not hooked costs them a third, one that is hooked a third more, so that raw tracepoints
//! tax them less only where more than 3 in 5 of their calls are hooked. Of a compiler's calls 15 %
//! were, of a gRPC worker's with its client 37 %, of a loaded Redis' with its client 41 %.

use aya_ebpf::{
    EbpfContext,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use probe_abi::call;

use crate::{
    call::{begin, finish, socket, watched},
    connection, message,
    syscall::{self, Syscall},
};

/// `fcntl` commands that duplicate a descriptor. Source: include/uapi/linux/fcntl.h.
const F_DUPFD: u64 = 0;
const F_DUPFD_CLOEXEC: u64 = 1030;

/// `struct syscall_trace_enter`/`_exit`: `trace_entry` (8), `nr` (4), padding (4), then the
/// arguments (8 each) or the result (8). Source: include/trace/syscall.h.
const NUMBER: usize = 8;
const VALUES: usize = 16;

macro_rules! enter_programs {
    ($($name:ident: $($index:literal)*;)+) => {$(
        #[tracepoint]
        pub fn $name(ctx: TracePointContext) -> u32 {
            let mut args = [0_u64; 4];
            // SAFETY: attached only to syscalls with at least this many arguments; the kernel
            // refuses the attachment otherwise.
            unsafe {
                $(args[$index] = value(&ctx, $index);)*
                enter(number(&ctx), args);
            }
            0
        }
    )+};
}

enter_programs! {
    enter_args1: 0;
    enter_args2: 0 1;
    enter_args3: 0 1 2;
    enter_args4: 0 1 2 3;
}

/// The syscall's number.
#[inline(always)]
unsafe fn number(ctx: &TracePointContext) -> u32 {
    // SAFETY: every syscall tracepoint has this field.
    unsafe { *ctx.as_ptr().cast::<u8>().add(NUMBER).cast::<u32>() }
}

/// One of the values that follow the number. Read directly, not through a helper, so that the
/// kernel checks at attach time that the tracepoint has it.
#[inline(always)]
unsafe fn value(ctx: &TracePointContext, index: usize) -> u64 {
    // SAFETY: see the caller.
    unsafe {
        *ctx.as_ptr()
            .cast::<u8>()
            .add(VALUES + index * 8)
            .cast::<u64>()
    }
}

/// Return of any of the attached syscalls.
#[tracepoint]
pub fn exit_any(ctx: TracePointContext) -> u32 {
    // SAFETY: every `sys_exit_*` tracepoint has a number and one value.
    let (number, result) = unsafe { (number(&ctx), value(&ctx, 0) as i64) };
    exit(&ctx, number, result);
    0
}

/// `raw_syscalls:sys_enter`: `(struct pt_regs *regs, long id)`.
#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn raw_sys_enter(ctx: RawTracePointContext) -> i32 {
    let number: u64 = ctx.arg(1);
    if syscall::meaning(number as u32).is_some() && watched().is_some() {
        let registers: *const Registers = ctx.arg(0);
        // SAFETY: a failing read leaves the call unseen.
        if let Ok(registers) = unsafe { aya_ebpf::helpers::bpf_probe_read_kernel(registers) } {
            enter(number as u32, registers.arguments());
        }
    }
    0
}

/// `raw_syscalls:sys_exit`: `(struct pt_regs *regs, long ret)`.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub fn raw_sys_exit(ctx: RawTracePointContext) -> i32 {
    let result: u64 = ctx.arg(1);
    // The number is not known here; a call without an entry is not looked for.
    exit(&ctx, u32::MAX, result as i64);
    0
}

/// `struct pt_regs` up to the syscall arguments. Source: arch/x86/include/asm/ptrace.h.
#[cfg(bpf_target_arch = "x86_64")]
#[repr(C)]
#[derive(Clone, Copy)]
struct Registers {
    saved: [u64; 7],
    r10: u64,
    r9: u64,
    r8: u64,
    ax: u64,
    cx: u64,
    dx: u64,
    si: u64,
    di: u64,
}

#[cfg(bpf_target_arch = "x86_64")]
impl Registers {
    fn arguments(&self) -> [u64; 4] {
        [self.di, self.si, self.dx, self.r10]
    }
}

/// `struct user_pt_regs`: x0…x7. Source: arch/arm64/include/uapi/asm/ptrace.h.
#[cfg(bpf_target_arch = "aarch64")]
#[repr(C)]
#[derive(Clone, Copy)]
struct Registers {
    x: [u64; 8],
}

#[cfg(bpf_target_arch = "aarch64")]
impl Registers {
    fn arguments(&self) -> [u64; 4] {
        [self.x[0], self.x[1], self.x[2], self.x[3]]
    }
}

/// Remembers a call of a watched process that its return will be needed for.
#[inline(always)]
fn enter(number: u32, args: [u64; 4]) {
    let Some(meaning) = syscall::meaning(number) else {
        return;
    };
    let Some(process) = watched() else { return };
    let files = process.files;
    let fd = args[0] as i32;
    let rest = [args[1], args[2], args[3]];
    match meaning {
        Syscall::Transfer(kind) => {
            if let Some(entry) = socket(files, fd)
                && entry.connection != 0
                && message::moves_stream(kind, &rest)
            {
                begin(kind, files, entry.connection, fd, rest);
            }
        }
        Syscall::Socket => begin(call::SOCKET, files, 0, fd, rest),
        Syscall::Connect => begin(call::CONNECT, files, 0, fd, rest),
        Syscall::Accept => begin(call::ACCEPT, files, 0, fd, rest),
        Syscall::Close => connection::close(files, fd),
        Syscall::Shutdown => {
            if let Some(entry) = socket(files, fd) {
                begin(call::SHUTDOWN, files, entry.connection, fd, rest);
            }
        }
        Syscall::Dup => {
            if let Some(entry) = socket(files, fd) {
                begin(call::DUP, files, entry.connection, fd, rest);
            }
        }
        Syscall::DupOnto => {
            let old = socket(files, fd);
            if old.is_some() || socket(files, args[1] as i32).is_some() {
                begin(
                    call::DUP,
                    files,
                    old.map_or(0, |entry| entry.connection),
                    fd,
                    rest,
                );
            }
        }
        Syscall::Fcntl => {
            if (args[1] == F_DUPFD || args[1] == F_DUPFD_CLOEXEC)
                && let Some(entry) = socket(files, fd)
            {
                begin(call::DUP, files, entry.connection, fd, rest);
            }
        }
        Syscall::CloseRange => connection::descriptors_changed(files),
    }
}

/// Acts on a call's result.
#[inline(always)]
fn exit<C: EbpfContext>(ctx: &C, number: u32, result: i64) {
    let Some(pending) = finish() else {
        // A thread that was already waiting in `accept` when its process became watched.
        if result >= 0
            && syscall::meaning(number) == Some(Syscall::Accept)
            && let Some(process) = watched()
        {
            connection::accepted_unseen(ctx, process.files, result as i32);
        }
        return;
    };
    match pending.call as u8 {
        call::SOCKET => connection::made(&pending, result),
        call::CONNECT => connection::connected(ctx, &pending, result),
        call::ACCEPT => connection::accepted(ctx, &pending, result),
        call::SHUTDOWN => connection::shut_down(&pending, result),
        call::DUP => connection::duplicated(&pending, result),
        _ => message::transferred(ctx, &pending, result),
    }
}
