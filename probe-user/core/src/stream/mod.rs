//! Chunks to byte streams: order restored, holes named.

mod assembler;

pub use assembler::{Assembler, Delivery};
