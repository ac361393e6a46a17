//! voxprobe as it is measured: started, asked, stopped.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::http;
use crate::machine::Refused;
use crate::process::Process;

/// Time to load and attach every program: the verifier is the slow part.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// Time for the counts of a round to appear: they are published every half second.
const COUNT_LIMIT: Duration = Duration::from_secs(3);
/// Between two questions.
const POLL: Duration = Duration::from_millis(20);
/// What the kernel side lost, by reason.
const LOSSES: &str = "voxprobe_kernel_losses_total";
/// Exit status of voxprobe when it could not do what it was asked to.
const EXIT_ERROR: i32 = 2;

/// An attached agent.
#[derive(Debug)]
pub(crate) struct Agent {
    process: Process,
    address: SocketAddr,
    /// From its start until every program was attached.
    pub(crate) ready_after: Duration,
}

/// What the kernel side has seen so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Records that the agent read.
    pub(crate) records: f64,
    /// What was not recorded, for whatever reason.
    pub(crate) lost: f64,
    /// Records that came without their bytes, for want of room.
    pub(crate) shed: f64,
}

impl Agent {
    /// Attaches voxprobe to one process, without a GPU; `attachment` is its `hooks.syscalls`.
    pub(crate) fn start(
        voxprobe: &Path,
        directory: &Path,
        attachment: &str,
        diagnoses: bool,
        pid: u32,
    ) -> Result<Result<Self, Refused>> {
        let config = directory.join("voxprobe.toml");
        let log = directory.join("voxprobe.log");
        let text = format!(
            "[hooks]\nsyscalls = \"{attachment}\"\n[gpu]\nenabled = false\n\
             [diagnosis]\nenabled = {diagnoses}\n"
        );
        fs::write(&config, text).context("write the agent's configuration")?;
        // Another program may take the port first; the agent then says so and ends.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("find a free port")?;
        let mut command = Command::new(voxprobe);
        command.args([
            "run",
            "--listen",
            &address.to_string(),
            "--pid",
            &pid.to_string(),
        ]);
        command.arg("--config").arg(&config);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).context("create the agent's log")?);
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
        while started.elapsed() < READY_LIMIT {
            if let Some(status) = process.ended()? {
                let reason = last_line(&log);
                if status.code() == Some(EXIT_ERROR) {
                    return Ok(Err(Refused(reason)));
                }
                bail!("voxprobe ended with {status}: {reason}");
            }
            if http::get(address, "/readyz").is_ok() {
                return Ok(Ok(Self {
                    process,
                    address,
                    ready_after: started.elapsed(),
                }));
            }
            thread::sleep(POLL);
        }
        bail!(
            "voxprobe is not ready after {READY_LIMIT:?}: {}",
            last_line(&log)
        )
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until the process is watched.
    pub(crate) fn wait_until_watching(&self) -> Result<()> {
        self.wait_for("watch the process", |metrics| {
            http::sum(metrics, "voxprobe_watched_processes").filter(|watched| *watched > 0.0)
        })
        .map(drop)
    }

    /// Waits until at least this many records were read or lost.
    pub(crate) fn wait_for_records(&self, least: f64) -> Result<Counts> {
        self.wait_for("see every write of the watched process", |metrics| {
            counts(metrics).filter(|counts| counts.records + counts.lost >= least)
        })
    }

    /// What it counted until now.
    pub(crate) fn counts(&self) -> Result<Counts> {
        counts(&self.metrics()?).context("read voxprobe's counts")
    }

    /// Everything it exports, in Prometheus' text format.
    pub(crate) fn metrics(&self) -> Result<String> {
        http::get(self.address, "/metrics")
    }

    /// Detaches it; how long that took.
    pub(crate) fn stop(mut self) -> Duration {
        self.process.stop()
    }

    fn wait_for<T>(&self, what: &str, found: impl Fn(&str) -> Option<T>) -> Result<T> {
        let started = Instant::now();
        while started.elapsed() < COUNT_LIMIT {
            if let Some(found) = found(&self.metrics()?) {
                return Ok(found);
            }
            thread::sleep(POLL);
        }
        bail!("voxprobe does not {what} within {COUNT_LIMIT:?}")
    }
}

/// Its counts, from what it exports.
pub(crate) fn counts(metrics: &str) -> Option<Counts> {
    let all = http::sum(metrics, LOSSES)?;
    let shed = *http::by_label(metrics, LOSSES, "reason").get("shed")?;
    Some(Counts {
        records: http::sum(metrics, "voxprobe_kernel_records_total")?,
        lost: all - shed,
        shed,
    })
}

fn last_line(log: &PathBuf) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.unwrap_or("it says nothing").to_owned()
}
