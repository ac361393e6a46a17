//! From the ring to the core's records: reads the kernel's records, keeps track of which descriptor
//! belongs to which connection, and looks up in `/proc` what the kernel side cannot know.

mod clock;
mod connections;
mod descriptors;
mod files;
mod found;
mod naming;
mod processes;
mod quota;
mod reader;
mod renaming;
mod retarget;
mod sockets;
mod tcp;
mod tracker;
mod watched;

pub use clock::{anchor, now};
pub use naming::describe;
pub use reader::{Ingest, Losses};
pub use tracker::Tracker;
pub use watched::Watched;
