//! Which connection a socket is, however many descriptors and processes it has.

use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_get_current_pid_tgid};
use probe_abi::{CloseRecord, OpenRecord, Process, kind, origin};

use super::{
    origin::Origin,
    socket::{Kind, Socket, works_for_ring},
};
use crate::{
    call, connection,
    descriptor::duplicate,
    emit::{control, header, urgent},
    maps::{FOUND, ORIGINS, SOCKETS},
    values::Bound,
};

/// A call on a socket.
pub struct Use {
    pub socket: Socket,
    /// Descriptor that the call named; negative for none.
    pub fd: i32,
    pub enter_ns: u64,
    /// What it returned.
    pub result: i32,
}

/// Which connection a call was on. These are no `Option`s (see [`crate::layout::read`]).
#[derive(Clone, Copy)]
pub struct Known {
    /// 0 for none.
    pub connection: u64,
    /// Descriptor that it is known by.
    pub fd: i32,
    /// Whether the call that the thread is in named this socket.
    pub is_named: bool,
}

impl Known {
    pub const NOTHING: Self = Self {
        connection: 0,
        fd: -1,
        is_named: false,
    };

    /// What is bound, by the descriptor of the call that moved the first byte that was seen, whichever this one names.
    #[inline(always)]
    pub fn own(bound: &Bound) -> Self {
        Self {
            connection: bound.connection,
            fd: bound.fd,
            is_named: false,
        }
    }
}

/// The number that a socket without a descriptor is known by: no descriptor has it.
#[inline(always)]
fn number(inode: u64) -> i32 {
    inode as i32 | i32::MIN
}

/// The connection of a socket that a tracepoint was given and of which the process moved the first byte that was
/// seen: cheaper than [`connection`]. Connection 0 where that has to tell.
#[inline(always)]
pub fn own_connection(process: &Process, socket: Socket) -> Bound {
    let bound = bound(socket);
    let is_own = bound.tgid != 0 && bound.files == process.files;
    // None of one that nobody wants, or that ended with the program that the process executed before.
    if is_own
        && bound.inode == socket.loaded_inode()
        && connection::state(bound.connection).is_some()
    {
        bound
    } else {
        Bound::NOTHING
    }
}

/// The connection of a socket that a process uses; begins one where it has none and bytes moved. None where
/// none moved yet, the socket is no stream, or a map is full.
///
/// `ends_are_told`: whether somebody tells when a unix socket is gone. Else one without a descriptor
/// would stay for ever.
#[inline(always)]
pub fn connection(process: &Process, used: &Use, ends_are_told: bool) -> Known {
    let Use { socket, fd, .. } = *used;
    let inode = socket.inode();
    let files = process.files;
    let known = if fd < 0 {
        0
    } else {
        call::socket(files, fd).map_or(0, |entry| entry.connection)
    };
    let bound = bound(socket);
    if bound.connection != 0 && bound.inode == inode {
        let connection = bound.connection;
        // One that nobody wants any more has no state left, and keeps its descriptor.
        if fd < 0 || known == connection {
            let is_named = fd >= 0;
            let fd = if is_named { fd } else { number(inode) };
            return Known {
                connection,
                fd,
                is_named,
            };
        }
        if connection::state(connection).is_some() {
            if socket.is_behind(fd) {
                duplicate(connection, files, fd);
                return Known {
                    connection,
                    fd,
                    is_named: true,
                };
            }
            // Closed meanwhile, or another socket's.
            return Known {
                connection,
                fd: number(inode),
                is_named: !works_for_ring(),
            };
        }
    }
    if used.result <= 0 || inode == 0 {
        return Known::NOTHING;
    }
    let kind = socket.kind();
    let is_behind = fd >= 0 && socket.is_behind(fd);
    let is_named = is_behind || (fd >= 0 && !works_for_ring());
    if kind == Kind::Other || (!is_behind && kind == Kind::Unix && !ends_are_told) {
        return Known::NOTHING;
    }
    let new = New {
        inode,
        fd: if is_behind { fd } else { number(inode) },
        kind,
        bound,
        end_is_told: kind == Kind::Tcp || ends_are_told,
    };
    Known {
        connection: begin(process, used, &new),
        fd: new.fd,
        is_named,
    }
}

/// Which connection the address of a socket has, its own or that of one that is gone; connection 0 for none.
#[inline(always)]
fn bound(socket: Socket) -> Bound {
    // SAFETY: aligned words, of which the second tells whether they are this socket's.
    SOCKETS
        .get_ptr(socket.0)
        .map_or(Bound::NOTHING, |bound| unsafe { *bound })
}

/// A socket without a connection.
struct New {
    inode: u64,
    fd: i32,
    kind: Kind,
    /// What its address had.
    bound: Bound,
    /// Whether somebody tells when it is gone.
    end_is_told: bool,
}

