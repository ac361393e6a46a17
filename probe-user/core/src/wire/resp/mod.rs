//! RESP2 and RESP3, the protocol of Redis, one direction at a time
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).
//!
//! Takes bytes as they come and holes; gives whole requests and replies as [`Part`]s. No value is
//! kept: of a request the command's name and, for the few commands that change what is answered,
//! an option, and of a worker's registration ([`Registration`]) its name and address; of a reply its kind, an error's first word and the kind of a pub/sub message. Nesting
//! is counted on a bounded stack, without recursion. A hole inside a bulk string keeps the framing;
//! any other loses it, until a push is found that is a whole sequence of values ([`fits`]).

mod address_scan;
mod command;
mod parser;
mod part;
mod registration;
mod word;

pub use command::Command;
pub use parser::{Parser, fits};
pub use part::{
    Element, ErrorWord, Fate, ListedError, Loss, Part, Reply, Request, RequestOption, Step,
};
pub use registration::Registration;

#[cfg(test)]
mod tests;
