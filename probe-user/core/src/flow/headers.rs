//! What is read of a call's header blocks.

use super::Method;
use super::infer::{Key, LEADING_FIELDS};
use crate::profile::{MessageIndex, Profile};
use crate::record::TraceContext;
use crate::wire::hpack::{EntryId, Field, Text};
use crate::wire::traceparent;

/// Headers whose values are read; of all others only the length is (see [`crate::wire::hpack`]).
pub(super) fn is_wanted(name: &[u8]) -> bool {
    matches!(
        name,
        b":path" | b":status" | b"content-type" | b"grpc-status" | b"traceparent"
    )
}

/// Whether a field's value may be in a capture: what gRPC itself needs, and a trace's random numbers.
/// Everything else (tokens, cookies, error texts) is the application's.
pub(super) fn is_public(name: Text<'_>) -> bool {
    name.known().is_some_and(|name| {
        name.starts_with(b":")
            || matches!(
                name,
                b"content-type"
                    | b"te"
                    | b"user-agent"
                    | b"grpc-status"
                    | b"grpc-encoding"
                    | b"grpc-accept-encoding"
                    | b"grpc-timeout"
                    | b"traceparent"
            )
    })
}

/// The readable headers of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    /// Method and its request and response messages.
    pub(super) method: Method,
    pub(super) messages: Option<(MessageIndex, MessageIndex)>,
    /// The method's position in the profile.
    pub(super) position: Option<usize>,
    /// The entry that the path made, where it was written out.
    pub(super) written: Option<EntryId>,
    /// HTTP status.
    pub(super) status: Option<u32>,
    /// gRPC status.
    pub(super) grpc_status: Option<u32>,
    /// The content type was read and is not gRPC.
    pub(super) other_content: bool,
    trace: traceparent::Said,
    /// Entries without a name among the fields that may be pseudo-headers.
    leading: [Option<EntryId>; LEADING_FIELDS],
    /// Fields so far.
    fields: usize,
    /// A field that is no pseudo-header came.
    closed: bool,
    /// One that may be the path is written out under a name that is not known.
    nameless: bool,
}

impl Headers {
    /// Nothing could be read.
    pub(super) const UNREADABLE: Self = Self {
        method: Method::Unknown,
        messages: None,
        position: None,
        written: None,
        status: None,
        grpc_status: None,
        other_content: false,
        trace: traceparent::Said::NOTHING,
        leading: [None; LEADING_FIELDS],
        fields: 0,
        closed: false,
        nameless: false,
    };

    /// What stands for the path, where it could not be read: pseudo-headers come before all others
    /// (RFC 9113, 8.3), so it is among the entries without a name that come first.
    pub(super) fn key(&self) -> Option<Key> {
        let unread = self.method == Method::Unknown && !self.nameless;
        let any = self.leading.iter().any(Option::is_some);
        (unread && any).then_some(Key::Entries(self.leading))
    }

    /// The trace that the call belongs to, where it says one.
    pub(super) fn trace(&self) -> Option<TraceContext> {
        self.trace.context()
    }

    /// Takes in one field.
    pub(super) fn field(&mut self, profile: &Profile, field: Field<'_>) {
        self.lead(field);
        let (Some(name), Some(value)) = (field.name.known(), field.value.known()) else {
            return;
        };
        match name {
            b":path" => {
                let methods = profile.methods();
                self.position = methods
                    .iter()
                    .position(|method| method.path.as_bytes() == value);
                let method = self.position.and_then(|position| methods.get(position));
                self.method = method.map_or(Method::Other, |method| Method::Known(method.role));
                self.messages = method.map(|method| (method.request, method.response));
                self.written = field.literal.and(field.entry);
            }
            b":status" => self.status = number(value),
            b"grpc-status" => self.grpc_status = number(value),
            b"traceparent" => self.trace.add(value),
            // gRPC over HTTP/2: "application/grpc" with an optional "+proto" or other suffix.
            b"content-type" => self.other_content = !value.starts_with(b"application/grpc"),
            _ => {}
        }
    }
}

impl Headers {
    /// Takes in where a field stands, and which entry stands for it.
    fn lead(&mut self, field: Field<'_>) {
        let place = self.fields;
        self.fields = self.fields.saturating_add(1);
        if self.closed {
            return;
        }
        match (field.name.known(), self.leading.get_mut(place)) {
            (Some(name), _) => self.closed = !name.starts_with(b":"),
            (None, None) => self.closed = true,
            (None, Some(leading)) => {
                *leading = field.entry.filter(|_| field.literal.is_none());
                self.nameless |= leading.is_none();
            }
        }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
