//! `voxprobe top`: the live terminal view.

use std::io::IsTerminal as _;

use clap::Args;

use super::{Outcome, Overrides, UsageError, Watching, run::Watch};
use crate::telemetry;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    watching: Watching,
}

pub(super) fn top(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    if !std::io::stdout().is_terminal() {
        return Err(UsageError::NoTerminal.into());
    }
    let mut settings = arguments.watching.settings(&overrides)?;
    // A log on the terminal would be written over the view.
    if !std::io::stderr().is_terminal() {
        telemetry::init(settings.log);
    }
    settings.hooks.stretch = Some(settings.stretch);
    let watch = Watch {
        reports: true,
        is_seen: true,
        ..Watch::default()
    };
    watch.run(settings)?;
    Ok(Outcome::Healthy)
}
