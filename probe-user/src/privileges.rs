//! What the agent may do once it is attached: no more than it goes on needing.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What goes on being needed: maps and library hooks (BPF, PERFMON), sockets and files of other users'
/// processes (`SYS_PTRACE`, `DAC_READ_SEARCH`), and libraries that were deleted since they were mapped
/// (`CHECKPOINT_RESTORE`, which hooks can do without).
const NEEDED: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::CHECKPOINT_RESTORE);

/// Gives up every other capability, for this thread and those that it starts from now on, and the way to
/// get them back by executing a program.
///
/// # Errors
/// When the kernel refuses: what was not given up stays.
pub fn drop_unneeded() -> io::Result<()> {
    let kept = kept(capabilities(None)?.permitted);
    for capability in CapabilitySet::all().difference(kept).iter() {
        // Where it may not be taken from the bounding set (no CAP_SETPCAP), `no_new_privs` holds.
        let _refused = remove_capability_from_bounding_set(capability);
    }
    // Kernels without ambient capabilities (before 4.3) have none to give up.
    let _absent = clear_ambient_capability_set();
    set_no_new_privs(true)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        },
    )?;
    Ok(())
}

/// What to keep of what there is. `SYS_ADMIN` stands for BPF and PERFMON where they are not given.
fn kept(permitted: CapabilitySet) -> CapabilitySet {
    let kept = permitted.intersection(NEEDED);
    if kept.contains(CapabilitySet::BPF | CapabilitySet::PERFMON) {
        kept
    } else {
        kept | permitted.intersection(CapabilitySet::SYS_ADMIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_and_there_is_kept() {
        assert_eq!(kept(CapabilitySet::all()), NEEDED);
        assert_eq!(kept(CapabilitySet::empty()), CapabilitySet::empty());
        let container = NEEDED.difference(CapabilitySet::CHECKPOINT_RESTORE);
        assert_eq!(kept(container | CapabilitySet::NET_RAW), container);
    }

    #[test]
    fn administrator_stands_for_the_capabilities_for_programs() {
        let old = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE;
        assert_eq!(kept(old | CapabilitySet::CHOWN), old);
    }
}
