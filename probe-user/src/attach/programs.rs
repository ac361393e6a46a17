//! Loading and attaching each program.

use std::{
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    time::Duration,
};

use aya::{
    Ebpf,
    programs::{ProgramError, RawTracePoint, TracePoint},
};
use probe_abi::program;

use super::{
    AttachError, KernelTypes, Tier, functions,
    links::Links,
    sockets,
    syscalls::{self, SYSCALLS, Syscall},
    tracefs,
};

/// A program in the kernel.
#[derive(Clone, Debug)]
pub struct Hooks {
    /// Name, as in `bpftool prog`.
    pub program: String,
    /// Time spent in it since its load; zero unless the kernel keeps statistics.
    pub run_time: Duration,
    /// Times it ran since its load; zero unless the kernel keeps statistics.
    pub run_count: u64,
    /// Times the kernel did not run it, because its CPU was inside another tracing program or a
    /// map operation: calls nobody saw. Kept always, from Linux 5.12.
    pub missed: u64,
}

/// Where the programs of processes read: tracepoint, field, offset in bytes.
pub(super) const PROCESS_LAYOUT: [tracefs::Field; 2] = [
    ("task", "task_newtask", "pid", 8),
    ("task", "task_newtask", "clone_flags", 32),
];

/// What can be told of a tier before anything is loaded. `files`: whether files are to be followed;
/// `is_named`: whether somebody asked for this tier.
pub(super) fn can_run(tier: Tier, files: bool, is_named: bool) -> Result<(), AttachError> {
    match tier {
        Tier::Fentry => functions::can_run_fentry(files, is_named),
        Tier::Kprobe => functions::can_run_kprobes(files),
        Tier::Sockets => sockets::can_run(files),
        Tier::Tracepoints => tracefs::check(&syscalls::LAYOUT),
        Tier::Raw => Ok(()),
    }
}

/// Attaches processes first, then returns, then entries: a return without its entry is ignored, an
/// entry without its return would be stale. What is not among the links goes with `ebpf`.
/// Syscalls that matter only for files are left alone unless `files` are followed.
pub(super) fn attach_all(
    ebpf: &mut Ebpf,
    tier: Tier,
    types: &KernelTypes,
    files: bool,
) -> Result<Links, AttachError> {
    let mut links = Links::default();
    tracepoint(
        ebpf,
        &mut links,
        program::PROCESS_FORK,
        &[("task", "task_newtask".into())],
    )?;
    tracepoint(
        ebpf,
        &mut links,
        program::PROCESS_EXEC,
        &[("sched", "sched_process_exec".into())],
    )?;
    tracepoint(
        ebpf,
        &mut links,
        program::PROCESS_EXIT,
        &[("sched", "sched_process_exit".into())],
    )?;
    match tier {
        Tier::Tracepoints => {
            tracepoint(
                ebpf,
                &mut links,
                program::EXIT,
                &points("sys_exit_", files, |syscall| syscall.exit)?,
            )?;
            for (index, name) in program::ENTER.iter().enumerate() {
                let points = points("sys_enter_", files, |syscall| syscall.args == index + 1)?;
                tracepoint(ebpf, &mut links, name, &points)?;
            }
        }
        Tier::Fentry => functions::attach_fentry(ebpf, types.get()?)?,
        Tier::Kprobe => functions::attach_kprobes(ebpf, types.get()?)?,
        Tier::Sockets => sockets::attach(ebpf, types.get()?)?,
        Tier::Raw => {
            raw_tracepoint(ebpf, program::RAW_EXIT, "sys_exit")?;
            raw_tracepoint(ebpf, program::RAW_ENTER, "sys_enter")?;
        }
    }
    Ok(links)
}

/// Tracepoints of the chosen syscalls; optional ones only where the kernel has them.
fn points(
    prefix: &str,
    files: bool,
    choose: impl Fn(&Syscall) -> bool,
) -> Result<Vec<(&'static str, String)>, AttachError> {
    let mut points = Vec::new();
    let followed = SYSCALLS.iter().filter(|syscall| files || !syscall.files);
    for syscall in followed.filter(|syscall| choose(syscall)) {
        let name = format!("{prefix}{}", syscall.name);
        if tracefs::has("syscalls", &name) {
            points.push(("syscalls", name));
        } else if syscall.required {
            return Err(AttachError::no_tracepoint("syscalls", &name));
        }
    }
    Ok(points)
}

