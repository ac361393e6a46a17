//! The kernel's bytes become typed records: the one place where raw records are read.
//!
//! The layouts are `probe_abi`'s; they are read field by field, so that no length or alignment the
//! ring can hold leads to anything but a record or an error.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use probe_abi::{HEAD_BYTES, SOCKADDR_BYTES, direction, flag, hook_event, kind, origin};

use super::{
    Address, Chunk, ConnectionId, Direction, GapReason, Hole, Holes, HookCall, HookEvent, HookId,
    Joined, KernelFile, KtimeNs, Sched, Side, Tgid, file, sched,
};

/// A connection that the kernel side saw begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnection {
    /// Connection.
    pub connection: ConnectionId,
    /// Process.
    pub tgid: Tgid,
    /// When `connect` or `accept` was entered; where sockets are hooked, the call that moved the first
    /// byte.
    pub at: KtimeNs,
    /// Which end the process is, where the kernel side knows.
    pub side: Option<Side>,
    /// Whether the process moved every byte of it while it was watched.
    pub joined: Joined,
    /// Its descriptor; negative where no call named one.
    pub descriptor: Descriptor,
    /// Descriptor it was accepted from.
    pub listener: Option<i32>,
    /// The other end, where the kernel side knows.
    pub peer: Option<Address>,
    /// Number of its socket's inode, where sockets are hooked.
    pub inode: Option<u64>,
}

/// A record of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelRecord<'a> {
    /// Bytes moved.
    Chunk {
        /// The bytes.
        chunk: Chunk<'a>,
        /// Process.
        tgid: Tgid,
        /// Descriptor that the call named.
        fd: i32,
    },
    /// A direction ended.
    HalfClosed {
        /// Connection.
        connection: ConnectionId,
        /// Which direction.
        direction: Direction,
        /// When.
        at: KtimeNs,
    },
    /// A send found no room in the socket.
    Refused {
        /// Connection.
        connection: ConnectionId,
        /// When.
        at: KtimeNs,
    },
    /// A call failed in a way that no connection survives.
    Failed {
        /// Connection.
        connection: ConnectionId,
        /// `errno`, positive.
        errno: i32,
        /// When.
        at: KtimeNs,
    },
    /// A connection began.
    Opened(NewConnection),
    /// A descriptor was closed.
    DescriptorClosed {
        /// Connection.
        connection: ConnectionId,
        /// Which descriptor.
        descriptor: Descriptor,
        /// When.
        at: KtimeNs,
    },
    /// A connection's socket is gone, with every descriptor.
    SocketClosed {
        /// Connection.
        connection: ConnectionId,
        /// When.
        at: KtimeNs,
    },
    /// A connection got another descriptor.
    DescriptorAdded {
        /// Connection.
        connection: ConnectionId,
        /// Which descriptor.
        descriptor: Descriptor,
    },
    /// A watched process made a process.
    Forked {
        /// The child.
        child: Tgid,
        /// Its parent.
        parent: Tgid,
        /// Descriptor table of the child.
        files: u32,
        /// Whether it is the parent's own.
        shared: bool,
        /// When.
        at: KtimeNs,
    },
    /// A process executed a program.
    Executed {
        /// Process.
        tgid: Tgid,
        /// When.
        at: KtimeNs,
    },
    /// A watched process ended.
    Exited {
        /// Process.
        tgid: Tgid,
        /// When.
        at: KtimeNs,
    },
    /// A watched process is gone, and its id was given to another one.
    Gone {
        /// The id.
        tgid: Tgid,
        /// When.
        at: KtimeNs,
    },
    /// A hooked library function was called.
    Hooked {
        /// Which attachment of a hook: the agent knows its library.
        attachment: u32,
        /// The call. Its hook is the agent's to say.
        call: HookCall,
    },
    /// Descriptors changed in a way no record describes.
    DescriptorsChanged {
        /// Process.
        tgid: Tgid,
    },
    /// Something happened to a file under a model root.
    File(KernelFile<'a>),
    /// A thread is on a CPU again.
    Sched(Sched),
}

/// A descriptor of a descriptor table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Descriptor {
    /// Descriptor table.
    pub files: u32,
    /// Descriptor.
    pub fd: i32,
}

/// A record that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than its kind needs, or than it says.
    #[error("record too short")]
    TooShort,
    /// A kind, direction or origin the contract does not have.
    #[error("unknown record kind or value")]
    Unknown,
}

