//! `voxprobe diagnose`: why frames are late, watched for a while.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use probe_core::interpret::Id;

use super::{Outcome, Overrides, UsageError, Watching, run::Watch};
use crate::{attach::Following, report::Diagnosis, telemetry};

/// How often GPUs are read while diagnosing, at least: a frame's lateness is shorter than the usual
/// second.
const GPU_INTERVAL: Duration = Duration::from_millis(250);

/// Form of the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people, in 80 columns
    #[default]
    Text,
    /// For programs; config/diagnosis.schema.json describes it
    Json,
    /// One file with charts that opens offline
    Html,
}

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    watching: Watching,
    /// For how long; Ctrl-C ends it early and still reports
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Report only on the worker of this name
    #[arg(long, value_name = "NAME", conflicts_with = "pids")]
    worker: Option<String>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Write the report to this file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also save a capture file; `voxprobe replay FILE --diagnose` gives the same report
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

pub(super) fn diagnose(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    let mut settings = arguments.watching.settings(&overrides)?;
    telemetry::init(settings.log);
    settings.hooks.stretch = Some(settings.stretch);
    settings.gpu.interval = settings.gpu.interval.min(GPU_INTERVAL);
    let worker = arguments.worker.as_deref().and_then(Id::new);
    let watch = Watch {
        capture: arguments.record.clone(),
        limit: Some(arguments.time),
        worker: worker.clone(),
        shows_progress: std::io::stderr().is_terminal(),
        reports: true,
        ..Watch::default()
    };
    let (_, shared) = watch.run(settings)?;
    let summary = shared
        .diagnosis
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if summary.frames.is_empty() {
        return Err(UsageError::NoWorker.into());
    }
    if let Some(worker) = worker
        && !summary.frames.contains_key(&worker)
    {
        let names: Vec<&str> = summary.frames.keys().map(Id::as_str).collect();
        return Err(UsageError::OtherWorkers(worker.to_string(), names.join(", ")).into());
    }
    let following = shared.following.lock();
    let following = following.unwrap_or_else(PoisonError::into_inner);
    let course = shared.course.lock();
    let course = course.unwrap_or_else(PoisonError::into_inner);
    let mut report = Diagnosis::new(&summary, course.as_ref());
    if let Following::Unavailable(reason) = &*following {
        report.unavailable = Some(reason.clone());
    }
    tell(&report, arguments.format, arguments.output.as_deref())
}

/// Writes a report to a file or to stdout.
pub(super) fn tell(
    report: &Diagnosis,
    format: Form,
    output: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let text = match format {
        Form::Text => report.to_string(),
        Form::Json => serde_json::to_string_pretty(report).context("encode the report")? + "\n",
        Form::Html => report.html().to_string(),
    };
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| {
            format!(
                "{}: report cannot be written: give a path that can be",
                path.display()
            )
        })?,
        None => std::io::stdout()
            .write_all(text.as_bytes())
            .context("write to stdout")?,
    }
    Ok(if report.is_healthy() {
        Outcome::Healthy
    } else {
        Outcome::Findings
    })
}
