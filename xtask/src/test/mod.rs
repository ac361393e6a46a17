//! `test`: lints, then the tests of each level, then a table of how many passed, failed and skipped.
//!
//! A test that cannot do its work on this machine passes and says why, in one of two ways: it prints
//! a line `skipped: REASON`, or it appends a line `level<TAB>test<TAB>reason` to the file that
//! `VOXPROBE_SKIPS` names. Either is counted as skipped and not as passed; both together count once.
//!
//! Environment of the host, compat and config tests:
//!
//! | variable | value |
//! |---|---|
//! | `VOXPROBE_BIN` | the agent, release form |
//! | `VOXPROBE_VOICELAB` | the voice system to watch |
//! | `FAKE_NVML_LIB` | the stand-in NVML (also in the unit tests) |
//! | `VOXPROBE_PYTHON` | interpreter with the peers' requirements; unset where there is none |
//! | `VOXPROBE_IMAGE` | the folder from which the container image is built |
//! | `VOXPROBE_KUBERNETES_TOOLS` | interpreter with kubectl, Helm and Kubernetes' schemas; unset likewise |
//! | `VOXPROBE_GRAFANA_SCHEMA` | `node_modules` with Grafana's schema and a compiler; unset likewise |
//! | `VOXPROBE_GRAFANA_PANELS` | `node_modules` with Grafana's panels and a bundler; unset likewise |
//! | `VOXPROBE_PEERS_CACHE` | directory for the stubs that the Python peers generate |
//! | `VOXPROBE_SKIPS` | the file above |
//! | `VOXPROBE_HOOKS` | how the agent under test sees syscalls, as `--hooks` takes it; unset for its default |
//! | `PATH` | begins with the tools that setup fetched |

mod environment;
mod libtest;
mod skips;
mod summary;
mod vm;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

pub(crate) use self::environment::FAKE_NVML;

use self::environment::Environment;
use self::libtest::Tally;
use self::skips::SkipFile;
use self::summary::{Row, Summary};
use crate::workspace::Workspace;
use crate::{build, dist, lint, setup, step};

/// What a test needs from the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    /// Nothing: pure logic and loopback.
    Unit,
    /// The kernel: privilege and eBPF.
    Host,
    /// Peers in other languages.
    Compat,
    /// The files in `config/`, run by the programs that they are for.
    Config,
    /// Other kernels, in virtual machines; named alone, more of it.
    Vm,
    /// The service, installed as the README says, in a virtual machine.
    Systemd,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Host => "host",
            Self::Compat => "compat",
            Self::Config => "config",
            Self::Vm => "vm",
            Self::Systemd => "systemd",
        }
    }
}

/// Packages whose tests need nothing of the machine.
const UNIT_PACKAGES: [&str; 10] = [
    "probe-abi",
    "probe-core",
    "probe-user",
    "xtask",
    "fake-nvml",
    "voicelab",
    "socket-clock",
    "vad-hook",
    "accuracy",
    "overhead",
];

/// Levels that test the whole on this kernel: they need the agent and its peers, built.
const WHOLE: [Level; 3] = [Level::Host, Level::Compat, Level::Config];

/// The whole task; tells whether every test passed.
pub(crate) fn task(workspace: &Workspace, level: Option<Level>) -> Result<bool> {
    let runs = |wanted: Level| level.is_none_or(|level| level == wanted);
    let whole = [Level::Vm, Level::Systemd].into_iter().any(runs) || WHOLE.into_iter().any(runs);
    std::thread::scope(|scope| {
        if whole {
            let toolchain = setup::toolchain(workspace).context(
                "prepare the tests of the whole (`cargo xtask test unit` needs no setup)",
            )?;
            // Fetched while the compiler works.
            scope.spawn(|| setup::test_tools(workspace));
            // First, so that what embeds the eBPF object is compiled once and not once more after it.
            build::ebpf(workspace, &toolchain)?;
        }
        lint::task(workspace)
    })?;

    let skips = SkipFile::create(&workspace.target("test/skips.tsv"))?;
    let mut summary = Summary::default();
    if runs(Level::Unit) {
        let mut build = workspace.cargo();
        step::run("fake-nvml", build.args(["build", "-p", "fake-nvml"]))?;
        let mut cargo = workspace.cargo();
        cargo.args(["test", "--no-fail-fast"]);
        for package in UNIT_PACKAGES {
            cargo.args(["-p", package]);
        }
        cargo.args(["--", "--show-output"]);
        Environment::debug(workspace, &skips).apply(&mut cargo);
        summary.add(run(Level::Unit, &mut cargo, &skips)?);
    }
    if whole {
        build::agent(workspace)?;
        build::peers(workspace)?;
    }
    if runs(Level::Config)
        && let Err(error) = dist::context(workspace)
    {
        step::skipped(
            "image files",
            format!("tests of the image will skip: {error:#}"),
        );
    }
    for level in WHOLE {
        if runs(level) {
            let mut cargo = workspace.cargo();
            cargo.args([
                "test",
                "--no-fail-fast",
                "-p",
                "probe-tests",
                "--test",
                level.name(),
            ]);
            // The tests share the kernel and the machine's cores: one at a time.
            cargo.args(["--", "--test-threads=1", "--show-output"]);
            Environment::release(workspace, &skips).apply(&mut cargo);
            summary.add(run(level, &mut cargo, &skips)?);
        }
    }
    if runs(Level::Vm) {
        let depth = match level {
            Some(_) => vm::Depth::Whole,
            None => vm::Depth::Short,
        };
        let environment = Environment::release(workspace, &skips);
        summary.add(vm::run(workspace, &environment, depth)?);
    }
    if runs(Level::Systemd) {
        summary.add(vm::systemd::run(workspace)?);
    }
    println!("\n{summary}");
    Ok(summary.passed())
}

/// Tells a program what the tests of the whole are told: where everything that was built is.
pub(crate) fn tell(workspace: &Workspace, command: &mut Command) -> Result<()> {
    let skips = SkipFile::create(&workspace.target("test/skips.tsv"))?;
    Environment::release(workspace, &skips).apply(command);
    Ok(())
}

/// Runs one level; its output streams through and is read on the way.
fn run(level: Level, cargo: &mut Command, skips: &SkipFile) -> Result<Row> {
    let started = Instant::now();
    println!("{:<14} running", level.name());
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("start cargo test")?;
    let mut tally = Tally::default();
    let stdout = child
        .stdout
        .take()
        .context("read the output of cargo test")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("read the output of cargo test")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        tally.read(&line);
    }
    let status = child.wait().context("wait for cargo test")?;
    let row = Row::new(
        level.name(),
        &tally,
        &skips.of_level(level.name())?,
        status.success(),
        started.elapsed(),
    );
    step::report(level.name(), "done", started.elapsed());
    Ok(row)
}
