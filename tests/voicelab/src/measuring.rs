//! Says what a truth file knows of each metric of the guide, one JSON object per line.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::serving;
use crate::truth::{Line, measures};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The truth file of a worker, an orchestrator or a client of Redis
    #[arg(long)]
    truth: PathBuf,
    /// Label `worker` of a worker's own file
    #[arg(long, default_value = "unknown")]
    worker: String,
}

/// Prints the measures.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(&args.truth)
        .with_context(|| format!("read {}", args.truth.display()))?;
    // A process that crashed may have left half a line at the end.
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let lines = whole
        .map(serde_json::from_str)
        .collect::<Result<Vec<Line>, _>>()
        .with_context(|| format!("understand {}", args.truth.display()))?;
    for measure in measures(&lines, &args.worker) {
        serving::print_line(&serde_json::to_string(&measure).context("encode a measure")?)?;
    }
    Ok(())
}
