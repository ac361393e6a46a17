//! What is told to people and programs on stdout: `check` and `discover`.

mod capability;
mod check;
mod discovery;

pub use capability::{Capability, State};
pub use check::Check;
pub use discovery::{Discovery, Found};
