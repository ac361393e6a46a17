//! The command line: what may be typed, and which command does it.

mod check;
mod diagnose;
mod discover;
mod outcome;
mod progress;
mod record;
mod reload;
mod replay;
mod run;
mod stop;
mod top;
mod usage;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use probe_core::record::Role;

use crate::{
    attach,
    discover::Target,
    settings::{Settings, SettingsError},
    telemetry,
};
pub use outcome::{Outcome, is_broken_pipe};
pub use usage::in_one_line;

/// Tells from the kernel whether listeners of a realtime voice system hear smooth audio, and why
/// not.
#[derive(Debug, Parser)]
#[command(name = "voxprobe", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Least level that is logged (on stderr) [default: info, or as configured]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<telemetry::Level>,
    /// Form of the log [default: json, or as configured]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<telemetry::Format>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watches the voice system and exports Prometheus metrics, until it is stopped
    Run(run::Arguments),
    /// Watches for a while and says why frames were late, with the evidence and what to do next
    Diagnose(diagnose::Arguments),
    /// Shows open streams, why they were late, and GPUs, live in the terminal
    Top(top::Arguments),
    /// Says what works on this host, what does not, why, and what would fix it
    Check(check::Arguments),
    /// Lists the processes it would watch, with role, sockets and GPU
    Discover(discover::Arguments),
    /// Saves everything the kernel tells to a capture file, without audio and text
    Record(record::Arguments),
    /// Runs a capture file through the same pipeline
    Replay(replay::Arguments),
}

/// What to watch and how; the flags win over the file.
#[derive(Clone, Debug, Args)]
struct Watching {
    /// Configuration file; config/voxprobe.toml shows every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Watch this process (a worker unless a configured target says otherwise) and its children,
    /// and no other; may be given several times
    #[arg(long = "pid", value_name = "N")]
    pids: Vec<u32>,
    /// How sockets are seen [default: auto, or as configured]
    #[arg(long, value_enum, value_name = "HOW")]
    hooks: Option<attach::Choice>,
    /// Path of libnvidia-ml.so
    #[arg(long, value_name = "PATH")]
    nvml_lib: Option<PathBuf>,
}

/// Form of output on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

impl Watching {
    /// The settings these flags and their file mean.
    fn settings(&self, cli: &Overrides) -> Result<Settings, UsageError> {
        let mut settings = self.read(cli)?;
        if let Some(targets) = self.named_targets(&settings.targets)? {
            settings.targets = targets;
        }
        Ok(settings)
    }

    /// The settings they mean now, for an agent that runs: it goes on watching the processes that it was
    /// told by their ids, which may have ended meanwhile.
    fn reload(&self, cli: &Overrides, running: &Settings) -> Result<Settings, UsageError> {
        let mut settings = self.read(cli)?;
        if !self.pids.is_empty() {
            settings.targets.clone_from(&running.targets);
        }
        Ok(settings)
    }

    /// The file's settings with the flags' but for the processes.
    fn read(&self, cli: &Overrides) -> Result<Settings, UsageError> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(level) = cli.log_level {
            settings.log.level = level;
        }
        if let Some(format) = cli.log_format {
            settings.log.format = format;
        }
        if let Some(listen) = cli.listen {
            settings.listen = listen;
        }
        if let Some(hooks) = self.hooks {
            settings.hooks.choice = hooks;
        }
        if let Some(library) = &self.nvml_lib {
            if !library.exists() {
                return Err(UsageError::NoLibrary(library.clone()));
            }
            settings.gpu.library = Some(library.clone());
        }
        Ok(settings)
    }

    /// Targets for the processes that were named by their ids, if any were.
    fn named_targets(&self, configured: &[Target]) -> Result<Option<Vec<Target>>, UsageError> {
        let mut targets = Vec::new();
        for pid in &self.pids {
            let facts =
                crate::discover::ProcessFacts::read(*pid).ok_or(UsageError::NoProcess(*pid))?;
            let matched = crate::discover::find(configured, &facts);
            targets.push(match matched {
                Some(matched) => Target {
                    name: matched.name,
                    adapter: matched.adapter,
                    ..Target::process(matched.role, &facts)
                },
                None => Target::process(Role::Worker, &facts),
            });
        }
        Ok((!targets.is_empty()).then_some(targets))
    }
}

/// Flags beside [`Watching`] that win over the file.
#[derive(Clone, Copy, Debug, Default)]
struct Overrides {
    log_level: Option<telemetry::Level>,
    log_format: Option<telemetry::Format>,
    listen: Option<SocketAddr>,
}

/// What was typed cannot be done.
#[derive(Debug, thiserror::Error)]
enum UsageError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(
        "--nvml-lib {}: no such file: give the path of libnvidia-ml.so.1, or leave the flag out to \
         look in the usual places",
        .0.display()
    )]
    NoLibrary(PathBuf),
    #[error("--pid {0}: no such process: `voxprobe discover` lists the processes it would watch")]
    NoProcess(u32),
    #[error(
        "{}: holds no evidence on late frames: record one with `voxprobe diagnose --record FILE`",
        .0.display()
    )]
    NoEvidence(PathBuf),
    #[error("stdout is no terminal: run `voxprobe top` in one, or take `voxprobe diagnose`")]
    NoTerminal,
    #[error("no worker was watched: `voxprobe discover` lists the processes it would watch")]
    NoWorker,
    #[error("--worker {0}: no worker of this name was watched; watched were: {1}")]
    OtherWorkers(String, String),
}

impl Cli {
    /// Does what was typed.
    ///
    /// # Errors
    /// With one line that says what failed and what would help.
    pub fn execute(self) -> anyhow::Result<Outcome> {
        let overrides = Overrides {
            log_level: self.log_level,
            log_format: self.log_format,
            listen: None,
        };
        match self.command {
            Command::Run(arguments) => run::run(&arguments, overrides),
            Command::Diagnose(arguments) => diagnose::diagnose(&arguments, overrides),
            Command::Top(arguments) => top::top(&arguments, overrides),
            Command::Check(arguments) => check::check(&arguments, overrides),
            Command::Discover(arguments) => discover::discover(&arguments, overrides),
            Command::Record(arguments) => record::record(&arguments, overrides),
            Command::Replay(arguments) => replay::replay(&arguments, overrides),
        }
    }
}
