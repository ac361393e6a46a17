//! Every bound of the kernel side, with its unit and its reason.

/// Payload bytes in one chunk record. A power of two, so that an offset into the scratch buffer
/// can be masked for the verifier. Large enough that a 1 950 B audio message is one record.
pub const FRAGMENT_BYTES: usize = 8 * 1024;

/// First bytes of a send that are always captured: in them the kernel side looks for content that nobody reads.
/// Three headers, an identifier and the content's length fit. A power of two, as `FRAGMENT_BYTES`.
pub const HEAD_BYTES: u32 = 128;

/// Bytes behind such content that are captured; where there are more the send is captured whole.
pub const TAIL_BYTES: u32 = 128;

/// Shortest content that is left out, in bytes: an identifier or a name is shorter, and always read.
pub const MIN_UNREAD_BYTES: u32 = 512;

/// Steps one captured call may take: one for each iovec entered and one for each copy made.
/// 64 iovecs (grpc-core sends up to 24 at rest, and more when its threads had to wait) and the 16 fragments of a
/// 128 KiB receive (the most it reads) fit; what is beyond them becomes a gap of reason `CaptureLimit`.
pub const CALL_PIECES: u32 = 144;

/// Messages of one `sendmmsg`/`recvmmsg` whose bytes are counted. Stream sockets see these calls
/// with one message, if at all.
pub const MAX_MESSAGES: u32 = 16;

/// Ring buffer size in bytes: at 100 streams of 50 frames a second and 2 KB each way, 1.6 s.
pub const RING_BYTES: u32 = 16 * 1024 * 1024;

/// Unread bytes in the ring above which the kernel side wakes the agent. Below it the agent comes
/// by itself, so that a watched write does not pay for a wake-up.
pub const WAKEUP_BYTES: u64 = RING_BYTES as u64 / 4;

/// Bytes that a CPU writes from one time that it wakes the agent so to the next: some thirty records of 2 KiB, some
/// hundreds without their content.
pub const WAKEUP_STEP_BYTES: u64 = 64 * 1024;

/// Unread bytes in the ring above which only the first [`HEAD_BYTES`] of a call are captured: 4 MiB are left, in
/// which 5 s of 4 000 calls a second find room.
pub const SHED_CONTENT_BYTES: u64 = RING_BYTES as u64 / 4 * 3;

/// Unread bytes in the ring above which no byte of a call is captured, and only what it was: what begins and ends
/// connections has to find room longest.
pub const SHED_BYTES: u64 = RING_BYTES as u64 / 8 * 7;

/// Watched processes, including their children.
pub const MAX_PROCESSES: u32 = 4096;

/// Slots by which a process that is not watched is told without a look-up in a hash table. A slot stays taken, so that
/// of a host's processes one in some thousands shares one with a process that is or was watched, and more where
/// watched processes make thousands of others: those pay for the look-up. A power of two.
pub const WATCHED_SLOTS: u32 = 65_536;

/// Connections' file descriptors over all watched processes.
pub const MAX_FDS: u32 = 65_536;

/// TCP connections of the host whose beginning is remembered, and threads in calls of several messages.
/// Least recently used go first; of a connection that is forgotten before its first byte only the
/// beginning is not known.
pub const MAX_ORIGINS: u32 = 16_384;

/// Sockets remembered as not being streams: a process has a few at a time, for name look-ups.
pub const MAX_NOT_STREAMS: u32 = 4096;

/// Descriptors, from 0 on, that a child's table gets from its parent's at the fork itself; what is
/// beyond them the agent copies a moment later. A look-up takes some 30 ns.
pub const INHERITED_FDS: i32 = 64;

/// Places of sockets on which one process sends. A socket has one place only: of 1,000 some 15 find theirs taken.
/// A power of two.
pub const MAX_SENDERS: u32 = 32_768;

/// Connections over all watched processes. A power of two.
pub const MAX_CONNECTIONS: u32 = 65_536;

/// Threads of watched processes that have been inside a watched call. Least recently used go first.
pub const MAX_THREADS: u32 = 32_768;

/// Bytes kept of a socket address: `sockaddr_un` is 110, rounded up to a multiple of eight.
pub const SOCKADDR_BYTES: usize = 112;

/// Calls of hooked library functions in flight, over all watched processes. Least recently used go
/// first: those are left from threads that ended, or jumped, inside the function.
pub const MAX_HOOK_CALLS: u32 = 16_384;
/// Files under model roots that are open at once, over all watched processes: a model has some tens
/// of shards. Least recently read go first.
pub const MAX_FILES: u32 = 4096;

/// Mappings of such files at once. Least recently made go first.
pub const MAX_MAPPINGS: u32 = 4096;

/// Model roots that can be configured.
pub const MAX_ROOTS: u32 = 32;

/// Bytes of a model root's path, its last slash included.
pub const ROOT_BYTES: usize = 128;

/// Bytes of a file's path, its final zero included. Paths in model hubs' caches are some 200 long. A
/// power of two, so that a length can be masked for the verifier.
pub const PATH_BYTES: usize = 512;

/// Nanoseconds between two reports of reads of one file, at least: a load makes thousands of reads
/// a second, and the last one before the file is closed is always told.
pub const FILE_REPORT_NS: u64 = 10_000_000;

/// Threads of watched processes whose scheduling is followed. Least recently used go first.
pub const MAX_SCHED_THREADS: u32 = 16_384;

/// Shortest stretch of running, waiting or blocking that makes a record of its own by default, in
/// nanoseconds: a twentieth of a frame of 20 ms. Shorter ones are summed.
pub const SCHED_STRETCH_NS: u64 = 1_000_000;

/// Longest time that short stretches are summed before they are told, in nanoseconds: half a frame
/// of 20 ms.
pub const SCHED_SUM_NS: u64 = 10_000_000;

/// Shortest stretch of any thread on a CPU that is remembered as "ran instead", in nanoseconds.
/// The scheduler's usual slice is 3 ms; what runs shorter than a tenth of it takes nothing from a
/// frame that matters.
pub const SCHED_RUN_NS: u64 = 250_000;

/// Stretches remembered for each CPU. A power of two. At the usual slice of 3 ms they reach back
/// 48 ms, more than two frames of 20 ms.
pub const SCHED_RUNS: usize = 16;

/// Bytes of a thread's name (`TASK_COMM_LEN`, include/linux/sched.h), its terminating zero included.
pub const COMM_BYTES: usize = 16;
