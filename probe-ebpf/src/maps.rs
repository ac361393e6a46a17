//! The maps. Names are those of `probe_abi::map`.

use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, ProgramArray, Queue, RingBuf},
};
use probe_abi::{
    Connection, FdEntry, FdKey, FileEntry, MAX_CONNECTIONS, MAX_FDS, MAX_FILES, MAX_HOOK_CALLS,
    MAX_MAPPINGS, MAX_NOT_STREAMS, MAX_ORIGINS, MAX_PROCESSES, MAX_ROOTS, MAX_SCHED_THREADS,
    MAX_SENDERS, MAX_THREADS, Process, RING_BYTES, ROOT_BYTES, WATCHED_SLOTS, loss,
};

use crate::{
    payload::slot,
    sched::{CpuRuns, SchedThread},
    sockets::Origin,
    values::{
        Bound, Call, HookCall, HookKey, Mapping, Messages, Move, PathScratch, Scratch, Sender,
    },
};

/// Records for the agent.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

/// What was not recorded, by `probe_abi::loss`.
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(loss::COUNT, 0);

/// Bytes that each CPU wrote since it last woke the agent, while much waited.
#[map]
pub static UNWOKEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Watched processes by tgid. The agent adds and removes them; a fork adds the child.
#[map]
pub static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(MAX_PROCESSES, 0);

/// Slots of processes that are in `PROCESSES`, or were: see `call::may_be_watched`.
#[map]
pub static WATCHED: Array<u32> = Array::with_max_entries(WATCHED_SLOTS, 0);

/// Stream sockets of watched processes.
#[map]
pub static FDS: HashMap<FdKey, FdEntry> = HashMap::with_max_entries(MAX_FDS, 0);

/// Sockets of watched processes that `connect` makes no connection of (datagrams). Which of two
/// numbers goes first when it is full decides only whether such a socket is followed for nothing.
#[map]
pub static NOT_STREAMS: LruHashMap<FdKey, u32> = LruHashMap::with_max_entries(MAX_NOT_STREAMS, 0);

/// Connections by their places: see `connection::state`. A place is taken when one begins; the agent frees it after
/// its last descriptor.
#[map]
pub static CONNECTIONS: Array<Connection> = Array::with_max_entries(MAX_CONNECTIONS, 0);

/// Places that are free.
#[map]
pub static FREE_PLACES: Queue<u32> = Queue::with_max_entries(MAX_CONNECTIONS, 0);

/// Connections by the address of their `struct sock`, where sockets are hooked.
#[map]
pub static SOCKETS: LruHashMap<u64, Bound> = LruHashMap::with_max_entries(MAX_FDS, 0);

/// Sockets on which one process sends: see `sockets::sender`.
#[map]
pub static SENDERS: Array<Sender> = Array::with_max_entries(MAX_SENDERS, 0);

/// The program that `sockets::tracepoints::socket_sent` hands on to. The agent sets it.
#[map]
pub static SENT_ANY: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Connections that the agent found, by their sockets' inodes, where sockets are hooked.
#[map]
pub static FOUND: LruHashMap<u64, u64> = LruHashMap::with_max_entries(MAX_FDS, 0);

/// Where each thread is in a function of a socket, by `pid_tgid`. An entry stays for the thread's next one.
#[map]
pub static MOVES: LruHashMap<u64, Move> = LruHashMap::with_max_entries(MAX_THREADS, 0);

/// How the host's TCP connections began, by the address of their `struct sock`, which serves as a number
/// and is never followed.
#[map]
pub static ORIGINS: LruHashMap<u64, Origin> = LruHashMap::with_max_entries(MAX_ORIGINS, 0);

/// Where each thread is in a call of several messages.
#[map]
pub static MESSAGES: LruHashMap<u64, Messages> = LruHashMap::with_max_entries(MAX_ORIGINS, 0);

/// The call each thread is in, by `pid_tgid`. An entry stays for the thread's next call.
#[map]
pub static CALLS: LruHashMap<u64, Call> = LruHashMap::with_max_entries(MAX_THREADS, 0);

/// Numbers of fields whose content nobody reads, as bits. The agent sets it.
#[map]
pub static UNREAD_FIELDS: Array<u32> = Array::with_max_entries(1, 0);

/// Where a record with payload is put together. Programs that the kernel may preempt have one each: it never
/// runs one twice at a time on a CPU, and counts where it skips it.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(slot::COUNT, 0);

/// Connections begun on each CPU, for their ids.
#[map]
pub static BEGUN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Calls of hooked library functions in flight.
#[map]
pub static HOOK_CALLS: LruHashMap<HookKey, HookCall> =
    LruHashMap::with_max_entries(MAX_HOOK_CALLS, 0);
/// Descriptors of files under model roots, and of those whose path the agent has to complete.
#[map]
pub static FILES: LruHashMap<FdKey, FileEntry> = LruHashMap::with_max_entries(MAX_FILES, 0);

/// Mappings of such files → file id.
#[map]
pub static MAPPINGS: LruHashMap<Mapping, u64> = LruHashMap::with_max_entries(MAX_MAPPINGS, 0);

/// Model roots: paths that end in a slash.
#[map]
pub static MODEL_ROOTS: LpmTrie<[u8; ROOT_BYTES], u32> = LpmTrie::with_max_entries(MAX_ROOTS, 0);

/// Where a record with a path is put together.
#[map]
pub static PATH: PerCpuArray<PathScratch> = PerCpuArray::with_max_entries(1, 0);

/// Threads of watched processes that have left a CPU, by the address of their `task_struct`, which
/// serves as a number and is never followed. Made smaller where scheduling is not followed.
#[map]
pub static SCHED_THREADS: LruHashMap<u64, SchedThread> =
    LruHashMap::with_max_entries(MAX_SCHED_THREADS, 0);

/// What ran on each CPU of late.
#[map]
pub static CPU_RUNS: PerCpuArray<CpuRuns> = PerCpuArray::with_max_entries(1, 0);
