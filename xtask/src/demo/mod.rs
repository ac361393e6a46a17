//! `demo`: a small real voice system, watched while it works and while it stumbles.
//!
//! Everything it starts ends with it, however it ends; everything it writes is in `target/demo`.

mod agent;
mod excerpt;
mod lab;
mod process;
mod scenario;
mod streams;

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::agent::{Agent, Start};
use self::lab::{Client, Worker};
use self::streams::View;
use crate::workspace::Workspace;
use crate::{build, http, setup, step};

/// Between two pictures of the live view.
const REFRESH: Duration = Duration::from_secs(1);

/// Shortest demo: a fault half-way needs seconds before and after it to be seen.
const SHORTEST: Duration = Duration::from_secs(4);
/// Longest demo.
const LONGEST: Duration = Duration::from_hours(1);

/// How long the fault holds one frame back, in milliseconds: beyond any prebuffer, so that a listener
/// would hear it.
const STALL_MS: u64 = 400;

/// Reads `20s`, `2m` or `1500ms`, within the demo's bounds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a duration such as 20s".to_string())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => return Err("expected a unit: ms, s or m".to_string()),
    };
    milliseconds
        .map(Duration::from_millis)
        .filter(|duration| (SHORTEST..=LONGEST).contains(duration))
        .ok_or_else(|| {
            format!(
                "expected {} s to {} s",
                SHORTEST.as_secs(),
                LONGEST.as_secs()
            )
        })
}

/// The whole task.
pub(crate) fn task(workspace: &Workspace, duration: Duration) -> Result<()> {
    let started = Instant::now();
    let toolchain = setup::toolchain(workspace)?;
    build::ebpf(workspace, &toolchain)?;
    build::agent(workspace)?;
    build::peers(workspace)?;
    step::report("ready", "everything is built", started.elapsed());

    let directory = workspace.target("demo");
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    watch(workspace, &directory, duration)
}

fn watch(workspace: &Workspace, directory: &Path, duration: Duration) -> Result<()> {
    let voicelab = workspace.release("voicelab");
    let worker = Worker::start(&voicelab, directory)?;
    // These connections are older than the probe, the second client's are younger.
    let earlier = Client::start(&voicelab, directory, "earlier", worker.port(), duration)?;
    println!(
        "\na text-to-speech worker (pid {}) serves its first clients",
        worker.pid()
    );

    let agent = match agent::start(workspace, directory, worker.pid())? {
        Start::Ready(agent) => agent,
        Start::Refused(reason) => {
            println!("voxprobe cannot attach on this host: {reason}");
            return replay(workspace);
        }
    };
    println!("voxprobe is attached; metrics: {}", agent.url("/metrics"));
    let later = Client::start(&voicelab, directory, "later", worker.port(), duration)?;

    live(&agent, &worker, duration)?;
    earlier.still_runs()?;
    later.still_runs()?;

    let metrics = http::get(agent.address(), "/metrics").context("read the metrics")?;
    let saved = directory.join("metrics.txt");
    fs::write(&saved, &metrics).with_context(|| format!("write {}", saved.display()))?;
    print_excerpt(&metrics);
    println!(
        "\nmetrics were at {}; the last reading is {}",
        agent.url("/metrics"),
        shown(&saved)
    );
    print_limits(workspace, directory)
}

/// The live view, with one fault half-way.
fn live(agent: &Agent, worker: &Worker, duration: Duration) -> Result<()> {
    let started = Instant::now();
    let mut view = View::new(std::io::stdout().is_terminal());
    let mut stalled = false;
    while started.elapsed() < duration {
        thread::sleep(REFRESH);
        let elapsed = started.elapsed();
        worker.still_runs()?;
        let streams = http::get(agent.address(), "/streams").and_then(|text| streams::parse(&text));
        match streams {
            Ok(streams) => view.show(elapsed, &streams),
            Err(error) => view.show_failure(elapsed, &error),
        }
        if !stalled && elapsed * 2 >= duration {
            stalled = true;
            worker.fault(&format!("stall {STALL_MS}"))?;
            view.note(&format!(
                "fault: the worker holds one frame back by {STALL_MS} ms"
            ));
        }
    }
    view.finish();
    Ok(())
}

/// The same pipeline on a capture that was taken elsewhere.
fn replay(workspace: &Workspace) -> Result<()> {
    let capture = workspace.root().join("tests/data/demo.vxcap");
    println!(
        "the same pipeline on a recorded capture, {}:",
        shown(&capture)
    );
    print_excerpt(&agent::replay(workspace, &capture)?);
    Ok(())
}

fn print_excerpt(metrics: &str) {
    println!();
    for line in excerpt::choose(metrics) {
        println!("{line}");
    }
}

fn print_limits(workspace: &Workspace, directory: &Path) -> Result<()> {
    let limits = agent::limits(workspace, directory)?;
    if limits.is_empty() {
        println!("nothing was missing on this host");
        return Ok(());
    }
    println!("what this host could not do:");
    for line in limits {
        println!("  {line}");
    }
    Ok(())
}

/// A path as it is seen from the current directory, when it is below it.
fn shown(path: &Path) -> String {
    let below = std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(PathBuf::from));
    below.as_deref().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_read_with_its_unit() {
        assert_eq!(parse_duration("20s"), Ok(Duration::from_secs(20)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse_duration("4500ms"), Ok(Duration::from_millis(4_500)));
    }

    #[test]
    fn duration_without_unit_or_out_of_bounds_is_refused() {
        for text in [
            "20",
            "",
            "s",
            "20h",
            "1s",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