/// Reads one record.
pub fn parse(bytes: &[u8]) -> Result<KernelRecord<'_>, RecordError> {
    let mut fields = Fields(bytes);
    let kind = fields.u16()?;
    let flags = fields.u16()?;
    let size = fields.u32()?;
    let at = KtimeNs(fields.u64()?);
    let tgid = Tgid(fields.u32()?);
    let tid = fields.u32()?;
    if (size as usize) > bytes.len() {
        return Err(RecordError::TooShort);
    }
    match kind {
        kind::CHUNK => chunk(&mut fields, flags, at, tgid, tid),
        kind::END | kind::SHUTDOWN | kind::FAILURE | kind::REFUSED => {
            let connection = ConnectionId(fields.u64()?);
            let _offset = fields.u64()?;
            let errno = fields.u32()? as i32;
            let direction = direction_of(fields.u8()?)?;
            Ok(match kind {
                kind::FAILURE => KernelRecord::Failed {
                    connection,
                    errno,
                    at,
                },
                kind::REFUSED => KernelRecord::Refused { connection, at },
                _ => KernelRecord::HalfClosed {
                    connection,
                    direction,
                    at,
                },
            })
        }
        kind::OPEN => opened(&mut fields, tgid),
        kind::CLOSE => {
            let connection = ConnectionId(fields.u64()?);
            fields.skip(16)?;
            let descriptor = fields.descriptor()?;
            Ok(KernelRecord::DescriptorClosed {
                connection,
                descriptor,
                at,
            })
        }
        kind::SOCKET_CLOSED => Ok(KernelRecord::SocketClosed {
            connection: ConnectionId(fields.u64()?),
            at,
        }),
        kind::DUP => {
            let connection = ConnectionId(fields.u64()?);
            let descriptor = fields.descriptor()?;
            Ok(KernelRecord::DescriptorAdded {
                connection,
                descriptor,
            })
        }
        kind::FORK => {
            let parent = Tgid(fields.u32()?);
            let files = fields.u32()?;
            let shared = fields.u32()? != 0;
            Ok(KernelRecord::Forked {
                child: tgid,
                parent,
                files,
                shared,
                at,
            })
        }
        kind::EXEC => Ok(KernelRecord::Executed { tgid, at }),
        kind::EXIT => Ok(KernelRecord::Exited { tgid, at }),
        kind::GONE => Ok(KernelRecord::Gone { tgid, at }),
        kind::FDS_CHANGED => Ok(KernelRecord::DescriptorsChanged { tgid }),
        kind::SCHED => sched::parse(&mut fields, at, tgid, tid).map(KernelRecord::Sched),
        kind::HOOK => hooked(&mut fields, at, tgid, tid),
        kind => file::parse(kind, &mut fields, tgid, at)?
            .map(KernelRecord::File)
            .ok_or(RecordError::Unknown),
    }
}

fn hooked<'a>(
    fields: &mut Fields<'a>,
    exit: KtimeNs,
    tgid: Tgid,
    tid: u32,
) -> Result<KernelRecord<'a>, RecordError> {
    let enter = KtimeNs(fields.u64()?);
    let argument = fields.u64()?;
    let value = fields.u64()?;
    let attachment = fields.u32()?;
    let event = match fields.u32()? {
        hook_event::ENTERED => HookEvent::Entered,
        hook_event::RETURNED => HookEvent::Returned(value),
        hook_event::RESET => HookEvent::Reset,
        _ => return Err(RecordError::Unknown),
    };
    let call = HookCall {
        hook: HookId::default(),
        tgid,
        tid,
        enter,
        exit,
        instance: argument,
        event,
    };
    Ok(KernelRecord::Hooked { attachment, call })
}

fn chunk<'a>(
    fields: &mut Fields<'a>,
    flags: u16,
    exit: KtimeNs,
    tgid: Tgid,
    tid: u32,
) -> Result<KernelRecord<'a>, RecordError> {
    let connection = ConnectionId(fields.u64()?);
    let offset = fields.u64()?;
    let enter = KtimeNs(fields.u64()?);
    let length = fields.u32()?;
    let captured = fields.u32()?;
    let fd = fields.u32()? as i32;
    let direction = direction_of(fields.u8()?)?;
    fields.skip(1)?;
    let left_out = u32::from(fields.u16()?);
    let bytes = fields.take(captured as usize)?;
    let holes = holes(flags, length, captured, left_out)?;
    let bytes = Cow::Borrowed(bytes);
    let chunk = Chunk {
        connection,
        direction,
        tid,
        offset,
        enter,
        exit,
        length,
        bytes,
        holes,
    };
    Ok(KernelRecord::Chunk { chunk, tgid, fd })
}

