//! Syscall arguments in the registers that the raw tracepoint hands over.

/// `struct pt_regs` up to the syscall arguments. Source: arch/x86/include/asm/ptrace.h.
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
}

#[cfg(bpf_target_arch = "x86_64")]
impl Registers {
    /// The first five arguments.
    pub fn arguments(&self) -> [u64; 5] {
        [self.di, self.si, self.dx, self.r10, self.r8]
    }
}

/// `struct user_pt_regs`: x0…x7. Source: arch/arm64/include/uapi/asm/ptrace.h.
#[cfg(bpf_target_arch = "aarch64")]
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Registers {
    x: [u64; 8],
}

#[cfg(bpf_target_arch = "aarch64")]
impl Registers {
    /// The first five arguments.
    pub fn arguments(&self) -> [u64; 5] {
        [self.x[0], self.x[1], self.x[2], self.x[3], self.x[4]]
    }
}
