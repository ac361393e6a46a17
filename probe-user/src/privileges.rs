//! What the agent may do once it is attached: no more than it goes on needing.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// What goes on being needed: maps (BPF, PERFMON), sockets and files of other users'
/// processes (`SYS_PTRACE`, `DAC_READ_SEARCH`), and libraries that were deleted since they were mapped
/// (`CHECKPOINT_RESTORE`, which hooks can do without).
const NEEDED: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_PTRACE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::CHECKPOINT_RESTORE);

/// Gives up every other capability, for this thread and those that it starts from now on, and the way to
/// get them back by executing a program. With `hooks`, libraries are hooked as they are loaded:
/// `perf_event_open` refuses a uprobe without `SYS_ADMIN` from Linux 6.16 on, and in stable releases since
/// July 2025 ("perf: Revert to requiring `CAP_SYS_ADMIN` for uprobes"); before, PERFMON was enough.
///
/// # Errors
/// When the kernel refuses: what was not given up stays.
pub fn drop_unneeded(hooks: bool) -> io::Result<()> {
    let kept = kept(capabilities(None)?.permitted, hooks);
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
fn kept(permitted: CapabilitySet, hooks: bool) -> CapabilitySet {
    let kept = permitted.intersection(NEEDED);
    if !hooks && kept.contains(CapabilitySet::BPF | CapabilitySet::PERFMON) {
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
        assert_eq!(kept(CapabilitySet::all(), false), NEEDED);
        assert_eq!(kept(CapabilitySet::empty(), false), CapabilitySet::empty());
        let container = NEEDED.difference(CapabilitySet::CHECKPOINT_RESTORE);
        assert_eq!(kept(container | CapabilitySet::NET_RAW, false), container);
    }

    #[test]
    fn library_hooks_keep_the_administrator_where_there_is_one() {
        let all = kept(CapabilitySet::all(), true);
        assert_eq!(all, NEEDED | CapabilitySet::SYS_ADMIN);
        assert_eq!(kept(NEEDED, true), NEEDED);
    }

    #[test]
    fn administrator_stands_for_the_capabilities_for_programs() {
        let old = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE;
        assert_eq!(kept(old | CapabilitySet::CHOWN, false), old);
    }
}
