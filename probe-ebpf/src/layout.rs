//! The kernel's own structures, read where the agent found their fields.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use probe_abi::Layout;

/// Set by the agent before the programs are loaded.
#[unsafe(no_mangle)]
static LAYOUT: Layout = Layout {
    sock_socket: 0,
    sock_family: 0,
    sock_type: 0,
    sock_protocol: 0,
    sock_peer_port: 0,
    sock_peer_v4: 0,
    sock_peer_v6: 0,
    socket_sock: 0,
    socket_inode: 0,
    socket_file: 0,
    file_inode: 0,
    inode_number: 0,
    message_iterator: 0,
    iterator_type: 0,
    iterator_type_mask: 0,
    iterator_offset: 0,
    iterator_data: 0,
    iterator_segments: 0,
    type_buffer: 0,
    type_vectors: 0,
    type_kernel_vectors: 0,
    task_files: 0,
    task_ring: 0,
    task_stack: 0,
    files_table: 0,
    table_size: 0,
    table_files: 0,
    file_private: 0,
    receive_parameters: 0,
};

/// One of the layout's numbers. To the verifier each is a constant.
macro_rules! layout {
    ($field:ident) => {
        // SAFETY: a constant of the program; volatile, because it is not the one compiled here.
        unsafe { (&raw const (*$crate::layout::address()).$field).read_volatile() }
    };
}

pub(crate) use layout;

/// Where the layout is.
#[inline(always)]
pub fn address() -> *const Layout {
    &raw const LAYOUT
}

/// A value of the kernel's, so many bytes into a structure; zero where it cannot be read. No `Option`: what is
/// not there is nothing that may be read, and before Linux 6.3 the verifier sees to that, also where the
/// compiler reads it only to forget it.
#[inline(always)]
pub fn read<T: Copy + Default>(structure: u64, offset: u32) -> T {
    let mut value = T::default();
    let to = (&raw mut value).cast();
    // SAFETY: `to` has room for a `T`, of which any bytes are one; the helper clears it where it fails.
    let _failed = unsafe {
        bpf_probe_read_kernel(
            to,
            size_of::<T>() as u32,
            (structure + u64::from(offset)) as *const _,
        )
    };
    value
}

/// Eight bytes, so far into a structure whose type the verifier knows, that a program was given a pointer to: a load
/// where [`read`] is a call. Zero where it cannot be read.
#[inline(always)]
pub fn load_word(structure: u64, offset: u32) -> u64 {
    let mut value = structure;
    // SAFETY: the kernel refuses the program where there is no such field.
    unsafe {
        core::arch::asm!(
            "{0} += {1}",
            "{0} = *(u64 *)({0} + 0)",
            inout(reg) value,
            in(reg) u64::from(offset),
            options(nostack, readonly),
        );
    }
    value
}

/// As [`load_word`], one byte.
#[inline(always)]
pub fn load_byte(structure: u64, offset: u32) -> u8 {
    let mut value = structure;
    // SAFETY: see `load_word`.
    unsafe {
        core::arch::asm!(
            "{0} += {1}",
            "{0} = *(u8 *)({0} + 0)",
            inout(reg) value,
            in(reg) u64::from(offset),
            options(nostack, readonly),
        );
    }
    value as u8
}
