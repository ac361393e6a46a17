//! The tiers of functions: programs at the entry and return of what sends and receives in the kernel, by
//! its trampolines (fentry, fexit) or by probes (kprobe, kretprobe).

use aya::{
    Btf, Ebpf,
    programs::{FEntry, FExit, KProbe, ProgramError},
};
use probe_abi::program::{FUNCTIONS_ENTERED, FUNCTIONS_RETURNED};

use super::{AttachError, kernel, sockets};

/// What can be told before anything is loaded. `is_named`: whether somebody asked for these hooks.
pub(super) fn can_run_fentry(files: bool, is_named: bool) -> Result<(), AttachError> {
    can_run(files)?;
    if !is_named && kernel::preempts() {
        return Err(AttachError::fentry_is_preempted());
    }
    Ok(())
}

fn can_run(files: bool) -> Result<(), AttachError> {
    if files {
        return Err(AttachError::files_need_syscalls());
    }
    if !super::has_btf() {
        return Err(AttachError::sockets_need_btf());
    }
    Ok(())
}

/// Where the kernel tells of its probes.
const PROBES: &str = "/sys/bus/event_source/devices/kprobe/type";

pub(super) fn can_run_kprobes(files: bool) -> Result<(), AttachError> {
    can_run(files)?;
    if !std::path::Path::new(PROBES).exists() {
        return Err(AttachError::no_probes());
    }
    Ok(())
}

/// Attaches what tells how connections begin and end first, then returns, then entries: a return without
/// its entry is ignored.
pub(super) fn attach_fentry(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    sockets::attach_ends(ebpf, btf)?;
    for (name, _, function) in FUNCTIONS_RETURNED {
        let program: &mut FExit = program(ebpf, name)?;
        let loaded = program.load(function, btf);
        loaded
            .and_then(|()| program.attach().map(drop))
            .map_err(|error| refused(name, &error))?;
    }
    for (name, _, function) in FUNCTIONS_ENTERED {
        let program: &mut FEntry = program(ebpf, name)?;
        let loaded = program.load(function, btf);
        loaded
            .and_then(|()| program.attach().map(drop))
            .map_err(|error| refused(name, &error))?;
    }
    Ok(())
}

/// Programs of the same kind are in the kernel by now: what it does not permit is not for us to have.
fn refused(name: &str, error: &ProgramError) -> AttachError {
    let error = AttachError::program(name, error);
    if error.permission {
        return AttachError::no_trampolines();
    }
    error
}

/// As [`attach_fentry`], with probes.
pub(super) fn attach_kprobes(ebpf: &mut Ebpf, btf: &Btf) -> Result<(), AttachError> {
    sockets::attach_ends(ebpf, btf)?;
    let all = FUNCTIONS_RETURNED.iter().chain(&FUNCTIONS_ENTERED);
    for (_, name, function) in all {
        let program: &mut KProbe = program(ebpf, name)?;
        let loaded = program.load();
        loaded
            .and_then(|()| program.attach(function, 0).map(drop))
            .map_err(|error| AttachError::program(name, &error))?;
    }
    Ok(())
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<P, AttachError>
where
    P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name);
    let program = program.ok_or_else(|| AttachError::damaged(name))?;
    P::try_from(program).map_err(|error| AttachError::program(name, &error))
}
