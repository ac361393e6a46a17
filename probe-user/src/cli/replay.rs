//! `voxprobe replay`: a capture through the same pipeline.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use probe_core::{
    metrics::{Limits, Metrics, Observation},
    model::ModelSettings,
    pipeline::{NamedCall, Pipeline},
    profile::{MethodRole, Profile},
    record::{ConnectionId, KtimeNs, Record},
};

use super::{Outcome, Overrides, UsageError, diagnose::Form};
use crate::{agent::Streams, capture::Reader, export, report::Diagnosis, telemetry};

#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags, of which one at most is given"
)]
pub(super) struct Arguments {
    /// A file that `voxprobe record` wrote
    file: PathBuf,
    /// Print the metrics as they were at its end (the default)
    #[arg(long, conflicts_with_all = ["streams", "events", "observations", "calls", "diagnose"])]
    metrics: bool,
    /// Print why frames were late instead, as `voxprobe diagnose` does
    #[arg(long, conflicts_with_all = ["streams", "events", "observations", "calls"])]
    diagnose: bool,
    /// Form of the diagnosis
    #[arg(long, default_value = "text", requires = "diagnose")]
    format: Form,
    /// Print the streams that were open at its end as JSON instead, as /streams does
    #[arg(long, conflicts_with_all = ["events", "observations", "calls"])]
    streams: bool,
    /// Print every record as a line of JSON instead
    #[arg(long, conflicts_with_all = ["observations", "calls"])]
    events: bool,
    /// Print every value that a histogram was given as a line of JSON instead, in its metric's unit
    #[arg(long, conflicts_with = "calls")]
    observations: bool,
    /// Print every gRPC call as a line of JSON instead, when it is over: which method it was said to
    /// call and since when, with null where a name was taken back
    #[arg(long)]
    calls: bool,
}

pub(super) fn replay(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    telemetry::init(telemetry::Settings {
        level: overrides.log_level.unwrap_or(telemetry::Level::Info),
        format: overrides.log_format.unwrap_or(telemetry::Format::Json),
        events_per_minute: telemetry::EVENTS_PER_MINUTE,
    });
    let path = &arguments.file;
    let mut reader = Reader::open(path)?;
    let header = reader.header().clone();
    let profile = Profile::from_toml(&header.profile)
        .with_context(|| format!("{}: its profile cannot be read", path.display()))?;
    let sessions = usize::try_from(header.max_session_labels).unwrap_or(usize::MAX);
    let limits = Limits {
        sessions,
        ..Limits::default()
    };
    let (metrics, observations) = if arguments.observations {
        let (metrics, observations) = Metrics::observed(limits);
        (metrics, Some(observations))
    } else {
        (Metrics::new(limits), None)
    };
    let settings = ModelSettings {
        prebuffer_ms: header.prebuffer_ms,
        resident_cap: header.resident_cap,
        ..ModelSettings::default()
    };
    let mut pipeline = Pipeline::new(Arc::new(profile), settings, metrics.clone());
    if arguments.calls {
        pipeline.keep_named();
    }
    if arguments.diagnose {
        pipeline.diagnosis_mut().want_report();
    }
    let mut stdout = std::io::stdout().lock();
    let mut opened = BTreeMap::new();
    while let Some(record) = reader.next_record(path)? {
        if let Record::Opened(connection) = &record {
            opened.insert(connection.connection, connection.at);
        }
        if arguments.events {
            event(&mut stdout, &record)?;
        } else {
            pipeline.handle(record, None);
        }
        if let Some(observations) = &observations {
            for one in observations.take() {
                observation(&mut stdout, &one)?;
            }
        }
        if arguments.calls {
            for one in pipeline.take_named() {
                named(&mut stdout, &one, &opened)?;
            }
        }
    }
    if reader.is_truncated() {
        tracing::warn!(path = %path.display(), "the capture ends in the middle of a record");
    }
    pipeline.finish();
    for one in pipeline.take_named() {
        named(&mut stdout, &one, &opened)?;
    }
    if arguments.diagnose {
        let found = pipeline.diagnosis();
        if found.summary().since.is_none() {
            return Err(UsageError::NoEvidence(path.clone()).into());
        }
        let report = Diagnosis::new(found.summary(), found.course());
        return super::diagnose::tell(&report, arguments.format, None);
    }
    if arguments.streams {
        let streams = Streams::default();
        streams.publish(pipeline.model());
        serde_json::to_writer(&mut stdout, &streams.rows()).context("write to stdout")?;
        writeln!(stdout).context("write to stdout")?;
    } else if !(arguments.events || arguments.observations || arguments.calls) {
        let text = export::encode(metrics.registry()).context("encode the metrics")?;
        stdout.write_all(&text).context("write to stdout")?;
    }
    Ok(Outcome::Healthy)
}

/// One record as a line of JSON; ticks say nothing.
fn event(out: &mut impl std::io::Write, record: &Record<'_>) -> anyhow::Result<()> {
    if matches!(record, Record::Tick { .. }) {
        return Ok(());
    }
    serde_json::to_writer(&mut *out, record).context("write to stdout")?;
    out.write_all(b"\n").context("write to stdout")
}

/// One value of a histogram as a line of JSON.
fn observation(out: &mut impl std::io::Write, one: &Observation) -> anyhow::Result<()> {
    let labels: BTreeMap<&str, &str> = one.labels.iter().map(|(k, v)| (*k, &**v)).collect();
    let line = serde_json::json!({"metric": one.metric, "labels": labels, "value": one.value});
    serde_json::to_writer(&mut *out, &line).context("write to stdout")?;
    out.write_all(b"\n").context("write to stdout")
}

/// One call as a line of JSON.
fn named(
    out: &mut impl std::io::Write,
    one: &NamedCall,
    opened: &BTreeMap<ConnectionId, KtimeNs>,
) -> anyhow::Result<()> {
    let names = one.names.iter();
    let names: Vec<_> = names
        .map(
            |(at, name)| serde_json::json!({"at_ns": at.0, "method": name.map(MethodRole::as_str)}),
        )
        .collect();
    let line = serde_json::json!({
        "connection": one.call.connection,
        "stream": one.call.stream,
        "opened_ns": opened.get(&one.call.connection).map(|at| at.0),
        "started_ns": one.started.0,
        "ended_ns": one.ended.map(|at| at.0),
        "other": one.is_other,
        "names": names,
    });
    serde_json::to_writer(&mut *out, &line).context("write to stdout")?;
    out.write_all(b"\n").context("write to stdout")
}
