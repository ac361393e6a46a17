//! The command line.

use crate::{client, fault_client, measuring, orchestrator, stamper, talker, worker};

/// A small real text-to-speech system to watch.
#[derive(Debug, clap::Parser)]
#[command(name = "voicelab", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve text-to-speech until SIGTERM, then print counts as JSON
    Worker(worker::Args),
    /// Drive sessions against a worker, print counts as JSON and exit
    Client(client::Args),
    /// Serve voice sessions over WebSocket with the speech of workers, until SIGTERM
    Orchestrator(Box<orchestrator::Args>),
    /// Drive sessions of an orchestrator over WebSocket, print counts as JSON and exit
    Talker(Box<talker::Args>),
    /// Serve frames while stamping the clock around each socket write, then print counts as JSON
    Stamper(stamper::Args),
    /// Say what a truth file knows of each metric of the guide, one JSON object per line
    Measures(measuring::Args),
    /// Switch a fault of a running worker or orchestrator
    Fault(fault_client::Args),
}

impl Cli {
    /// Does what the command line asks for.
    pub fn run(&self) -> anyhow::Result<()> {
        match &self.command {
            Command::Worker(args) => worker::run(args),
            Command::Client(args) => client::run(args),
            Command::Orchestrator(args) => orchestrator::run(args),
            Command::Talker(args) => talker::run(args),
            Command::Stamper(args) => stamper::run(args),
            Command::Measures(args) => measuring::run(args),
            Command::Fault(args) => fault_client::run(args),
        }
    }
}
