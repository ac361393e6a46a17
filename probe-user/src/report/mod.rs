//! What is told to people and programs on stdout: `check`, `discover` and
//! `diagnose`.

mod capability;
mod check;
pub mod diagnosis;
mod discovery;
mod tiers;

pub use capability::{Capability, State};
pub use check::Check;
pub use diagnosis::Diagnosis;
pub use discovery::{Discovery, Found};
