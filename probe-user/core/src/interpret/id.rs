//! Session and model identifiers.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::flow::Value;

/// An identifier the voice system gave a session or a model: never empty, at most
/// [`Id::MAX_BYTES`] long, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(Arc<str>);

impl Id {
    /// Bytes kept of an identifier: what the flow stage lets through ([`Value::MAX_TEXT`]).
    pub const MAX_BYTES: usize = Value::MAX_TEXT;

    /// An identifier; `None` for an empty one, which proto3 cannot tell from an absent one. A
    /// longer one is cut at the last character that fits.
    pub fn new(text: &str) -> Option<Self> {
        let end = text.floor_char_boundary(Self::MAX_BYTES);
        let kept = text.get(..end).unwrap_or_default();
        (!kept.is_empty()).then(|| Self(kept.into()))
    }

    /// As it was on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
