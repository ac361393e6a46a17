//! The socket tier: programs at the kernel's tracepoints of sockets. What tells how connections begin and
//! end is shared with the tiers of functions.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, ProgramError},
};
use probe_abi::program;

use super::{AttachError, kernel, tracefs};

/// From here on the kernel preempts the programs of tracepoints and skips one while another thread of its
/// CPU is inside it: a skipped one may leave one connection's bytes with another.
const PREEMPTED: kernel::Version = (7, 2);

/// What can be told before anything is loaded.
pub(super) fn can_run(files: bool) -> Result<(), AttachError> {
    if files {
        return Err(AttachError::files_need_syscalls());
    }
    let running = kernel::running();
    if running >= PREEMPTED {
        return Err(AttachError::sockets_are_preempted(running));
    }
    for (category, name) in [
        ("sock", "sock_send_length"),
        ("sock", "sock_recv_length"),
        ("tcp", "tcp_destroy_sock"),
    ] {
        if !tracefs::has(category, name) {
            return Err(AttachError::no_socket_tracepoint(category, name));
        }
    }
    if !super::has_btf() {
        return Err(AttachError::sockets_need_btf());
    }
    Ok(())
}

/// Attaches what tells how connections begin and end first, then what tells of their bytes.
pub(super) fn attach(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    attach_ends(ebpf, btf)?;
    // From 6.16. Without it a send is as late as its end, which only a blocked one notices.
    if tracefs::has("tcp", "tcp_sendmsg_locked") {
        typed(ebpf, program::SOCKET_SENDS, "tcp_sendmsg_locked", btf)?;
    }
    typed(ebpf, program::SOCKET_RECEIVED, "sock_recv_length", btf)?;
    typed(ebpf, program::SOCKET_SENT, "sock_send_length", btf)
}

/// Attaches what tells how TCP connections begin and end.
pub(super) fn attach_ends(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    typed(ebpf, program::SOCKET_STATE, "inet_sock_set_state", btf)?;
    typed(ebpf, program::SOCKET_GONE, "tcp_destroy_sock", btf)
}

fn typed(ebpf: &mut Ebpf, name: &str, point: &str, btf: &Btf) -> Result<(), AttachError> {
    let failed = |error: ProgramError| AttachError::program(name, &error);
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| AttachError::damaged(name))?;
    let program: &mut BtfTracePoint = program.try_into().map_err(failed)?;
    program.load(point, btf).map_err(failed)?;
    program.attach().map_err(failed)?;
    Ok(())
}
