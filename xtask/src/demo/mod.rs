//! `demo`: a small real voice system, watched while it works and while it stumbles.
//!
//! Everything it starts ends with it, however it ends; everything it writes is in `target/demo`.
//! Where the host lets nobody attach eBPF programs, a recorded capture goes through the same pipeline
//! and the same views.

mod agent;
mod diagnosis;
mod excerpt;
mod exposition;
mod finding;
mod host;
mod lab;
mod live;
mod playback;
mod process;
mod scenario;
mod screen;
mod streams;
mod view;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use self::host::Host;
use self::live::Show;
use self::screen::Screen;
use crate::workspace::Workspace;
use crate::{build, setup, step};

/// Shortest demo: a fault half-way needs seconds before and after it to be seen.
const SHORTEST: Duration = Duration::from_secs(4);
/// Longest demo.
const LONGEST: Duration = Duration::from_hours(1);

/// Where what the kernel told is saved, in the demo's directory.
const CAPTURE: &str = "demo.vxcap";

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

/// The whole task. With `capture`, what the agent is told is saved there.
pub(crate) fn task(
    workspace: &Workspace,
    duration: Duration,
    capture: Option<&Path>,
) -> Result<()> {
    let mut screen = Screen::new();
    match show(workspace, duration, capture, &mut screen) {
        // Whoever read the output has seen enough.
        Err(error) if screen::is_closed(&error) => Ok(()),
        shown => shown,
    }
}

fn show(
    workspace: &Workspace,
    duration: Duration,
    capture: Option<&Path>,
    screen: &mut Screen,
) -> Result<()> {
    let started = Instant::now();
    let refusal = prepare(workspace)?;
    step::report("ready", "everything is built", started.elapsed());
    let directory = workspace.target("demo");
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    let redis_port = agent::configure(workspace, &directory)?;
    let host = agent::check(workspace, &directory)?;
    let saved = directory.join(CAPTURE);
    let live = Show {
        workspace,
        directory: &directory,
        duration,
        capture: capture.unwrap_or(&saved),
        redis_port,
    };
    match refusal.or_else(|| host.refusal().map(String::from)) {
        Some(reason) => {
            screen.say("")?;
            screen.explain(format!("no eBPF on this host: {reason}"))?;
            playback::show(workspace, screen)?;
        }
        None => live.run(screen)?,
    }
    say_limits(&host, screen)
}

/// Builds everything; gives the reason when there can be no programs for the kernel because this user
/// may not install what builds them. For root that is an error: nothing but it stands in the way.
fn prepare(workspace: &Workspace) -> Result<Option<String>> {
    match setup::toolchain(workspace) {
        Ok(toolchain) => {
            build::ebpf(workspace, &toolchain)?;
            build::agent(workspace)?;
            build::peers(workspace)?;
            Ok(None)
        }
        Err(error) if rustix::process::geteuid().is_root() => Err(error),
        Err(error) => {
            build::agent(workspace)?;
            Ok(Some(format!("its programs cannot be built: {error:#}")))
        }
    }
}

fn say_limits(host: &Host, screen: &mut Screen) -> Result<()> {
    let limits = host.limits();
    if limits.is_empty() {
        return screen.say("\n`voxprobe check`: nothing is missing on this host");
    }
    screen.say("\nwhat this host could not do, from `voxprobe check`:")?;
    limits.iter().try_for_each(|line| screen.explain(line))
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
