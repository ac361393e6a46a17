//! The socket tier: programs at the kernel's tracepoints of sockets. What tells how connections begin and
//! end is shared with the tiers of functions.

use aya::{
    Btf, Ebpf,
    maps::{MapError, ProgramArray},
    programs::{BtfTracePoint, ProgramError},
};
use probe_abi::{map, program};

use super::{AttachError, kernel, tracefs};

/// From here on the kernel preempts the programs of tracepoints and skips one while another thread of its
/// CPU is inside it: a skipped one may leave one connection's bytes with another.
const PREEMPTED: kernel::Version = (7, 2);

/// Tells that a socket has sent.
const SENT: &str = "sock_send_length";

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
        ("sock", SENT),
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
    let sent = if tracefs::has("tcp", "tcp_sendmsg_locked") {
        hand_on(ebpf, btf)?;
        typed(ebpf, program::SOCKET_SENDS, "tcp_sendmsg_locked", btf)?;
        program::SOCKET_SENT
    } else {
        program::SOCKET_SENT_ANY
    };
    typed(ebpf, program::SOCKET_RECEIVED, "sock_recv_length", btf)?;
    typed(ebpf, sent, SENT, btf)
}

/// Gives the program of sends the one that it hands on to.
fn hand_on(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    let name = program::SOCKET_SENT_ANY;
    let failed = |error: ProgramError| AttachError::program(name, &error);
    let any = loaded(ebpf, name, SENT, btf)?.fd().map_err(failed)?;
    let any = any.try_clone().map_err(|error| failed(error.into()))?;
    let map = ebpf.map_mut(map::SENT_ANY);
    let map = map.ok_or_else(|| AttachError::damaged(map::SENT_ANY))?;
    let failed = |error: MapError| AttachError::map(&error);
    let mut programs = ProgramArray::try_from(map).map_err(failed)?;
    programs.set(0, &any, 0).map_err(failed)
}

/// Attaches what tells how TCP connections begin and end.
pub(super) fn attach_ends(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    typed(ebpf, program::SOCKET_STATE, "inet_sock_set_state", btf)?;
    typed(ebpf, program::SOCKET_GONE, "tcp_destroy_sock", btf)
}

fn typed(ebpf: &mut Ebpf, name: &str, point: &str, btf: &Btf) -> Result<(), AttachError> {
    let failed = |error: ProgramError| AttachError::program(name, &error);
    loaded(ebpf, name, point, btf)?.attach().map_err(failed)?;
    Ok(())
}

fn loaded<'a>(
    ebpf: &'a mut Ebpf,
    name: &str,
    point: &str,
    btf: &Btf,
) -> Result<&'a mut BtfTracePoint, AttachError> {
    let failed = |error: ProgramError| AttachError::program(name, &error);
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| AttachError::damaged(name))?;
    let program: &mut BtfTracePoint = program.try_into().map_err(failed)?;
    program.load(point, btf).map_err(failed)?;
    Ok(program)
}
