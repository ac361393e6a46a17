//! The registers with which a thread entered the kernel: its syscall's number and arguments.

use aya_ebpf::helpers::{bpf_get_current_task, bpf_get_current_task_btf, bpf_task_pt_regs};

use crate::layout::{layout, read};

/// The syscall that a thread is in.
#[derive(Clone, Copy)]
pub struct Current {
    /// `u32::MAX` where it is in none, or nobody knows.
    pub number: u32,
    /// The first five.
    pub args: [u64; 5],
}

/// The syscall that the current thread is in.
#[inline(always)]
pub fn current_syscall() -> Current {
    let address = address();
    let registers: Registers = read(address, 0);
    let number = registers.number();
    Current {
        number: if address == 0 || number < 0 {
            u32::MAX
        } else {
            number as u32
        },
        args: registers.arguments(),
    }
}

/// Where the current task's registers are: on its own kernel stack. 0 where nobody knows.
#[inline(always)]
fn address() -> u64 {
    let stack = layout!(task_stack);
    if stack == 0 {
        // From Linux 5.15.
        // SAFETY: the current task.
        return unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64;
    }
    // SAFETY: no argument, no side effect.
    let lowest: u64 = read(unsafe { bpf_get_current_task() }, stack);
    if STACK_BYTES == 0 {
        0
    } else {
        lowest + STACK_BYTES - REGISTERS_BYTES
    }
}

/// Bytes of a task's kernel stack, and of the registers at its top. Source: `THREAD_SIZE` and
/// `TOP_OF_KERNEL_STACK_PADDING` (arch/x86/include/asm) before Linux 5.15.
#[cfg(bpf_target_arch = "x86_64")]
const STACK_BYTES: u64 = 16 * 1024;
#[cfg(bpf_target_arch = "x86_64")]
const REGISTERS_BYTES: u64 = 168;

/// On 64-bit Arm it depends on how the kernel was built.
#[cfg(bpf_target_arch = "aarch64")]
const STACK_BYTES: u64 = 0;
#[cfg(bpf_target_arch = "aarch64")]
const REGISTERS_BYTES: u64 = 0;

/// `struct pt_regs` up to the syscall's number. Source: arch/x86/include/asm/ptrace.h.
#[cfg(bpf_target_arch = "x86_64")]
#[repr(C)]
#[derive(Clone, Copy, Default)]
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
#[derive(Clone, Copy, Default)]
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
