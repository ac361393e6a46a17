//! voxprobe tasks.
fn main() {}
