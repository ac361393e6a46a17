//! `voxprobe replay`: a capture through the same pipeline.

use std::{io::Write as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;
use probe_core::{
    metrics::{Limits, Metrics},
    model::ModelSettings,
    pipeline::Pipeline,
    profile::Profile,
    record::Record,
};

use super::{Outcome, Overrides};
use crate::{agent::Streams, capture::Reader, export, telemetry};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A file that `voxprobe record` wrote
    file: PathBuf,
    /// Print the metrics as they were at its end (the default)
    #[arg(long, conflicts_with_all = ["streams", "events"])]
    metrics: bool,
    /// Print the streams that were open at its end as JSON instead, as /streams does
    #[arg(long, conflicts_with = "events")]
    streams: bool,
    /// Print every record as a line of JSON instead
    #[arg(long)]
    events: bool,
}

pub(super) fn replay(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    telemetry::init(telemetry::Settings {
        level: overrides.log_level.unwrap_or(telemetry::Level::Info),
        format: overrides.log_format.unwrap_or(telemetry::Format::Json),
    });
    let path = &arguments.file;
    let mut reader = Reader::open(path)?;
    let header = reader.header().clone();
    let profile = Profile::from_toml(&header.profile)
        .with_context(|| format!("{}: its profile cannot be read", path.display()))?;
    let sessions = usize::try_from(header.max_session_labels).unwrap_or(usize::MAX);
    let metrics = Metrics::new(Limits {
        sessions,
        ..Limits::default()
    });
    let settings = ModelSettings {
        prebuffer_ms: header.prebuffer_ms,
        resident_cap: header.resident_cap,
        ..ModelSettings::default()
    };
    let mut pipeline = Pipeline::new(Arc::new(profile), settings, metrics.clone());
    let mut stdout = std::io::stdout().lock();
    while let Some(record) = reader.next_record(path)? {
        if arguments.events {
            event(&mut stdout, &record)?;
        } else {
            pipeline.handle(record, None);
        }
    }
    if reader.is_truncated() {
        tracing::warn!(path = %path.display(), "the capture ends in the middle of a record");
    }
    if arguments.streams {
        let streams = Streams::default();
        streams.publish(pipeline.model());
        serde_json::to_writer(&mut stdout, &streams.rows()).context("write to stdout")?;
        writeln!(stdout).context("write to stdout")?;
    } else if !arguments.events {
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
