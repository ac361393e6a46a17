//! Which eBPF programs a process holds, and which the kernel has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Ids of the programs that a process holds through its descriptors (`prog_id` in `fdinfo`).
pub fn held_by(pid: u32) -> BTreeSet<u32> {
    of_programs(pid, "prog_id:").collect()
}

/// Instructions that the kernel's verifier looked at for each of them, most first (`verified_insns`, from Linux
/// 5.16; nothing before). It gives up at a million (`BPF_COMPLEXITY_LIMIT_INSNS`).
pub fn verified_instructions(pid: u32) -> Vec<u32> {
    let mut counts: Vec<u32> = of_programs(pid, "verified_insns:").collect();
    counts.sort_unstable_by(|one, other| other.cmp(one));
    counts
}

/// A number that the kernel tells of each program that a process holds.
fn of_programs(pid: u32, key: &'static str) -> impl Iterator<Item = u32> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter(|info| info.contains("prog_type:"))
        .flat_map(move |info| {
            let values = info.lines().filter_map(|line| line.strip_prefix(key));
            values
                .filter_map(|value| value.trim().parse().ok())
                .collect::<Vec<u32>>()
        })
}

/// Ids of every program in the kernel, by `bpftool`.
pub fn in_kernel(bpftool: &Path) -> BTreeSet<u32> {
    let output = Command::new(bpftool)
        .args(["--json", "prog", "list"])
        .output()
        .expect("run bpftool");
    let list: Vec<serde_json::Value> =
        serde_json::from_slice(&output.stdout).expect("the list of bpftool");
    list.iter()
        .filter_map(|program| program.get("id")?.as_u64())
        .map(|id| id as u32)
        .collect()
}
