//! What is read of a call's header blocks.

use super::Method;
use crate::profile::{MessageIndex, Profile};
use crate::wire::hpack::{Field, Text};

/// Headers whose values are read; of all others only the length is (see [`crate::wire::hpack`]).
pub(super) fn is_wanted(name: &[u8]) -> bool {
    matches!(
        name,
        b":path" | b":status" | b"content-type" | b"grpc-status"
    )
}

/// Whether a field's value may be in a capture: what gRPC itself needs. Everything else (tokens,
/// cookies, error texts) is the application's.
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
            )
    })
}

/// The readable headers of one block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Headers {
    /// Method and its request and response messages.
    pub(super) method: Method,
    pub(super) messages: Option<(MessageIndex, MessageIndex)>,
    /// HTTP status.
    pub(super) status: Option<u32>,
    /// gRPC status.
    pub(super) grpc_status: Option<u32>,
    /// The content type was read and is not gRPC.
    pub(super) other_content: bool,
}

impl Headers {
    /// Nothing could be read.
    pub(super) const UNREADABLE: Self = Self {
        method: Method::Unknown,
        messages: None,
        status: None,
        grpc_status: None,
        other_content: false,
    };

    /// Takes in one field.
    pub(super) fn field(&mut self, profile: &Profile, field: Field<'_>) {
        let (Some(name), Some(value)) = (field.name.known(), field.value.known()) else {
            return;
        };
        match name {
            b":path" => {
                let method = std::str::from_utf8(value)
                    .ok()
                    .and_then(|path| profile.method(path));
                self.method = method.map_or(Method::Other, |method| Method::Known(method.role));
                self.messages = method.map(|method| (method.request, method.response));
            }
            b":status" => self.status = number(value),
            b"grpc-status" => self.grpc_status = number(value),
            // gRPC over HTTP/2: "application/grpc" with an optional "+proto" or other suffix.
            b"content-type" => self.other_content = !value.starts_with(b"application/grpc"),
            _ => {}
        }
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
