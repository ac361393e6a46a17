//! One line per event, in the guide's schema.

use std::{fmt, io::Write as _, time::SystemTime};

use serde_json::{Map, Value};
use tracing::{Event, Level, Subscriber, field};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::layer::{Context, Layer};

use super::{Format, redact};

/// Writes each event as one line to stderr.
pub(super) struct Lines {
    format: Format,
}

impl Lines {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = match self.format {
            Format::Json => json(metadata, fields),
            Format::Text => text(metadata, &fields),
        };
        // A closed stderr is no reason to stop watching.
        let _unwritten = writeln!(std::io::stderr().lock(), "{line}");
    }
}

/// The guide's level names.
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

fn timestamp() -> String {
    humantime::format_rfc3339_micros(SystemTime::now()).to_string()
}

fn json(metadata: &tracing::Metadata<'_>, fields: Fields) -> String {
    let mut line = Map::new();
    line.insert("timestamp".into(), timestamp().into());
    line.insert("level".into(), level(*metadata.level()).into());
    line.insert("logger".into(), metadata.target().replace("::", ".").into());
    line.insert("message".into(), fields.message.into());
    line.extend(fields.rest);
    Value::Object(line).to_string()
}

fn text(metadata: &tracing::Metadata<'_>, fields: &Fields) -> String {
    let mut line = format!(
        "{} {:7} {}",
        timestamp(),
        level(*metadata.level()),
        fields.message
    );
    for (name, value) in &fields.rest {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        line.extend([" ", name, "=", &value]);
    }
    line
}

/// An event's fields, redacted.
#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Value>,
}

impl Fields {
    fn insert(&mut self, field: &field::Field, value: &str) {
        // The `log` crate's own bookkeeping.
        if field.name().starts_with("log.") {
            return;
        }
        let value = redact(value).into_owned();
        if field.name() == "message" {
            self.message = value;
        } else {
            self.rest.insert(field.name().into(), value.into());
        }
    }

    fn insert_number(&mut self, field: &field::Field, value: impl Into<Value>) {
        if !field.name().starts_with("log.") {
            self.rest.insert(field.name().into(), value.into());
        }
    }
}

impl field::Visit for Fields {
    fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
        self.insert(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &field::Field, value: &str) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &field::Field, value: u64) {
        self.insert_number(field, value);
    }

    fn record_i64(&mut self, field: &field::Field, value: i64) {
        self.insert_number(field, value);
    }

    fn record_f64(&mut self, field: &field::Field, value: f64) {
        self.insert_number(field, value);
    }

    fn record_bool(&mut self, field: &field::Field, value: bool) {
        self.insert_number(field, value);
    }
}
