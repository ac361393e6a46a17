//! The breakpoints of one hook in one file.

use std::path::Path;

use aya::programs::{
    ProgramError, UProbe,
    uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
};
use probe_abi::{hook_event, program};
use probe_core::record::HookKind;

use super::{HookFault, HookTarget, Location, elf, fault::no_programs};
use crate::attach::Attached;

/// Breakpoints in the kernel; dropping it takes them out, the return's first: an entry without its
/// return is forgotten, a return without its entry would count as lost.
pub(super) struct Links {
    #[expect(dead_code, reason = "held for its end")]
    links: Vec<UProbeLink>,
}

impl Links {
    /// Sets a hook's breakpoints in a file, for every process that has it mapped: the programs look
    /// for watched ones themselves.
    pub(super) fn set(
        attached: &mut Attached,
        target: &HookTarget,
        attachment: u32,
        path: &Path,
    ) -> Result<Self, HookFault> {
        let function = elf::offset(path, &target.location)?;
        let reset = target.reset.clone().map(Location::Symbol);
        let reset = reset
            .map(|location| elf::offset(path, &location))
            .transpose()?;
        let (event, returns) = match target.hook.kind {
            HookKind::Counter => (hook_event::ENTERED, false),
            HookKind::Latency | HookKind::Edge => (hook_event::RETURNED, true),
        };
        let mut links = Vec::new();
        let mut set = |name, offset, event: u32| {
            let cookie = u64::from(event) << 32 | u64::from(attachment);
            link(attached, name, path, offset, cookie).map(|link| links.insert(0, link))
        };
        if let Some(reset) = reset {
            set(program::HOOK_ENTER, reset, hook_event::RESET)?;
        }
        set(program::HOOK_ENTER, function, event)?;
        if returns {
            set(program::HOOK_RETURN, function, event)?;
        }
        Ok(Self { links })
    }
}

fn link(
    attached: &mut Attached,
    name: &str,
    path: &Path,
    offset: u64,
    cookie: u64,
) -> Result<UProbeLink, HookFault> {
    let program = attached.ebpf.program_mut(name).ok_or_else(|| {
        HookFault::NoPrograms(super::super::AttachError::damaged(name).to_string())
    })?;
    let program: &mut UProbe = program.try_into().map_err(|error| no_programs(&error))?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
        Err(error) => return Err(no_programs(&error)),
    }
    let point = UProbeAttachPoint {
        location: UProbeAttachLocation::AbsoluteOffset(offset),
        cookie: Some(cookie),
    };
    program
        .attach(point, path, UProbeScope::AllProcesses)
        .and_then(|id| program.take_link(id))
        .map_err(|error| match error {
            ProgramError::AttachCookieNotSupported => no_programs(&error),
            error => HookFault::Refused(super::super::error::full(&error)),
        })
}
