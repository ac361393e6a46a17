//! One story per cause, and what must not be named.

mod bounds;
mod causes;
mod gpu;
mod room;
mod story;
