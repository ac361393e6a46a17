//! Where this kernel has what the programs of sockets read.

use probe_abi::Layout;

use super::{AttachError, btf::Types, kernel};

/// From here on the kernel has a helper for a task's registers (`bpf_task_pt_regs`).
const REGISTERS: kernel::Version = (5, 15);

/// The layout as [`Layout`] wants it.
///
/// # Errors
/// Names the field that this kernel does not have.
pub(super) fn of_kernel() -> Result<Layout, AttachError> {
    let types = Types::of_kernel().ok_or_else(AttachError::sockets_need_btf)?;
    let offset = |structure: &str, path: &str| {
        let found = types.offset(structure, path);
        found.ok_or_else(|| AttachError::no_field(structure, path))
    };
    let either = |structure: &str, path: &str, before: &str| {
        offset(structure, path).or_else(|error| offset(structure, before).map_err(|_| error))
    };
    let iterator = |name| types.enumerator("iter_type", name).unwrap_or(u32::MAX);
    let has_direction = types.offset("iov_iter", "iter_type").is_none();
    Ok(Layout {
        sock_socket: offset("sock", "sk_socket")?,
        sock_family: offset("sock", "__sk_common.skc_family")?,
        sock_type: offset("sock", "sk_type")?,
        sock_protocol: offset("sock", "sk_protocol")?,
        sock_peer_port: offset("sock", "__sk_common.skc_dport")?,
        sock_peer_v4: offset("sock", "__sk_common.skc_daddr")?,
        sock_peer_v6: offset("sock", "__sk_common.skc_v6_daddr").unwrap_or(0),
        socket_sock: offset("socket", "sk")?,
        socket_inode: offset("socket_alloc", "vfs_inode")? + offset("inode", "i_ino")?,
        socket_file: offset("socket", "file")?,
        file_inode: offset("file", "f_inode")?,
        inode_number: offset("inode", "i_ino")?,
        message_iterator: offset("msghdr", "msg_iter")?,
        iterator_type: either("iov_iter", "iter_type", "type")?,
        iterator_type_mask: if has_direction { !1 } else { 0xff },
        iterator_offset: offset("iov_iter", "iov_offset")?,
        iterator_data: either("iov_iter", "__iov", "iov")?,
        iterator_segments: offset("iov_iter", "nr_segs")?,
        type_buffer: iterator("ITER_UBUF"),
        type_vectors: iterator("ITER_IOVEC"),
        type_kernel_vectors: iterator("ITER_KVEC"),
        task_files: offset("task_struct", "files")?,
        task_ring: offset("task_struct", "io_uring").unwrap_or(0),
        task_stack: if kernel::running() < REGISTERS {
            offset("task_struct", "stack")?
        } else {
            0
        },
        files_table: offset("files_struct", "fdt")?,
        table_size: offset("fdtable", "max_fds")?,
        table_files: offset("fdtable", "fd")?,
        file_private: offset("file", "private_data")?,
        receive_parameters: match types.parameters("tcp_recvmsg") {
            Some(known @ 4..=6) => known as u32,
            _ => return Err(AttachError::no_field("tcp_recvmsg", "flags")),
        },
    })
}
