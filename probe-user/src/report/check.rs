//! What works on this host, what does not, why, and what would fix it.

use std::{fmt, fs};

use probe_core::{
    flow::{Tellable, tellable},
    profile::Profile,
    record::NvmlState,
};
use rustix::{system::uname, thread::CapabilitySet};
use serde::Serialize;

use super::{Capability, Discovery, State, tiers::tiers};
use crate::{
    attach::{self, Attached, LibraryHooks, has_btf, has_object, kernel},
    export::{Endpoint, Guard},
    gpu,
    settings::Settings,
};

/// Inode of the host's pid namespace. Source: `include/linux/proc_ns.h`, `PROC_PID_INIT_INO`.
const HOST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The host's capabilities.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// In the order in which they are needed.
    pub capabilities: Vec<Capability>,
}

impl Check {
    /// Tries everything that `run` would need, and takes it back.
    pub fn of_host(settings: &Settings) -> Self {
        // With scheduling, whether or not it is wanted: it is tried along with the rest.
        let all = attach::Settings {
            stretch: Some(settings.stretch),
            ..settings.hooks
        };
        let mut capabilities = vec![linux(), privileges().required(), object().required()];
        capabilities.extend(tiers(all, settings.model_files.roots()));
        capabilities.extend([
            btf(settings.hooks.without_btf),
            lockdown(),
            pid_namespace(),
            statistics(),
            nvml(&settings.gpu),
            late_joins(&settings.profile),
            targets(settings),
            endpoint(settings).required(),
        ]);
        // Only where some are configured: nothing is missing without.
        if !settings.library_hooks.is_empty() {
            capabilities.push(library_hooks(settings));
        }
        Self { capabilities }
    }

    /// Whether voxprobe can watch, and nothing is broken.
    pub fn is_healthy(&self) -> bool {
        self.capabilities
            .iter()
            .all(|capability| match capability.state {
                State::Active => true,
                State::Unavailable => !capability.required,
                State::Failed => false,
            })
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for capability in &self.capabilities {
            let Capability {
                name,
                state,
                detail,
                remedy,
                ..
            } = capability;
            writeln!(f, "{name:16} {:11} {detail}", state.as_str())?;
            if let Some(remedy) = remedy {
                writeln!(f, "{:28} → {remedy}", "")?;
            }
        }
        Ok(())
    }
}

fn linux() -> Capability {
    let system = uname();
    let release = system.release().to_string_lossy();
    let detail = format!("Linux {release} on {}", system.machine().to_string_lossy());
    if kernel::version(&release) >= (5, 10) {
        Capability::active("kernel", detail)
    } else {
        Capability::missing(
            "kernel",
            State::Unavailable,
            detail,
            "use Linux 5.10 or newer",
        )
    }
}

fn privileges() -> Capability {
    let name = "privileges";
    let remedy = "run voxprobe as root or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and \
                  CAP_DAC_READ_SEARCH";
    let Ok(sets) = rustix::thread::capabilities(None) else {
        return Capability::missing(name, State::Failed, "capabilities cannot be read", remedy);
    };
    let has = |set: CapabilitySet| sets.effective.contains(set);
    let missing: Vec<&str> = [
        (
            "CAP_BPF",
            has(CapabilitySet::BPF) || has(CapabilitySet::SYS_ADMIN),
        ),
        (
            "CAP_PERFMON",
            has(CapabilitySet::PERFMON) || has(CapabilitySet::SYS_ADMIN),
        ),
        ("CAP_SYS_PTRACE", has(CapabilitySet::SYS_PTRACE)),
        ("CAP_DAC_READ_SEARCH", has(CapabilitySet::DAC_READ_SEARCH)),
    ]
    .into_iter()
    .filter_map(|(name, has)| (!has).then_some(name))
    .collect();
    if missing.is_empty() {
        Capability::active(name, "may load eBPF programs and read other processes")
    } else {
        let detail = format!("{} missing", missing.join(", "));
        Capability::missing(name, State::Unavailable, detail, remedy)
    }
}

fn object() -> Capability {
    if has_object() {
        Capability::active("programs", "eBPF programs are in this binary")
    } else {
        let detail = "this voxprobe was built without its eBPF programs";
        let remedy = "build it with `cargo xtask build`";
        Capability::missing("programs", State::Unavailable, detail, remedy)
    }
}

/// Sets every library hook at the processes that would be watched, and takes it out again.
fn library_hooks(settings: &Settings) -> Capability {
    let name = "library hooks";
    let attached = Attached::attach(settings.hooks, log::LevelFilter::Off, &[]);
    let Ok((mut attached, _ring)) = attached else {
        let detail = "the other programs cannot be attached";
        return Capability::missing(name, State::Unavailable, detail, "see `hooks`");
    };
    let mut hooks = LibraryHooks::new(settings.library_hooks.clone());
    let processes = Discovery::processes_of_host(settings);
    hooks.look(&mut attached, &processes, crate::ingest::now(), true);
    let states = hooks.states();
    let told: Vec<_> = states.iter().map(ToString::to_string).collect();
    let detail = told.join("; ");
    let faults = || states.iter().flat_map(|state| &state.faults);
    if faults().next().is_none() {
        return Capability::active(name, detail);
    }
    let state = if faults().all(|(fault, _)| fault.is_unavailable()) {
        State::Unavailable
    } else {
        State::Failed
    };
    Capability::missing(name, state, detail, "")
}

