//! One span, as OpenTelemetry defines it.

use crate::interpret::Id;
use crate::record::{KtimeNs, Role, SpanId, Tgid, TraceContext, TraceId};

/// Spans of one trace that are exported together.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The spans, parents first.
    pub spans: Vec<Span>,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub id: SpanId,
    /// What caused it.
    pub parent: Parent,
    /// A span of another trace that caused it.
    pub link: Option<(TraceId, SpanId)>,
    /// What it is.
    pub name: &'static str,
    /// Which part of a call it is.
    pub kind: Kind,
    /// Where it happened.
    pub place: Place,
    /// Its start.
    pub start: KtimeNs,
    /// Its end, never before its start.
    pub end: KtimeNs,
    /// Facts about it.
    pub attributes: Vec<(&'static str, Value)>,
    /// The first audio, in the span that leads to it.
    pub first_audio: Option<KtimeNs>,
    /// What went wrong.
    pub error: Option<&'static str>,
}

/// What caused a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nothing, or nothing that is known.
    None,
    /// A span of the same trace.
    Span(SpanId),
    /// What a `traceparent` header said.
    Remote(TraceContext),
}

/// OpenTelemetry's kind of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Within a process.
    Internal,
    /// What a process does for another one.
    Server,
    /// What a process waits for.
    Client,
}

/// Where a span happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Part of the process.
    pub role: Role,
    /// The process.
    pub process: Tgid,
    /// Label `worker`.
    pub worker: Option<Id>,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One of a few words.
    Word(&'static str),
    /// An identifier that the voice system gave.
    Id(Id),
    /// A number.
    Integer(i64),
    /// A measure.
    Float(f64),
}

impl From<&'static str> for Value {
    fn from(word: &'static str) -> Self {
        Self::Word(word)
    }
}

impl From<&Id> for Value {
    fn from(id: &Id) -> Self {
        Self::Id(id.clone())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl Span {
    /// Adds a fact, where it is known.
    pub(super) fn say<T>(&mut self, name: &'static str, value: Option<T>)
    where
        Value: From<T>,
    {
        if let Some(value) = value {
            self.attributes.push((name, value.into()));
        }
    }
}
