//! The registers with which a thread entered the kernel: its syscall's number and arguments.

use aya_ebpf::helpers::{bpf_get_current_task_btf, bpf_probe_read_kernel, bpf_task_pt_regs};

/// Number and first five arguments of the syscall that the current thread is in; `None` where it is in
/// none, or nobody knows. Minimum kernel version: 5.15 (`bpf_task_pt_regs`).
#[inline(always)]
pub fn current_syscall() -> Option<(u32, [u64; 5])> {
    // SAFETY: the registers of the current task lie on its own kernel stack; a failing read leaves the
    // syscall unknown.
    let registers = unsafe {
        let registers = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const Registers;
        bpf_probe_read_kernel(registers)
    }
    .ok()?;
    let number = u32::try_from(registers.number()).ok()?;
    Some((number, registers.arguments()))
}

/// `struct pt_regs` up to the syscall's number. Source: arch/x86/include/asm/ptrace.h.
#[cfg(bpf_target_arch = "x86_64")]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Registers {
    saved: [u64; 7],
    r10: u64,
    r9: u64,
    r8: u64,
    ax: u64,
    cx: u64,
    dx: u64,
    si: u64,
    di: u64,
    orig_ax: i64,
}

#[cfg(bpf_target_arch = "x86_64")]
impl Registers {
    /// The first five arguments.
    pub fn arguments(&self) -> [u64; 5] {
        [self.di, self.si, self.dx, self.r10, self.r8]
    }

    /// The syscall; negative where the thread entered by an exception or an interrupt.
    pub fn number(&self) -> i64 {
        self.orig_ax
    }
}

/// `struct pt_regs`. Source: arch/arm64/include/asm/ptrace.h.
#[cfg(bpf_target_arch = "aarch64")]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Registers {
    x: [u64; 31],
    stack: u64,
    counter: u64,
    state: u64,
    orig_x0: u64,
    syscall: i32,
}

#[cfg(bpf_target_arch = "aarch64")]
impl Registers {
    /// The first five arguments.
    pub fn arguments(&self) -> [u64; 5] {
        [self.x[0], self.x[1], self.x[2], self.x[3], self.x[4]]
    }

    /// The syscall; negative where the thread entered by an exception or an interrupt.
    pub fn number(&self) -> i64 {
        i64::from(self.syscall)
    }
}
