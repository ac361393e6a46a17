//! Stories told in calls and messages, through the interpreter and the model to gathered metrics.

mod bounds;
mod control;
mod files;
mod gpu;
mod hostile;
mod loss;
mod models;
mod rename;
mod sessions;
mod stories;
mod streams;

use crate::flow::{self, CallEnd, CallId, Message, Method, Origin, Value};
use crate::interpret::Interpreter;
use crate::metrics::{Limits, Metrics};
use crate::model::{Model, ModelSettings};
use crate::profile::{FieldRole, MethodRole};
use crate::record::{ConnectionId, KtimeNs, Process, Role, Side, Tgid};

const PAUSE: i64 = 0;
const RESUME: i64 = 1;
const STOP: i64 = 2;
const OK: CallEnd = CallEnd::Status(Some(0));
const CANCELLED: CallEnd = CallEnd::Reset {
    code: 8,
    by: Origin::Client,
};

/// Processes, an interpreter, a model and its metrics. Times are milliseconds.
struct World {
    interpreter: Interpreter,
    model: Model,
    metrics: Metrics,
    process: Process,
    side: Side,
    next_unary: u32,
}

/// A histogram's count, sum and cumulative buckets.
#[derive(Debug, PartialEq)]
struct Observed {
    count: u64,
    sum: f64,
    buckets: Vec<u64>,
}

fn ms(at: f64) -> KtimeNs {
    KtimeNs((at * 1e6).round() as u64)
}

fn process(tgid: u32, name: &str) -> Process {
    Process {
        tgid: Tgid(tgid),
        at: KtimeNs(0),
        role: Role::Worker,
        name: name.into(),
        adapter: "lab".into(),
    }
}

/// Synthesis stream `n`, on connection 1.
fn stream(n: u32) -> CallId {
    CallId {
        connection: ConnectionId(1),
        stream: n,
    }
}

fn text(role: FieldRole, value: &str) -> (FieldRole, Value) {
    (role, Value::Text(value.into()))
}

fn number(role: FieldRole, value: i64) -> (FieldRole, Value) {
    (role, Value::Integer(value))
}

fn message(fields: Vec<(FieldRole, Value)>) -> Message {
    Message {
        length: 0,
        intact: true,
        fields,
    }
}

impl World {
    fn new() -> Self {
        Self::with(ModelSettings::default(), Limits::default())
    }

    fn with(settings: ModelSettings, limits: Limits) -> Self {
        let metrics = Metrics::new(limits);
        let mut model = Model::new(settings, &metrics);
        let process = process(7, "w");
        model.handle_process(&process);
        Self {
            interpreter: Interpreter::new(&crate::profile::Profile::builtin()),
            model,
            metrics,
            process,
            side: Side::Server,
            next_unary: 1_000_001,
        }
    }

    fn feed(&mut self, event: &flow::Event<'_>) {
        let mut out = Vec::new();
        self.interpreter
            .handle(&self.process, self.side, event, &mut out);
        for event in &out {
            self.model.handle(event);
        }
    }

    fn open(&mut self, call: CallId, method: MethodRole, at: f64) {
        self.feed(&flow::Event::CallStarted {
            call,
            at: ms(at),
            method: Method::Known(method),
        });
    }

    fn say(&mut self, call: CallId, origin: Origin, at: f64, message: &Message) {
        self.feed(&flow::Event::Message {
            call,
            at: ms(at),
            origin,
            message,
        });
    }

    fn lose(&mut self, call: CallId, origin: Origin, at: f64) {
        self.feed(&flow::Event::MessagesLost {
            call,
            at: ms(at),
            origin,
        });
    }

    fn end(&mut self, call: CallId, at: f64, end: CallEnd) {
        self.feed(&flow::Event::CallEnded {
            call,
            at: ms(at),
            end,
        });
    }

    /// Opens a stream and sends its first text.
    fn speak(&mut self, call: CallId, session: &str, at: f64) {
        self.open(call, MethodRole::Synthesize, at);
        let text = message(vec![text(FieldRole::SessionId, session)]);
        self.say(call, Origin::Client, at, &text);
    }

    /// Sends a frame of 20 ms.
    fn frame(&mut self, call: CallId, at: f64, sequence: i64) {
        self.say(call, Origin::Server, at, &frame(sequence));
    }

    /// Sends frames 20 ms apart, numbered on from `sequence`.
    fn frames(&mut self, call: CallId, at: f64, sequence: i64, count: i64) {
        for i in 0..count {
            self.frame(call, at + 20.0 * i as f64, sequence + i);
        }
    }

