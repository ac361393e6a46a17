//! `voxprobe discover`: what would be watched.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;

use super::{Format, Outcome, Overrides, Watching};
use crate::{report::Discovery, telemetry};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    watching: Watching,
    /// Form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn discover(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    let settings = arguments.watching.settings(&overrides)?;
    telemetry::init(settings.log);
    let discovery = Discovery::of_host(&settings);
    let text = match arguments.format {
        Format::Text => discovery.to_string(),
        Format::Json => {
            serde_json::to_string_pretty(&discovery).context("encode the report")? + "\n"
        }
    };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("write to stdout")?;
    Ok(if discovery.processes.is_empty() {
        Outcome::Findings
    } else {
        Outcome::Healthy
    })
}
