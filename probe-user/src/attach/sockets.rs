//! The socket tier: programs at the kernel's tracepoints of sockets.

use aya::{
    Btf, Ebpf,
    programs::{BtfTracePoint, ProgramError},
};
use probe_abi::program;

use super::{AttachError, kernel, links::Links, programs, tracefs};

/// Where the programs read: fields of `sock:inet_sock_set_state`.
const STATE_LAYOUT: [tracefs::Field; 7] = [
    ("sock", STATE, "skaddr", 8),
    ("sock", STATE, "oldstate", 16),
    ("sock", STATE, "newstate", 20),
    ("sock", STATE, "dport", 26),
    ("sock", STATE, "family", 28),
    ("sock", STATE, "daddr[4]", 36),
    ("sock", STATE, "daddr_v6[16]", 56),
];

const STATE: &str = "inet_sock_set_state";

/// From here on the kernel preempts the programs of tracepoints and skips one while another thread of its
/// CPU is inside it: a skipped one may leave one connection's bytes with another.
const PREEMPTED: kernel::Version = (7, 2);

/// What can be told before anything is loaded.
pub(super) fn can_run(files: bool) -> Result<(), AttachError> {
    let running = kernel::running();
    if running >= PREEMPTED {
        return Err(AttachError::sockets_are_preempted(running));
    }
    if files {
        return Err(AttachError::files_need_syscalls());
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
    tracefs::check(&STATE_LAYOUT)
}

/// Attaches what tells how connections begin and end first, then what tells of their bytes.
pub(super) fn attach(ebpf: &mut Ebpf, links: &mut Links) -> Result<(), AttachError> {
    let btf = Btf::from_sys_fs().map_err(|_| AttachError::sockets_need_btf())?;
    programs::tracepoint(
        ebpf,
        links,
        program::SOCKET_STATE,
        &[("sock", STATE.to_owned())],
    )?;
    typed(ebpf, program::SOCKET_GONE, "tcp_destroy_sock", &btf)?;
    // From 6.16. Without it a send is as late as its end, which only a blocked one notices.
    if tracefs::has("tcp", "tcp_sendmsg_locked") {
        typed(ebpf, program::SOCKET_SENDS, "tcp_sendmsg_locked", &btf)?;
    }
    typed(ebpf, program::SOCKET_RECEIVED, "sock_recv_length", &btf)?;
    typed(ebpf, program::SOCKET_SENT, "sock_send_length", &btf)
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
