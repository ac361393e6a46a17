//! `voxprobe check`: what works here.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;

use super::{Format, Outcome, Overrides, Watching};
use crate::{report::Check, telemetry};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    watching: Watching,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn check(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    let settings = arguments.watching.settings(&overrides)?;
    telemetry::init(settings.log);
    let check = Check::of_host(&settings);
    let text = match arguments.format {
        Format::Text => check.to_string(),
        Format::Json => serde_json::to_string_pretty(&check).context("encode the report")? + "\n",
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("write to stdout")?;
    Ok(if check.is_healthy() {
        Outcome::Healthy
    } else {
        Outcome::Findings
    })
}
