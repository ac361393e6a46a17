//! The machine that the figures are of, and whether it is fit to be measured.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use procfs::Current as _;
use rustix::thread::sched_getaffinity;

/// Why something is not measured here, in the words of what refused it.
#[derive(Clone, Debug)]
pub(crate) struct Refused(pub(crate) String);

/// Where tracefs is mounted by convention, and where older hosts have it.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// The folder of tracefs, which the agent mounts where nobody else has.
pub(crate) fn tracefs() -> Result<&'static str> {
    let mounted = |place: &&str| Path::new(place).join("events").is_dir();
    TRACEFS
        .into_iter()
        .find(mounted)
        .context("tracefs is not mounted")
}

/// Name of the agent's process, cut as the kernel does to 15 bytes.
const AGENT: &str = "voxprobe";

/// One line: kernel, CPU model, CPUs.
pub(crate) fn facts() -> Result<String> {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .context("read the kernel's version")?;
    let cpus = procfs::CpuInfo::current().context("read the CPU's model")?;
    let model = cpus.model_name(0).unwrap_or("CPU of unknown model");
    Ok(format!(
        "Linux {}, {model}, {} CPUs",
        kernel.trim(),
        cpus.num_cores()
    ))
}

/// Two CPUs that this process may use: one for what is measured, one for what serves it.
pub(crate) fn cpus() -> Result<(usize, usize)> {
    let set = sched_getaffinity(None).context("read the CPU affinity")?;
    let mut allowed = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu));
    match (allowed.next(), allowed.next()) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => {
            bail!("two CPUs are needed: one for what is measured, one for its reader and the agent")
        }
    }
}

/// Whether an agent runs that is not `own`: its programs would tax every figure.
pub(crate) fn has_other_agent(own: Option<u32>) -> Result<bool> {
    let processes = procfs::process::all_processes().context("read /proc")?;
    Ok(processes
        .filter_map(|process| process.ok()?.stat().ok())
        .any(|stat| stat.comm == AGENT && u32::try_from(stat.pid).ok() != own))
}
