//! A small real voice system.
fn main() {}