fn btf(without: bool) -> Capability {
    if has_btf() {
        Capability::active("btf", "/sys/kernel/btf/vmlinux")
    } else if without {
        Capability::missing(
            "btf",
            State::Unavailable,
            "this kernel has none; hooks.without_btf says to go on",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
        )
    } else {
        Capability::missing(
            "btf",
            State::Failed,
            "this kernel has none",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y, or set hooks.without_btf = true",
        )
    }
}

/// Under lockdown=confidentiality the kernel hides its tracepoints and refuses every helper that
/// reads memory.
fn lockdown() -> Capability {
    let mode = fs::read_to_string("/sys/kernel/security/lockdown")
        .ok()
        .and_then(|modes| Some(modes.split_once('[')?.1.split_once(']')?.0.to_owned()));
    match mode.as_deref() {
        Some("confidentiality") => Capability::missing(
            "lockdown",
            State::Failed,
            "confidentiality, under which eBPF programs may not read memory",
            "boot with lockdown=integrity or none",
        ),
        Some(mode) => Capability::active("lockdown", format!("{mode}; these hooks work")),
        None => Capability::active("lockdown", "not told (securityfs is not mounted)"),
    }
}

fn pid_namespace() -> Capability {
    match fs::read_link("/proc/self/ns/pid") {
        Ok(link) if link.as_os_str() == HOST_PID_NAMESPACE => {
            Capability::active("pid namespace", "the host's")
        }
        _ => Capability::missing(
            "pid namespace",
            State::Failed,
            "/proc shows another pid namespace than the kernel's records",
            "run with the host's pid namespace (hostPID: true, --pid=host)",
        ),
    }
}

fn statistics() -> Capability {
    let enabled = fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled");
    if enabled.is_ok_and(|value| value.trim() == "1") {
        Capability::active(
            "bpf statistics",
            "voxprobe_program_* tell each program's run time",
        )
    } else {
        Capability::missing(
            "bpf statistics",
            State::Unavailable,
            "the kernel does not time eBPF programs",
            "run `sysctl kernel.bpf_stats_enabled=1` to see each program's run time",
        )
    }
}

fn nvml(settings: &gpu::Settings) -> Capability {
    if !settings.enabled {
        return Capability::missing(
            "nvml",
            State::Unavailable,
            "switched off in the configuration",
            "set gpu.enabled = true",
        );
    }
    let check = gpu::check(settings);
    let name = "nvml";
    match check.state {
        NvmlState::Active { driver } => {
            let detail = format!("driver {driver}, GPUs: {}", check.gpus.len());
            Capability::active(name, detail)
        }
        NvmlState::Off => Capability::missing(name, State::Unavailable, "off", ""),
        // The reasons end with their remedy.
        NvmlState::Unavailable(reason) => {
            let (detail, remedy) = reason.rsplit_once(": ").unwrap_or((&reason, ""));
            Capability::missing(name, State::Unavailable, detail, remedy)
        }
        NvmlState::Failed(reason) => {
            let (detail, remedy) = reason.split_once("; ").unwrap_or((&reason, ""));
            Capability::missing(name, State::Failed, detail, remedy)
        }
    }
}

/// Which methods are told on connections that are older than the probe.
fn late_joins(profile: &Profile) -> Capability {
    let name = "late joins";
    let all = tellable(profile);
    let count = all.len();
    let not: Vec<_> = all
        .into_iter()
        .filter_map(|(path, tellable)| {
            Some(match tellable {
                Tellable::Yes => return None,
                Tellable::LikeAnother(other) => format!("{path} (its messages are {other}'s)"),
                Tellable::Lacks(what) => format!("{path} (it lacks {what})"),
                Tellable::TooMany => format!("{path} (the profile has too many methods)"),
            })
        })
        .collect();
    let told = count - not.len();
    let detail = format!(
        "{told} of {count} methods of the profile are told by what their calls say, where a \
         connection is older than voxprobe"
    );
    if not.is_empty() {
        return Capability::active(name, detail);
    }
    Capability::missing(
        name,
        State::Unavailable,
        format!("{detail}; not {}", not.join(", ")),
        "calls of the others are `unknown` on such connections until these are opened anew",
    )
}

fn targets(settings: &Settings) -> Capability {
    let count = Discovery::of_host(settings).processes.len();
    if count > 0 {
        return Capability::active("targets", format!("{count} processes would be watched"));
    }
    Capability::missing(
        "targets",
        State::Unavailable,
        "no process matches; those that start later are found",
        "name yours with --pid, or with a [[target]] in the configuration",
    )
}

fn endpoint(settings: &Settings) -> Capability {
    if let Err(error) = Guard::load(settings.web_config.as_deref()) {
        let remedy = "correct the file, or leave http.web_config empty for plain HTTP";
        return Capability::missing("endpoint", State::Failed, error.to_string(), remedy);
    }
    match Endpoint::bind(settings.listen) {
        Ok(_) => Capability::active("endpoint", format!("{} is free", settings.listen)),
        Err(error) => {
            let text = error.to_string();
            let (detail, remedy) = text.rsplit_once(": ").unwrap_or((&text, ""));
            Capability::missing("endpoint", State::Failed, detail, remedy)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_optional_part_is_no_finding() {
        let missing = Capability::missing("nvml", State::Unavailable, "no GPU", "buy one");
        let check = Check {
            capabilities: vec![missing.clone()],
        };
        assert!(check.is_healthy());
        assert!(check.to_string().contains("→ buy one"));
        assert!(
            !Check {
                capabilities: vec![missing.clone().required()]
            }
            .is_healthy()
        );
        let failed = Capability {
            state: State::Failed,
            ..missing
        };
        assert!(
            !Check {
                capabilities: vec![failed]
            }
            .is_healthy()
        );
    }
}
