//! The registers with which a thread entered the kernel: its syscall's number and arguments.

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
