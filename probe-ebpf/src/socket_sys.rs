//! The syscall tier: entry and return of the calls that make, use and end sockets.
//!
//! Attached as one tracepoint per syscall (`syscalls:sys_enter_*`, `sys_exit_*`) or, by
//! configuration, as two raw tracepoints that see every syscall of the host. What `cargo xtask bench`
//! measured on Linux 6.18 (2 CPUs of an AMD EPYC; medians of 11 alternating repetitions),
//! in ns added to a call and times the call without a probe:
//!
//! | call | tracepoints | raw |
//! |---|---|---|
//! | 2 KiB write on a watched connection (6.1 µs) | 1235, 1.24 | 1210, 1.18 |
//! | `getppid` of an unrelated process (117 ns) | 40, 1.34 | 127, 2.08 |
//! | empty `read` of an unrelated process (186 ns) | 334, 2.77 | 188, 2.01 |
//!
//! The tracepoints are tried before the raw ones, since unrelated processes never asked to be watched: a call
//! that is not hooked costs them a third, one that is hooked a third more, so that raw tracepoints
//! tax them less only where more than 3 in 8 of their calls are hooked. Of a compiler's calls 15 %
//! were, of a gRPC worker's with its client 37 %, of a loaded Redis' with its client 41 %.

use aya_ebpf::{
    EbpfContext as _,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};

use crate::{
    call::watched,
    dispatch::{enter, exit},
    registers::Registers,
    syscall,
};

/// `struct syscall_trace_enter`/`_exit`: `trace_entry` (8), `nr` (4), padding (4), then the
/// arguments (8 each) or the result (8). Source: include/trace/syscall.h.
const NUMBER: usize = 8;
const VALUES: usize = 16;

macro_rules! enter_programs {
    ($($name:ident: $($index:literal)*;)+) => {$(
        #[tracepoint]
        pub fn $name(ctx: TracePointContext) -> u32 {
            let mut args = [0_u64; 5];
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
    enter_args5: 0 1 2 3 4;
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
    if watched().is_some() {
        let (registers, result): (*const Registers, u64) = (ctx.arg(0), ctx.arg(1));
        // SAFETY: a failing read leaves the call unseen.
        if let Ok(registers) = unsafe { aya_ebpf::helpers::bpf_probe_read_kernel(registers) } {
            exit(&ctx, registers.number() as u32, result as i64);
        }
    }
    0
}
