//! Simulated connections joined late: no method may be named wrongly, most have to be named, and a
//! capture has to replay alike.

mod events;
mod named;
mod replay;
mod traffic;
mod wire;
