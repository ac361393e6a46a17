//! What reaches the core: typed records, parsed once at the door from the kernel's bytes or from a
//! capture file, plus facts about processes and GPUs.

mod connection;
mod file;
mod gpu;
mod hook;
pub mod kernel;
mod process;
mod sched;
mod tcp;
mod time;
mod trace_context;
mod websocket;

pub use connection::{
    Address, Chunk, ConnectionId, Direction, Gap, GapReason, Hole, Holes, Joined, Opened, Piece,
    Side,
};
pub use file::{FileChange, FileEvent, FileId, KernelFile, KernelFileChange, Progress};
pub use gpu::{Gpu, GpuProcess, GpuReadings, GpuSample, GpuState, NvmlCall, NvmlState};
pub(crate) use hook::HookResult;
pub use hook::{
    Debounce, Hook, HookCall, HookEvent, HookId, HookKind, HookMeaning, Returns, Sustained,
};
pub use process::{Process, Role, Tgid};
pub use sched::{CpuQuota, Evidence, Left, Sched, Short, Thread, Wait};
pub use tcp::TcpReading;
pub use time::KtimeNs;
pub use trace_context::{SpanId, TraceContext, TraceId};
pub use websocket::{
    ConnectionEnd, Readability, SocketMessage, SocketMessageForm, WebSocketEvent, WebSocketWhat,
};

use serde::{Deserialize, Serialize};

/// One input of the core. Live and replay differ only in where these come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record<'a> {
    /// A process is watched from now on, or what is known about it changed.
    Process(Process),
    /// A watched process ended.
    ProcessEnded {
        /// Which.
        tgid: Tgid,
        /// When.
        at: KtimeNs,
    },
    /// A connection began or was found.
    Opened(Opened),
    /// Bytes moved on a connection.
    #[serde(borrow)]
    Chunk(Chunk<'a>),
    /// Bytes that are known to be missing from a stream.
    Gap(Gap),
    /// The peer (`Received`) or the process (`Sent`) will send nothing more on a connection.
    HalfClosed {
        /// Which connection.
        connection: ConnectionId,
        /// Which direction ended.
        direction: Direction,
        /// When.
        at: KtimeNs,
    },
    /// A connection's last descriptor was closed, it failed, or its process ended.
    Closed {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: KtimeNs,
        /// `errno` where the kernel reported a failure (`ECONNRESET` …).
        errno: Option<i32>,
    },
    /// Readings of every GPU.
    Gpus(GpuSample),
    /// Time passed.
    Tick {
        /// Now.
        at: KtimeNs,
    },
    /// What a WebSocket connection said. Only captures hold it: live, it is read off the bytes,
    /// which a capture leaves out.
    WebSocket(WebSocketEvent),
    /// A library hook of the configuration: what its calls mean.
    Hook(Hook),
    /// A hooked library function was called.
    HookCalled(HookCall),
    /// A weights file of a model was opened, read, mapped or closed.
    File(FileEvent),
    /// Every process of one name has another from now on.
    Renamed {
        /// The name until now.
        from: String,
        /// The name from now on.
        to: String,
        /// When.
        at: KtimeNs,
    },
    /// What a diagnosis has to go by from now on.
    Evidence(Evidence),
    /// A thread of a watched process is on a CPU again.
    Sched(Sched),
    /// A control group's CPU quota was used up meanwhile.
    CpuQuota(CpuQuota),
    /// TCP sent again, or could not send, meanwhile.
    Tcp(TcpReading),
    /// A send found no room in a worker's socket, the first time since bytes were sent.
    Refused {
        /// Which connection.
        connection: ConnectionId,
        /// When.
        at: KtimeNs,
    },
}
