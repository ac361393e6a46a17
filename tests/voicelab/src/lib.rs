//! A small real voice system to watch: a worker that speaks the `tts` protocol and a client that
//! drives it; an orchestrator with WebSocket in front, workers and Redis behind, and talkers that
//! drive it; and a timing reference that stamps the clock around each of its socket writes.
//!
//! Every part writes what it did, with its own monotonic timestamps, to a truth file
//! ([`truth`]); a test then compares what the probe saw with what was done.

pub mod cli;
pub mod clock;
pub mod truth;

mod client;
mod fault_client;
mod fault_socket;
mod measuring;
mod message;
mod orchestrator;
mod serving;
mod stamped;
mod stamper;
mod talker;
mod websocket;
mod worker;

/// The generated `tts` messages, client and server.
mod proto {
    #![allow(
        missing_docs,
        unreachable_pub,
        unnameable_types,
        unused_qualifications,
        clippy::pedantic,
        clippy::use_self,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("tts");
}
