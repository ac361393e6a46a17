//! A call that moves bytes returned: where its bytes are and where they stand in their stream.

use aya_ebpf::{EbpfContext, helpers::bpf_probe_read_user};
use aya_log_ebpf::debug;
use probe_abi::{Connection, EndRecord, call, direction, kind, loss};

use crate::{
    buffers::{Source, UserMessage, source},
    connection,
    count::fetch_add,
    descriptor,
    emit::{control, count_loss, header},
    payload::{capture, slot},
    sched,
    values::{Call, Transfer},
};

/// Flags of receives that do not take the next bytes of the stream. Source: include/linux/socket.h.
const MSG_OOB: u64 = 0x1;
const MSG_PEEK: u64 = 0x2;
const MSG_ERRQUEUE: u64 = 0x2000;

/// No room in the socket, or nothing to read. Source: include/uapi/asm-generic/errno-base.h.
const EAGAIN: i64 = -11;

/// Errors after which a connection is dead. Source: include/uapi/asm-generic/errno.h.
const EPIPE: i64 = -32;
const ECONNABORTED: i64 = -103;
const ECONNRESET: i64 = -104;
const ETIMEDOUT: i64 = -110;
const ECONNREFUSED: i64 = -111;
const EHOSTUNREACH: i64 = -113;

/// Whether a call with these arguments (second to fourth) would move its stream.
#[inline(always)]
pub fn moves_stream(kind: u8, args: &[u64; 3]) -> bool {
    let flags = match kind {
        call::RECVFROM | call::RECVMMSG => args[2],
        call::RECVMSG => args[1],
        _ => return true,
    };
    takes_next(flags)
}

/// Whether a receive with these flags takes the next bytes of the stream.
#[inline(always)]
pub fn takes_next(flags: u64) -> bool {
    flags & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) == 0
}

/// Whether a call sends.
#[inline(always)]
pub fn sends(kind: u8) -> bool {
    matches!(
        kind,
        call::WRITE
            | call::WRITEV
            | call::SENDTO
            | call::SENDMSG
            | call::SENDMMSG
            | call::OTHER_SEND
    )
}

/// Any of the transferring calls returned.
#[inline(always)]
pub fn transferred<C: EbpfContext>(ctx: &C, pending: &Call, result: i64) {
    let kind = pending.call as u8;
    let direction = if sends(kind) {
        direction::SENT
    } else {
        direction::RECEIVED
    };
    if kind == call::RECVMSG {
        descriptor::passed(pending, result);
    }
    let asked = || match kind {
        call::READ | call::RECVFROM | call::READV => pending.args[1],
        call::RECVMSG => wanted(pending.args[0]),
        _ => 0,
    };
    let transfer = pending.transfer();
    if !has_moved(ctx, &transfer, direction, result, asked) {
        return;
    }
    if let Some(connection) = connection::state(pending.connection)
        && let Some(source) = source(kind, pending, result as u32)
    {
        moved(&transfer, connection, direction, &source, slot::ONLY);
    }
}

/// Bytes moved: where they stand in their stream, and what they are.
#[inline(always)]
pub fn moved(
    transfer: &Transfer,
    connection: *mut Connection,
    direction: u8,
    source: &Source,
    slot: u32,
) {
    if let Some(offset) = advance(connection, direction, source.length) {
        capture(transfer, direction, offset, source, slot);
    }
}

/// Whether a call moved bytes. Tells what else its result means. `asked`: bytes that it asked for.
#[inline(always)]
pub fn has_moved<C: EbpfContext>(
    ctx: &C,
    transfer: &Transfer,
    direction: u8,
    result: i64,
    asked: impl FnOnce() -> u64,
) -> bool {
    if result == EAGAIN && direction == direction::SENT {
        if sched::send_refused() {
            refused(transfer.connection);
        }
        return false;
    }
    if result < 0 {
        let dead = matches!(
            result,
            EPIPE | ECONNABORTED | ECONNRESET | ETIMEDOUT | ECONNREFUSED | EHOSTUNREACH
        );
        if dead {
            debug!(ctx, "descriptor {} failed with {}", transfer.fd, result);
            descriptor::ended(
                kind::FAILURE,
                transfer.connection,
                direction,
                -result as i32,
            );
        }
        return false;
    }
    // Zero bytes received is the end of the stream, unless zero were asked for.
    if result == 0 && direction == direction::RECEIVED && asked() != 0 {
        descriptor::ended(kind::END, transfer.connection, direction, 0);
    }
    result != 0
}

/// Bytes a `recvmsg` asked for: whether its message has any buffer at all.
#[inline(always)]
fn wanted(message: u64) -> u64 {
    // SAFETY: a failing read says 0: then the end of the stream shows at the next receive.
    unsafe { bpf_probe_read_user(message as *const UserMessage).map_or(0, |m| m.iov_count) }
}

/// A send found no room. The next ones do neither, until one does: that is told once.
#[inline(always)]
fn refused(connection: u64) {
    let Some(state) = connection::state(connection) else {
        return;
    };
    let index = usize::from(direction::SENT);
    // SAFETY: the value lives as long as the program runs. Two threads at once tell it twice.
    let offset = unsafe { (*state).offset[index] };
    // SAFETY: as above.
    if unsafe { (*state).refused } == offset + 1 {
        return;
    }
    // SAFETY: as above.
    unsafe { (*state).refused = offset + 1 }
    control(&EndRecord {
        header: header::<EndRecord>(kind::REFUSED),
        connection,
        offset,
        direction: direction::SENT,
        ..EndRecord::default()
    });
}

/// Takes the next `length` bytes of a stream; `None` when nobody can tell where they stand.
#[inline(always)]
fn advance(state: *mut Connection, direction: u8, length: u32) -> Option<u64> {
    // In one step, so that two threads that return at once take different positions.
    // SAFETY: the value lives as long as the program runs, and the index is 0 or 1.
    let offset = unsafe {
        let counter = &raw mut (*state).offset[usize::from(direction & 1)];
        fetch_add(counter, u64::from(length))
    };
    if offset.is_none() {
        count_loss(loss::UNPLACED);
    }
    offset
}
