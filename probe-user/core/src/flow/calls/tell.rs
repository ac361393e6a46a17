//! What a deframer found, as events.

use crate::flow::sink::{Problem, Sink};
use crate::flow::{CallId, Event, Origin};
use crate::record::KtimeNs;
use crate::wire::grpc::{LossCause, Outcome};

/// Tells what a deframer found.
pub(super) fn tell(
    call: CallId,
    origin: Origin,
    outcome: Outcome<'_>,
    at: KtimeNs,
    sink: &mut dyn Sink,
) {
    match outcome {
        Outcome::Nothing => {}
        Outcome::Message(message) => sink.event(Event::Message {
            call,
            at,
            origin,
            message,
        }),
        Outcome::Lost(cause) => {
            if cause == LossCause::BadPrefix {
                sink.problem(Problem::BadMessagePrefix);
            }
            sink.event(Event::MessagesLost { call, at, origin });
        }
    }
}