    /// Sends an end marker without audio.
    fn final_marker(&mut self, call: CallId, at: f64) {
        let marker = message(vec![number(FieldRole::Final, 1)]);
        self.say(call, Origin::Server, at, &marker);
    }

    /// Runs a unary call of this connection.
    fn unary_on(
        &mut self,
        connection: u64,
        method: MethodRole,
        at: (f64, f64),
        request: Vec<(FieldRole, Value)>,
        response: Vec<(FieldRole, Value)>,
    ) {
        let call = CallId {
            connection: ConnectionId(connection),
            stream: self.next_unary,
        };
        self.next_unary += 2;
        self.open(call, method, at.0);
        self.say(call, Origin::Client, at.0, &message(request));
        self.say(call, Origin::Server, at.1, &message(response));
        self.end(call, at.1, OK);
    }

    fn unary(
        &mut self,
        method: MethodRole,
        at: (f64, f64),
        request: Vec<(FieldRole, Value)>,
        response: Vec<(FieldRole, Value)>,
    ) {
        self.unary_on(1, method, at, request, response);
    }

    fn start_session(&mut self, session: &str, model: &str, at: f64) {
        self.unary(
            MethodRole::StartSession,
            (at, at),
            vec![
                text(FieldRole::SessionId, session),
                text(FieldRole::ModelId, model),
            ],
            vec![number(FieldRole::Success, 1)],
        );
    }

    fn end_session(&mut self, session: &str, at: f64) {
        self.unary(
            MethodRole::EndSession,
            (at, at),
            vec![text(FieldRole::SessionId, session)],
            vec![number(FieldRole::Success, 1)],
        );
    }

    fn control(&mut self, session: &str, command: i64, at: (f64, f64), success: i64) {
        let mut request = vec![text(FieldRole::SessionId, session)];
        if command != PAUSE {
            request.push(number(FieldRole::Command, command));
        }
        let response = vec![number(FieldRole::Success, success)];
        self.unary(MethodRole::Control, at, request, response);
    }

    fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Option<prometheus::proto::Metric> {
        self.metrics
            .registry()
            .gather()
            .into_iter()
            .filter(|family| family.name() == name)
            .flat_map(|mut family| std::mem::take(family.mut_metric()))
            .find(|metric| {
                labels.iter().all(|(name, value)| {
                    metric
                        .get_label()
                        .iter()
                        .any(|pair| pair.name() == *name && pair.value() == *value)
                })
            })
    }

    /// A gauge's value.
    fn gauge(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(self.metric(name, labels)?.get_gauge().get_value())
    }

    /// A counter's value.
    fn counter(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        Some(self.metric(name, labels)?.get_counter().get_value())
    }

    fn skipped(&self, measure: &str, reason: &str) -> Option<f64> {
        self.counter(
            "voxprobe_observations_skipped_total",
            &[("measure", measure), ("reason", reason)],
        )
    }

    fn histogram(&self, name: &str, labels: &[(&str, &str)]) -> Option<Observed> {
        let metric = self.metric(name, labels)?;
        let histogram = metric.get_histogram();
        Some(Observed {
            count: histogram.get_sample_count(),
            sum: histogram.get_sample_sum(),
            buckets: histogram
                .get_bucket()
                .iter()
                .map(prometheus::proto::Bucket::cumulative_count)
                .collect(),
        })
    }

    fn count_and_sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<(u64, f64)> {
        self.histogram(name, labels).map(|h| (h.count, h.sum))
    }

    /// Names of metrics that have a series with this label.
    fn families_with(&self, label: &str, value: &str) -> Vec<String> {
        self.metrics
            .registry()
            .gather()
            .iter()
            .filter(|family| {
                family.get_metric().iter().any(|metric| {
                    metric
                        .get_label()
                        .iter()
                        .any(|pair| pair.name() == label && pair.value() == value)
                })
            })
            .map(|family| family.name().to_owned())
            .collect()
    }

    fn series(&self, name: &str) -> usize {
        self.metrics
            .registry()
            .gather()
            .iter()
            .filter(|family| family.name() == name)
            .map(|family| family.get_metric().len())
            .sum()
    }
}

fn frame(sequence: i64) -> Message {
    message(vec![
        (FieldRole::Audio, Value::Length(1920)),
        number(FieldRole::SampleRate, 48_000),
        number(FieldRole::FrameDurationMs, 20),
        number(FieldRole::Sequence, sequence),
    ])
}
