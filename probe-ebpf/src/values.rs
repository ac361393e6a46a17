//! What the kernel side's own maps hold. The shared ones hold `probe_abi`'s types.

use probe_abi::{ChunkRecord, FRAGMENT_BYTES, FileOpenRecord, PATH_BYTES, PathKey};

/// A call in flight.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    /// Connection of the descriptor; 0 when it has none.
    pub connection: u64,
    /// Kernel time of the entry, nanoseconds.
    pub enter_ns: u64,
    /// Second to fourth argument as the syscall got them.
    pub args: [u64; 3],
    /// First argument.
    pub fd: i32,
    /// Descriptor table of the process.
    pub files: u32,
    /// One of `probe_abi::call`; 0 when the thread is in no call that matters.
    pub call: u32,
    /// Number of the syscall.
    pub number: u32,
    /// Thread that makes it (`bpf_get_current_pid_tgid`).
    pub thread: u64,
}

impl Call {
    /// What its record tells of it.
    #[inline(always)]
    pub fn transfer(&self) -> Transfer {
        Transfer {
            connection: self.connection,
            enter_ns: self.enter_ns,
            thread: self.thread,
            fd: self.fd,
            call: self.call as u8,
        }
    }
}

/// A call that moves bytes, as its record tells of it.
pub struct Transfer {
    pub connection: u64,
    /// Kernel time of the entry, nanoseconds.
    pub enter_ns: u64,
    /// Thread that makes it (`bpf_get_current_pid_tgid`).
    pub thread: u64,
    /// Descriptor that the connection is known by.
    pub fd: i32,
    /// One of `probe_abi::call`.
    pub call: u8,
}

/// Where a thread is in a call of several messages.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Messages {
    /// Address of the first message.
    pub first: u64,
    /// Number of the next one.
    pub next: u64,
}

/// A socket on which one process sends.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sender {
    /// Address of its `struct sock`; 0 for none, 1 while another one comes here.
    pub socket: u64,
    /// Thread that sends on it (`bpf_get_current_pid_tgid`), where [`Self::moving`] is what; else 0.
    pub mover: u64,
    /// Thread whose send was the last one to be remembered here: none of its is under way that began before.
    pub settled: u64,
    pub moving: Move,
    pub bound: Bound,
    /// 1 once a thread began to send before what another one had sent was told: what they move is then kept by
    /// thread.
    pub is_shared: u64,
}

/// The connection of a `struct sock`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bound {
    pub connection: u64,
    /// Number of the socket's inode: of two sockets that had the address, it tells which one it was.
    pub inode: u64,
    /// Process that began it; 0 where other calls have to be followed too.
    pub tgid: u32,
    /// Descriptor table of that process.
    pub files: u32,
    /// Descriptor that it is known by there.
    pub fd: i32,
    /// Zero.
    pub pad: u32,
}

impl Bound {
    /// None.
    pub const NOTHING: Self = Self {
        connection: 0,
        inode: 0,
        tgid: 0,
        files: 0,
        fd: -1,
        pad: 0,
    };
}

/// What a function of a socket was told to move, kept from its entry to its return.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Move {
    /// Address of the `struct sock`; 0 when the thread is in none.
    pub socket: u64,
    /// Kernel time of the entry, nanoseconds.
    pub enter_ns: u64,
    /// Address of the only buffer, or of the array of `iovec`; 0 where nobody can tell.
    pub data: u64,
    /// Bytes of the first buffer that are done already.
    pub skip: u64,
    /// Bytes asked for.
    pub length: u64,
    /// Number of `iovec`; 0 for one buffer.
    pub vectors: u32,
    /// Of `buffers::memory`.
    pub memory: u32,
    /// Of `probe_abi::direction`.
    pub direction: u32,
    /// Zero.
    pub pad: u32,
}

impl Move {
    /// None.
    pub const NOTHING: Self = Self {
        socket: 0,
        enter_ns: 0,
        data: 0,
        skip: 0,
        length: 0,
        vectors: 0,
        memory: 0,
        direction: 0,
        pad: 0,
    };
}

/// Where a chunk record is put together. Twice the fragment, so that "an offset below the
/// fragment's size plus a length of at most that size" is visibly in range for the verifier.
#[repr(C)]
pub struct Scratch {
    pub record: ChunkRecord,
    pub payload: [u8; 2 * FRAGMENT_BYTES],
    pub cursor: Cursor,
}

/// How far a copy got. It lives in the map and is read and written there at every step: then the
/// verifier knows nothing about the values, finds each step's state equal however it was reached,
/// and walks the loop in thousands of instructions rather than millions.
#[repr(C)]
pub struct Cursor {
    /// Rest of the current buffer: its address and its bytes.
    pub base: u64,
    pub left: u32,
    /// Stream bytes not yet copied or left out.
    pub remaining: u32,
    /// Next `iovec` and how many are left of the current message.
    pub iov: u64,
    pub iovs: u32,
    /// Payload bytes in the scratch buffer.
    pub used: u32,
    /// Next `mmsghdr` and how many are left.
    pub message: u64,
    pub messages: u32,
    /// Whether memory could not be read.
    pub fault: u32,
    /// Bytes of the next buffer that are left out.
    pub skip: u64,
    /// Of `buffers::memory`.
    pub memory: u32,
    /// Bytes to leave out before the next copy.
    pub unread: u32,
    /// Where in the first bytes the next field of a message is.
    pub field: u32,
    /// Bytes that are not captured because the ring fills up.
    pub shed: u32,
}

/// Which call of a hooked function: a thread may be in several, of one function (recursion: the
/// stack differs) or of several that jump into each other (the cookie differs).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HookKey {
    /// `bpf_get_current_pid_tgid`.
    pub thread: u64,
    /// Stack pointer as it is after the return.
    pub stack: u64,
    /// Attach cookie.
    pub cookie: u64,
}

/// What is kept of a hooked function's entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HookCall {
    /// Kernel time, nanoseconds.
    pub enter_ns: u64,
    /// First argument's register.
    pub argument: u64,
}

/// Where a file is mapped.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Mapping {
    /// First address.
    pub address: u64,
    /// Process.
    pub tgid: u32,
    /// Zero.
    pub pad: u32,
}

/// Where the record of an opened file is put together, and the key its path is looked up by.
#[repr(C)]
pub struct PathScratch {
    pub record: FileOpenRecord,
    pub path: [u8; PATH_BYTES],
    pub key: PathKey,
}
