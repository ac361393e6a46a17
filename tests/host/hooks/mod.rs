//! Hooks at functions of real libraries, in real processes.

mod recogniser;
mod vad;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::Probe;
use probe_tests::process::Process;

/// How long a peer may take over a command: the longest feeds frames for seconds.
const ANSWER: Duration = Duration::from_mins(1);

/// A probe that watches processes with `mark` on their command line as orchestrators, with these
/// hooks.
fn watch(lab: &Lab, mark: &str, hooks: &str, arguments: &[&str]) -> Probe {
    let config = config(lab, mark, hooks);
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    command.args(arguments);
    Probe::start(lab, command)
}

fn config(lab: &Lab, mark: &str, hooks: &str) -> PathBuf {
    let text = format!("[[target]]\nrole = \"orchestrator\"\ncmdline = '{mark}'\n{hooks}");
    lab.write(&format!("{mark}.toml"), text)
}

/// Library files at which a hook is in a state.
fn files(scrape: &Exposition, name: &str, state: &str) -> f64 {
    scrape.sum("voxprobe_hooks", &[("name", name), ("state", state)])
}

/// Waits until a hook is set at this many files.
#[track_caller]
fn wait_active(probe: &Probe, name: &str, count: usize) -> Exposition {
    let active = |scrape: &Exposition| files(scrape, name, "active") == count as f64;
    let scrape = probe.scrape_until(Duration::from_secs(15), active);
    assert!(active(&scrape), "{}", probe.log());
    scrape
}

/// Tells a peer to do something; gives its answer.
fn ask(peer: &mut Process, command: &str) -> serde_json::Value {
    peer.tell(command);
    let line = peer.line(ANSWER);
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{command}: {line}: {error}"))
}

/// A Python peer, found by a mark of its own on the command line.
fn python(python: &Path, script: &str, arguments: &[&str], mark: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(artifacts::peers().join(script));
    command.args(arguments).arg(mark);
    command
}