/// What a chunk does not hold: content that nobody reads after its first bytes, and what is missing at its end.
fn holes(flags: u16, length: u32, captured: u32, left_out: u32) -> Result<Holes, RecordError> {
    let missing = captured
        .checked_add(left_out)
        .and_then(|here| length.checked_sub(here))
        .ok_or(RecordError::Unknown)?;
    if left_out > 0 && captured < HEAD_BYTES {
        return Err(RecordError::Unknown);
    }
    let unread = (left_out > 0).then_some(Hole {
        at: HEAD_BYTES,
        length: left_out,
        reason: GapReason::Unread,
    });
    let missing = (missing > 0).then_some(Hole {
        at: length - missing,
        length: missing,
        reason: if flags & flag::READ_FAULT != 0 {
            GapReason::ReadFault
        } else if flags & flag::SHED != 0 {
            GapReason::Shed
        } else {
            GapReason::CaptureLimit
        },
    });
    Ok(unread.into_iter().chain(missing).collect())
}

fn opened<'a>(fields: &mut Fields<'a>, tgid: Tgid) -> Result<KernelRecord<'a>, RecordError> {
    let connection = ConnectionId(fields.u64()?);
    let at = KtimeNs(fields.u64()?);
    let fd = fields.u32()? as i32;
    let listener = fields.u32()? as i32;
    let _result = fields.u32()?;
    let files = fields.u32()?;
    let (side, joined) = match fields.u8()? {
        origin::UNKNOWN => (None, Joined::FromStart),
        origin::ACCEPTED => (Some(Side::Server), Joined::FromStart),
        origin::CONNECTED => (Some(Side::Client), Joined::FromStart),
        origin::LATE => (None, Joined::Late),
        _ => return Err(RecordError::Unknown),
    };
    fields.skip(1)?;
    let address_length = usize::from(fields.u16()?);
    fields.skip(4)?;
    let inode = Some(fields.u64()?).filter(|inode| *inode != 0);
    let address = fields.take(SOCKADDR_BYTES)?;
    let peer = address.get(..address_length).and_then(socket_address);
    Ok(KernelRecord::Opened(NewConnection {
        connection,
        tgid,
        at,
        side,
        joined,
        descriptor: Descriptor { files, fd },
        listener: (listener >= 0).then_some(listener),
        peer,
        inode,
    }))
}

fn direction_of(value: u8) -> Result<Direction, RecordError> {
    match value {
        direction::SENT => Ok(Direction::Sent),
        direction::RECEIVED => Ok(Direction::Received),
        _ => Err(RecordError::Unknown),
    }
}

/// Address families. Source: include/linux/socket.h.
const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// A `sockaddr_in`, `sockaddr_in6` or `sockaddr_un`; `None` when it is cut short or of another
/// family. IPv4-mapped IPv6 addresses become IPv4.
pub fn socket_address(bytes: &[u8]) -> Option<Address> {
    let mut fields = Fields(bytes);
    let family = fields.u16().ok()?;
    match family {
        AF_INET => {
            let port = u16::from_be_bytes(fields.array().ok()?);
            let ip = Ipv4Addr::from(fields.array::<4>().ok()?);
            Some(Address::Inet(SocketAddr::new(IpAddr::V4(ip), port)))
        }
        AF_INET6 => {
            let port = u16::from_be_bytes(fields.array().ok()?);
            fields.skip(4).ok()?;
            let ip = Ipv6Addr::from(fields.array::<16>().ok()?);
            Some(Address::Inet(SocketAddr::new(
                IpAddr::V6(ip).to_canonical(),
                port,
            )))
        }
        AF_UNIX => {
            let path = fields.0;
            // An abstract name starts with a zero byte, written `@` by convention.
            let (mark, path) = match path.split_first() {
                Some((0, rest)) if rest.iter().any(|byte| *byte != 0) => ("@", rest),
                _ => ("", path),
            };
            let end = path
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(path.len());
            let path = String::from_utf8_lossy(path.get(..end)?);
            Some(Address::Unix(format!("{mark}{path}")))
        }
        _ => None,
    }
}

/// Reads fields in native byte order from the front of a slice.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(RecordError::TooShort)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), RecordError> {
        self.take(length).map(|_| ())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::TooShort)
    }

    pub(super) fn u8(&mut self) -> Result<u8, RecordError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_ne_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_ne_bytes)
    }

    pub(super) fn descriptor(&mut self) -> Result<Descriptor, RecordError> {
        Ok(Descriptor {
            files: self.u32()?,
            fd: self.u32()? as i32,
        })
    }
}

#[cfg(test)]
mod tests;