fn tracepoint(
    ebpf: &mut Ebpf,
    links: &mut Links,
    name: &str,
    points: &[(&'static str, String)],
) -> Result<(), AttachError> {
    if points.is_empty() {
        return Ok(());
    }
    let failed = |error: ProgramError| AttachError::program(name, &error);
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| AttachError::damaged(name))?;
    let program: &mut TracePoint = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    for (category, point) in points {
        let id = program.attach(category, point).map_err(failed)?;
        links.add(program.take_link(id).map_err(failed)?);
    }
    Ok(())
}

pub(super) fn raw_tracepoint(ebpf: &mut Ebpf, name: &str, point: &str) -> Result<(), AttachError> {
    let failed = |error: ProgramError| AttachError::program(name, &error);
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| AttachError::damaged(name))?;
    let program: &mut RawTracePoint = program.try_into().map_err(failed)?;
    program.load().map_err(failed)?;
    program.attach(point).map_err(failed)?;
    Ok(())
}

pub(super) fn hooks(ebpf: &Ebpf) -> Vec<Hooks> {
    ebpf.programs()
        .filter_map(|(name, program)| {
            let info = program.info().ok()?;
            Some(Hooks {
                program: name.to_owned(),
                run_time: info.run_time(),
                run_count: info.run_count(),
                missed: program.fd().map_or(0, |fd| missed(fd.as_fd())),
            })
        })
        .collect()
}

/// `recursion_misses` of a program. Source: kernel/bpf/syscall.c, `bpf_prog_show_fdinfo`.
fn missed(program: BorrowedFd<'_>) -> u64 {
    let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    let Ok(text) = std::fs::read_to_string(path) else {
        return 0;
    };
    text.lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_programs_cover_every_argument_count() {
        for syscall in SYSCALLS {
            assert!(
                (1..=program::ENTER.len()).contains(&syscall.args),
                "{}",
                syscall.name
            );
        }
    }

    #[test]
    fn object_has_every_program_and_map_of_the_contract() {
        if !super::super::has_object() {
            println!("skipped: built without the eBPF object (cargo xtask build)");
            return;
        }
        let object = super::super::OBJECT;
        let mut names = vec![
            program::EXIT,
            program::RAW_ENTER,
            program::RAW_EXIT,
            program::PROCESS_FORK,
            program::PROCESS_EXEC,
            program::PROCESS_EXIT,
            program::HOOK_ENTER,
            program::HOOK_RETURN,
            program::SCHED_SWITCH,
            program::SCHED_WAKING,
            program::SOCKET_SENT,
            program::SOCKET_SENT_ANY,
            program::SOCKET_RECEIVED,
            program::SOCKET_SENDS,
            program::SOCKET_STATE,
            program::SOCKET_GONE,
        ];
        names.extend(program::ENTER);
        for (fentry, kprobe, _) in program::FUNCTIONS_ENTERED {
            names.extend([fentry, kprobe]);
        }
        for (fexit, kretprobe, _) in program::FUNCTIONS_RETURNED {
            names.extend([fexit, kretprobe]);
        }
        names.extend([
            probe_abi::map::RECORDS,
            probe_abi::map::LOSSES,
            probe_abi::map::PROCESSES,
            probe_abi::map::WATCHED,
            probe_abi::map::SENT_ANY,
            probe_abi::map::FDS,
            probe_abi::map::CONNECTIONS,
            probe_abi::map::FREE_PLACES,
            probe_abi::map::SENDERS,
            probe_abi::map::FOUND,
            probe_abi::map::CALLS,
            probe_abi::map::HOOK_CALLS,
            probe_abi::map::FILES,
            probe_abi::map::MODEL_ROOTS,
            probe_abi::global::FOLLOWS_FILES,
            probe_abi::global::LAYOUT,
            probe_abi::global::HAS_FETCH,
            probe_abi::map::SCHED_THREADS,
            probe_abi::global::SCHED_STRETCH,
        ]);
        for name in names {
            let mut needle = vec![0];
            needle.extend(name.as_bytes());
            needle.push(0);
            assert!(
                object.windows(needle.len()).any(|window| window == needle),
                "{name}"
            );
        }
    }
}
