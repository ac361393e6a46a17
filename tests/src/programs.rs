//! Which eBPF programs a process holds, and which the kernel has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Ids of the programs that a process holds through its descriptors (`prog_id` in `fdinfo`).
pub fn held_by(pid: u32) -> BTreeSet<u32> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder}: {error}"));
    entries
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter(|info| info.contains("prog_type:"))
        .flat_map(|info| {
            let ids = info
                .lines()
                .filter_map(|line| line.strip_prefix("prog_id:"));
            ids.filter_map(|id| id.trim().parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
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
