//! voxprobe's core: kernel records in; events and metrics out.
//!
//! Deterministic: no I/O, no clock, no thread, no unsafe code. Time comes with the records
//! ([`record::KtimeNs`]), so a live run and the replay of its capture give the same answers.
//!
//! The folders are the stages, in order; imports go one way only:
//! `record ← stream ← wire ← flow ← interpret ← metrics ← model ← {diagnose, trace, notice} ← pipeline`, with `profile` (what a
//! voice system's protocol looks like) as data beside `wire`.

#![forbid(unsafe_code)]

pub mod diagnose;
pub mod flow;
pub mod interpret;
pub mod metrics;
pub mod model;
pub mod notice;
pub mod pipeline;
pub mod profile;
pub mod record;
pub mod stream;
pub mod trace;
pub mod wire;
