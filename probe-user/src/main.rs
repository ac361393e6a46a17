//! voxprobe.
fn main() {}
