//! Which processes of this host are the voice system's, and which sockets they have.
//!
//! Takes `/proc` and the configured targets; gives process facts and descriptors. Everything here
//! can vanish between two reads: a process that is gone is `None`, never an error.

mod container;
mod endpoint;
mod model_files;
mod own;
mod pods;
mod process;
mod sockets;
mod target;

pub use container::ContainerId;
pub use endpoint::{Endpoint, is_own_address};
pub use model_files::{DEFAULT_WEIGHTS, ModelFiles, ModelFilesError};
pub use own::{Asked, ask_socket, own_address, own_ends};
pub use pods::{PodContainer, Pods};
pub use process::{ProcessFacts, Snapshot, processes};
pub use sockets::{Socket, SocketTable, socket_inode};
pub use target::{DEFAULT_TARGETS, Matched, Target, TargetError, find, may_match_later};
