//! Whole connections: cut anywhere, with holes anywhere, joined late, captured and replayed.

mod behaviour;
mod hostile;
pub(super) mod peer;
mod replay;
