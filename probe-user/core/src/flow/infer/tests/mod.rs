//! Simulated connections joined late: no method may be named wrongly, and most have to be named.

mod named;
mod traffic;
mod wire;
