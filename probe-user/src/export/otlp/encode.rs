//! Traces in OTLP's terms. Kernel times become Unix times here, and identifiers are redacted.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, SpanFlags, Status,
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};
use probe_core::{
    record::{KtimeNs, Role},
    trace::{self, Kind, Parent, Place, Trace, Value},
};

use crate::{ingest::anchor, telemetry::redact};

/// The sampled flag (W3C Trace Context, 3.2.2.5.1): what is exported is sampled.
const SAMPLED: u32 = 1;

/// Makes requests.
pub(super) struct Encoder {
    host: String,
}

/// How kernel time stands to Unix time.
struct Wall {
    unix_ns: u64,
    at: KtimeNs,
}

impl Wall {
    /// Now: where the wall clock was set since a span, the span has the time that is right now.
    fn now() -> Self {
        let (unix_ns, at) = anchor();
        Self { unix_ns, at }
    }

    fn unix_ns(&self, at: KtimeNs) -> u64 {
        let since = self.unix_ns.saturating_add(at.since(self.at));
        since.saturating_sub(self.at.since(at))
    }
}

impl Encoder {
    pub(super) fn new() -> Self {
        let name = rustix::system::uname();
        Self {
            host: name.nodename().to_string_lossy().into_owned(),
        }
    }

    /// One request; spans of one process are together.
    pub(super) fn encode(&self, traces: &[Trace]) -> ExportTraceServiceRequest {
        let wall = Wall::now();
        let mut places: Vec<(&Place, Vec<Span>)> = Vec::new();
        for span in traces.iter().flat_map(|trace| &trace.spans) {
            let encoded = encode(span, &wall);
            match places.iter_mut().find(|(place, _)| *place == &span.place) {
                Some((_, spans)) => spans.push(encoded),
                None => places.push((&span.place, vec![encoded])),
            }
        }
        let resource_spans = places
            .into_iter()
            .map(|(place, spans)| ResourceSpans {
                resource: Some(self.resource(place)),
                scope_spans: vec![ScopeSpans {
                    scope: Some(InstrumentationScope {
                        name: "voxprobe".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    spans,
                    schema_url: String::new(),
                }],
                schema_url: String::new(),
            })
            .collect();
        ExportTraceServiceRequest { resource_spans }
    }

    /// The process that spans are of, by OpenTelemetry's names. Services are named as the observability
    /// guide names them.
    fn resource(&self, place: &Place) -> Resource {
        let service = match place.role {
            Role::Orchestrator => "orchestrator",
            Role::Worker => "tts-worker",
            Role::Redis => "redis",
        };
        let pid = i64::from(place.process.0);
        let worker = place.worker.as_ref();
        let instance = worker.map_or_else(|| pid.to_string(), ToString::to_string);
        Resource {
            attributes: vec![
                text("service.name", service),
                text("service.instance.id", &instance),
                text("host.name", &self.host),
                attribute("process.pid", any_value::Value::IntValue(pid)),
            ],
            ..Resource::default()
        }
    }
}

fn encode(span: &trace::Span, wall: &Wall) -> Span {
    let (parent, remote) = match span.parent {
        Parent::None => (Vec::new(), false),
        Parent::Span(id) => (id.0.to_vec(), false),
        Parent::Remote(context) => (context.parent.0.to_vec(), true),
    };
    let is_remote = if remote {
        SpanFlags::ContextIsRemoteMask as u32
    } else {
        0
    };
    Span {
        trace_id: span.trace.0.to_vec(),
        span_id: span.id.0.to_vec(),
        parent_span_id: parent,
        flags: SAMPLED | SpanFlags::ContextHasIsRemoteMask as u32 | is_remote,
        name: span.name.to_owned(),
        kind: match span.kind {
            Kind::Internal => SpanKind::Internal,
            Kind::Server => SpanKind::Server,
            Kind::Client => SpanKind::Client,
        }
        .into(),
        start_time_unix_nano: wall.unix_ns(span.start),
        end_time_unix_nano: wall.unix_ns(span.end),
        attributes: span.attributes.iter().map(said).collect(),
        events: span
            .first_audio
            .iter()
            .map(|at| Event {
                time_unix_nano: wall.unix_ns(*at),
                name: "first_audio".to_owned(),
                ..Event::default()
            })
            .collect(),
        links: span
            .link
            .iter()
            .map(|(trace, span)| Link {
                trace_id: trace.0.to_vec(),
                span_id: span.0.to_vec(),
                ..Link::default()
            })
            .collect(),
        status: span.error.map(|error| Status {
            message: error.to_owned(),
            code: StatusCode::Error.into(),
        }),
        ..Span::default()
    }
}

fn said((name, value): &(&'static str, Value)) -> KeyValue {
    match value {
        Value::Word(word) => text(name, word),
        Value::Id(id) => text(name, id.as_str()),
        Value::Integer(number) => attribute(name, any_value::Value::IntValue(*number)),
        Value::Float(number) => attribute(name, any_value::Value::DoubleValue(*number)),
    }
}

/// Text, without what must not leave the host.
fn text(name: &str, value: &str) -> KeyValue {
    let value = redact(value).into_owned();
    attribute(name, any_value::Value::StringValue(value))
}

fn attribute(name: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: name.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use probe_core::{
        interpret::Id,
        record::{SpanId, Tgid, TraceContext, TraceId},
    };

    use super::*;
    use crate::ingest::now;

    fn span(role: Role, id: u8) -> trace::Span {
        trace::Span {
            trace: TraceId([1; 16]),
            id: SpanId([id; 8]),
            parent: Parent::None,
            link: None,
            name: "n",
            kind: Kind::Internal,
            place: Place {
                role,
                process: Tgid(7),
                worker: Id::new("jane.doe@example.com"),
            },
            start: now(),
            end: now(),
            attributes: Vec::new(),
            first_audio: None,
            error: None,
        }
    }

    /// A trace of this many spans.
    pub(in crate::export::otlp) fn trace(spans: u8) -> Trace {
        let spans = (0..spans).map(|id| span(Role::Worker, id + 1));
        Trace {
            spans: spans.collect(),
        }
    }

    #[test]
    fn kernel_times_become_unix_times() {
        let wall = Wall::now();
        assert_eq!(wall.unix_ns(wall.at), wall.unix_ns);
        assert_eq!(wall.unix_ns(wall.at.plus(5)), wall.unix_ns + 5);
        let before = KtimeNs(wall.at.0 - 5);
        assert_eq!(wall.unix_ns(before), wall.unix_ns - 5);
    }

    #[test]
    fn spans_are_with_their_process_and_tell_no_personal_data() {
        let mut one = span(Role::Worker, 1);
        one.attributes = vec![("session_id", Value::Id(Id::new("ssn 123-45-6789").unwrap()))];
        one.parent = Parent::Remote(TraceContext {
            trace: one.trace,
            parent: SpanId([9; 8]),
            sampled: true,
        });
        one.link = Some((TraceId([8; 16]), SpanId([8; 8])));
        one.error = Some("wrong");
        let spans = vec![one, span(Role::Orchestrator, 2), span(Role::Worker, 3)];
        let request = Encoder::new().encode(&[Trace { spans }]);
        let counts: Vec<_> = request
            .resource_spans
            .iter()
            .map(|of| of.scope_spans[0].spans.len())
            .collect();
        assert_eq!(counts, [2, 1]);
        let told = format!("{request:?}");
        for personal in ["123-45-6789", "jane.doe"] {
            assert!(!told.contains(personal), "{told}");
        }
        assert!(told.contains("[SSN]") && told.contains("[EMAIL]"), "{told}");
        let first = &request.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!(first.parent_span_id, [9; 8]);
        assert_eq!(first.flags, 0x301);
        assert_eq!(first.links[0].span_id, [8; 8]);
        assert_eq!(first.status.as_ref().map(|it| it.code), Some(2));
    }
}
