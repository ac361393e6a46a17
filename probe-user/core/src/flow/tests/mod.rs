//! Whole connections: cut anywhere, with holes anywhere, joined late, captured and replayed.

mod behaviour;
mod hostile;
mod peer;
mod replay;
