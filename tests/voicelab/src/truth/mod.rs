//! What a program of the voicelab did, and when: one JSON object per line.
//!
//! Each line has `t_ns`, the program's own `CLOCK_MONOTONIC` in nanoseconds, and `event`, the
//! name of one [`Event`] in `snake_case`, followed by that event's fields. The Python peers write
//! the same format.

mod conversation;
mod event;
mod measures;
mod orchestration;
mod recorder;
mod summary;

pub use conversation::Conversation;
pub use event::{Event, Line};
pub use measures::{Measure, Reading, measures};
pub use orchestration::Orchestration;
pub(crate) use recorder::Truth;
pub use summary::Summary;