/// Begins a connection, and gives it; 0 for none.
#[inline(always)]
fn begin(process: &Process, used: &Use, new: &New) -> u64 {
    let socket = used.socket;
    let New { inode, fd, .. } = *new;
    let begun = take_origin(new.kind, socket, process.since_ns);
    let replaces = new.bound.connection != 0;
    // SAFETY: an aligned word.
    let found = FOUND.get_ptr(inode).map_or(0, |found| unsafe { *found });
    let files = process.files;
    let bound_to = |connection| Bound {
        connection,
        inode,
        // Else the agent compares its descriptors, and each has to be told.
        tgid: if new.end_is_told {
            (bpf_get_current_pid_tgid() >> 32) as u32
        } else {
            0
        },
        files,
        fd,
        pad: 0,
    };
    let is_found = found != 0 && bind(&bound_to(found), socket, replaces);
    let connection = if is_found {
        found
    } else {
        let Some(connection) = connection::create() else {
            return 0;
        };
        if !bind(&bound_to(connection), socket, replaces) {
            // Another thread was the first on this socket.
            connection::forget(connection);
            let bound = bound(socket);
            return if bound.inode == inode {
                bound.connection
            } else {
                0
            };
        }
        connection
    };
    if is_found && !new.end_is_told {
        duplicate(found, files, fd);
        return found;
    }
    if !connection::attach(files, fd, connection) {
        if is_found {
            return found;
        }
        connection::forget(connection);
        return 0;
    }
    let mut record = OpenRecord {
        header: header::<OpenRecord>(kind::OPEN),
        connection,
        enter_ns: used.enter_ns,
        fd,
        files,
        origin: begun.origin as u8,
        address_length: begun.length as u16,
        inode,
        ..OpenRecord::default()
    };
    // It had a connection before, which is forgotten, or is older than the probe.
    if is_found || new.bound.inode == inode {
        record.origin = origin::LATE;
    }
    // SAFETY: the record has room for any address.
    unsafe {
        let to = record.address.as_mut_ptr().cast::<[u8; 28]>();
        to.write_unaligned(begun.address);
    }
    // The agent asks the socket who it is, and it may not be there for long. Of one that it found it learns that
    // its end is told from now on.
    urgent(&record);
    connection
}

/// How a socket began, if that was since the process is watched; `LATE` or `UNKNOWN` where nobody saw it.
/// Once: what is begun later has moved bytes before.
#[inline(always)]
fn take_origin(kind: Kind, socket: Socket, since_ns: u64) -> Origin {
    let untold = Origin {
        established_ns: 0,
        origin: u32::from(if kind == Kind::Tcp {
            origin::LATE
        } else {
            origin::UNKNOWN
        }),
        length: 0,
        address: [0; 28],
        pad: 0,
    };
    if kind != Kind::Tcp {
        return untold;
    }
    let Some(entry) = ORIGINS.get_ptr(socket.0) else {
        return untold;
    };
    // SAFETY: the entry is written once, before the socket can move bytes.
    let begun = unsafe { *entry };
    // Another thread may have taken it meanwhile, for the same connection.
    let _absent = ORIGINS.remove(socket.0);
    if begun.established_ns >= since_ns {
        begun
    } else {
        untold
    }
}

/// Gives a connection its socket; false where it has another one or is not there any more, and where the
/// socket has another connection.
#[inline(always)]
fn bind(bound: &Bound, socket: Socket, replaces: bool) -> bool {
    let Bound {
        connection, inode, ..
    } = *bound;
    let Some(state) = connection::state(connection) else {
        return false;
    };
    // SAFETY: an aligned word of a value that lives as long as the program runs.
    let owner = unsafe { (*state).inode };
    if owner != 0 && owner != inode {
        return false;
    }
    // SAFETY: as above.
    unsafe { (*state).inode = inode };
    if replaces {
        // Absent where another thread did so at this moment.
        let _absent = SOCKETS.remove(socket.0);
    }
    SOCKETS
        .insert(socket.0, bound, u64::from(BPF_NOEXIST))
        .is_ok()
}

/// A socket is gone, whoever had it. `kept`: the connection that a socket has which is not here any more, as others
/// were used more recently; 0 for none.
#[inline(always)]
pub fn gone(socket: Socket, kept: u64) {
    // SAFETY: an aligned word.
    let connection = SOCKETS
        .get_ptr(socket.0)
        .map_or(kept, |bound| unsafe { (*bound).connection });
    if connection == 0 {
        return;
    }
    let _gone = SOCKETS.remove(socket.0);
    // SAFETY: two aligned words; the offsets only tell how far the streams got.
    let offset = unsafe { connection::state(connection).map_or([0; 2], |state| (*state).offset) };
    control(&CloseRecord {
        header: header::<CloseRecord>(kind::SOCKET_CLOSED),
        connection,
        offset,
        files: 0,
        fd: -1,
    });
}
