//! Which hooks the agent takes by itself, and what it says of the others.

use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::probe::{self, Probe};
use probe_tests::skip::{skip, unprivileged};

/// Names of `check` for each way to see sockets.
const TIERS: [&str; 3] = ["tier sockets", "tier tracepoints", "tier raw"];

#[test]
fn hooks_that_are_named_are_taken_and_told() {
    if unprivileged() {
        return;
    }
    if std::env::var_os("VOXPROBE_HOOKS").is_some() {
        return skip("the hooks are named for every test");
    }
    for (hooks, told) in [
        ("auto", "syscall_tracepoints"),
        ("tracepoints", "syscall_tracepoints"),
        ("raw", "raw_syscalls"),
    ] {
        let lab = Lab::new();
        let mut command = Command::new(artifacts::voxprobe());
        command.args(["run", "--hooks", hooks]);
        let probe = Probe::start(&lab, command);
        let taken = probe.scrape().by_label("voxprobe_hook_backend", "backend");
        assert_eq!(taken, [(told.to_owned(), 1)].into(), "{hooks}");
        assert!(probe.log().contains("sockets are seen by"), "{hooks}");
        probe.stop();
    }
}

#[test]
fn check_tells_of_every_tier_and_which_is_taken() {
    if unprivileged() {
        return;
    }
    let mut check = Command::new(artifacts::voxprobe());
    let output = probe::run(check.args(["check", "--format", "json"]));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let all = told["capabilities"].as_array().expect("a list");
    let detail = |name: &str| {
        let found = all.iter().find(|one| one["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name}: {told:#}"));
        found["detail"].as_str().expect("a detail").to_owned()
    };
    let taken: Vec<&str> = TIERS
        .into_iter()
        .filter(|tier| detail(tier).starts_with("would be taken"))
        .collect();
    assert_eq!(taken.len(), 1, "{told:#}");
    let name = taken[0].trim_start_matches("tier ");
    let hooks = detail("hooks");
    assert!(
        hooks.starts_with(&format!("{name}, the first that works here")),
        "{hooks}"
    );
}
