//! Where the programs of sockets find what they read in the kernel's own structures, which differ from
//! kernel to kernel: the agent looks it up in the kernel's type information before they are loaded.

/// Value of [`crate::global::LAYOUT`]. Offsets are bytes from the beginning of the structure named.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `sock.sk_socket`
    pub sock_socket: u32,
    /// `sock.__sk_common.skc_family`, 2 bytes.
    pub sock_family: u32,
    /// `sock.sk_type`, 2 bytes.
    pub sock_type: u32,
    /// `sock.sk_protocol`, 2 bytes (from Linux 5.6).
    pub sock_protocol: u32,
    /// `sock.__sk_common.skc_dport`, 2 bytes in network order.
    pub sock_peer_port: u32,
    /// `sock.__sk_common.skc_daddr`, 4 bytes.
    pub sock_peer_v4: u32,
    /// `sock.__sk_common.skc_v6_daddr`, 16 bytes; 0 where the kernel has no IPv6.
    pub sock_peer_v6: u32,
    /// `socket.sk`
    pub socket_sock: u32,
    /// `socket_alloc.vfs_inode.i_ino`, 8 bytes. A `socket` is the first thing in a `socket_alloc`.
    pub socket_inode: u32,
    /// `socket.file`
    pub socket_file: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `inode.i_ino`, 8 bytes.
    pub inode_number: u32,
    /// `msghdr.msg_iter`
    pub message_iterator: u32,
    /// `iov_iter.iter_type`, 1 byte; before Linux 5.14 `iov_iter.type`, 4 bytes.
    pub iterator_type: u32,
    /// Bits of it that are the type: before 5.14 its lowest bit is a direction.
    pub iterator_type_mask: u32,
    /// `iov_iter.iov_offset`, 8 bytes.
    pub iterator_offset: u32,
    /// `iov_iter.__iov` (before 6.4 `iov`), `ubuf`, `kvec`: one union.
    pub iterator_data: u32,
    /// `iov_iter.nr_segs`, 8 bytes.
    pub iterator_segments: u32,
    /// `ITER_UBUF` (from 6.0): one buffer of the process; `u32::MAX` where there is no such type.
    pub type_buffer: u32,
    /// `ITER_IOVEC`: buffers of the process.
    pub type_vectors: u32,
    /// `ITER_KVEC`: buffers of the kernel.
    pub type_kernel_vectors: u32,
    /// `task_struct.files`
    pub task_files: u32,
    /// `task_struct.io_uring`; 0 where the kernel has none.
    pub task_ring: u32,
    /// `task_struct.stack`, where the kernel has no helper for a task's registers (before 5.15); else 0.
    pub task_stack: u32,
    /// `files_struct.fdt`
    pub files_table: u32,
    /// `fdtable.max_fds`, 4 bytes.
    pub table_size: u32,
    /// `fdtable.fd`
    pub table_files: u32,
    /// `file.private_data`
    pub file_private: u32,
    /// How many parameters `tcp_recvmsg` has: 6 before Linux 5.19, 5 from then on, 4 in later releases.
    pub receive_parameters: u32,
}
