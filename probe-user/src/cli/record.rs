//! `voxprobe record`: saves a capture.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use clap::Args;

use super::{Outcome, Overrides, Watching, run};
use crate::{
    export::{Endpoint, Guard},
    telemetry,
};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    watching: Watching,
    /// The file
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// For how long
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    time: Duration,
    /// Serve the metrics meanwhile
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

pub(super) fn record(arguments: &Arguments, overrides: Overrides) -> anyhow::Result<Outcome> {
    let settings = arguments.watching.settings(&overrides)?;
    telemetry::init(settings.log);
    let endpoint = match arguments.listen {
        Some(address) => {
            let guard = Guard::load(settings.web_config.as_deref())?;
            Some((Endpoint::bind(address)?, guard))
        }
        None => None,
    };
    let watch = run::Watch {
        endpoint,
        capture: Some(arguments.output.clone()),
        limit: Some(arguments.time),
        ..run::Watch::default()
    };
    let (records, _) = watch.run(settings)?;
    writeln!(
        std::io::stdout(),
        "{records} records in {}",
        arguments.output.display()
    )
    .context("write to stdout")?;
    Ok(Outcome::Healthy)
}
