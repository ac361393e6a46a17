//! Calls of hooked library functions.
//!
//! uprobes and uretprobes at any function of any library: the attach cookie says which attachment
//! it is and what to tell, so that one pair of programs serves all of them. A breakpoint costs the thread
//! that hits it a trap into the kernel, in every process that maps the library; what is not watched
//! leaves at the first look-up. `README.md` has the figures.
//!
//! # Minimum kernel version
//! 5.15, for `bpf_get_attach_cookie` (`kernel/trace/bpf_trace.c`).

use aya_ebpf::{
    EbpfContext,
    bindings::pt_regs,
    helpers::{bpf_get_attach_cookie, bpf_get_current_pid_tgid},
    macros::{uprobe, uretprobe},
    programs::{ProbeContext, RetProbeContext},
};
use probe_abi::{HookRecord, hook_event, kind, loss};

use crate::{
    call::watched,
    emit::{count_loss, filled, header, output},
    maps::HOOK_CALLS,
    values::{HookCall, HookKey},
};

/// Bytes that a return takes off the stack: the return address on x86-64; on 64-bit Arm it is in a
/// register.
#[cfg(bpf_target_arch = "x86_64")]
const RETURN_ADDRESS_BYTES: u64 = 8;
#[cfg(bpf_target_arch = "aarch64")]
const RETURN_ADDRESS_BYTES: u64 = 0;

#[cfg(bpf_target_arch = "x86_64")]
#[inline(always)]
fn stack(registers: &pt_regs) -> u64 {
    registers.rsp
}
#[cfg(bpf_target_arch = "aarch64")]
#[inline(always)]
fn stack(registers: &pt_regs) -> u64 {
    registers.sp
}

/// A hooked function is entered.
#[uprobe]
pub fn hook_enter(ctx: ProbeContext) -> u32 {
    if watched().is_none() {
        return 0;
    }
    // SAFETY: the context is this program's.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let argument = ctx.arg::<u64>(0).unwrap_or(0);
    let header = header::<HookRecord>(kind::HOOK);
    let event = (cookie >> 32) as u32;
    if event != hook_event::RETURNED {
        emit(&HookRecord {
            header,
            enter_ns: header.time_ns,
            argument,
            value: 0,
            attachment: cookie as u32,
            event,
        });
        return 0;
    }
    // SAFETY: the context of a uprobe is the thread's registers.
    let stack = unsafe { stack(&*ctx.regs) }.wrapping_add(RETURN_ADDRESS_BYTES);
    let key = key(stack, cookie);
    let call = HookCall {
        enter_ns: header.time_ns,
        argument,
    };
    if HOOK_CALLS.insert(key, call, 0).is_err() {
        count_loss(loss::MAP_FULL);
    }
    0
}

/// A hooked function returns.
#[uretprobe]
pub fn hook_return(ctx: RetProbeContext) -> u32 {
    if watched().is_none() {
        return 0;
    }
    // SAFETY: the context is this program's.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    // SAFETY: the context of a uretprobe is the thread's registers.
    let key = key(unsafe { stack(&*ctx.regs) }, cookie);
    let Some(call) = HOOK_CALLS.get_ptr(key) else {
        count_loss(loss::HOOK_UNPAIRED);
        return 0;
    };
    // SAFETY: only this thread uses the entry.
    let HookCall { enter_ns, argument } = unsafe { *call };
    emit(&HookRecord {
        header: header::<HookRecord>(kind::HOOK),
        enter_ns,
        argument,
        value: ctx.ret(),
        attachment: cookie as u32,
        event: hook_event::RETURNED,
    });
    // Absent when the entry was forgotten meanwhile to make room.
    let _absent = HOOK_CALLS.remove(key);
    0
}

#[inline(always)]
fn key(stack: u64, cookie: u64) -> HookKey {
    HookKey {
        thread: bpf_get_current_pid_tgid(),
        stack,
        cookie,
    }
}

#[inline(always)]
fn emit(record: &HookRecord) {
    // SAFETY: the record is plain data without padding.
    let written = unsafe {
        output(
            core::ptr::from_ref(record).cast(),
            size_of::<HookRecord>() as u64,
            filled(),
        )
    };
    if !written {
        count_loss(loss::RING_FULL_HOOK);
    }
}
