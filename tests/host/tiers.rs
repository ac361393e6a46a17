//! Which hooks the agent takes by itself, and what it says of the others.

use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::probe::{self, Probe};
use probe_tests::programs;
use probe_tests::skip::{skip, unprivileged};

/// Ways to see sockets, in the order in which they are tried, with what the metric calls them.
const TIERS: [(&str, &str); 5] = [
    ("fentry", "socket_trampolines"),
    ("sockets", "socket_tracepoints"),
    ("kprobe", "socket_probes"),
    ("tracepoints", "syscall_tracepoints"),
    ("raw", "raw_syscalls"),
];

/// What `voxprobe check` says of each capability.
fn check() -> serde_json::Value {
    let mut check = Command::new(artifacts::voxprobe());
    let output = probe::run(check.args(["check", "--format", "json"]));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn capability<'a>(told: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let all = told["capabilities"].as_array().expect("a list");
    let found = all.iter().find(|one| one["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {told:#}"))
}

#[test]
fn hooks_that_are_named_are_taken_and_told_or_refused_with_a_reason() {
    if unprivileged() {
        return;
    }
    if std::env::var_os("VOXPROBE_HOOKS").is_some() {
        return skip("the hooks are named for every test");
    }
    let told = check();
    for (hooks, backend) in TIERS {
        let tier = capability(&told, &format!("tier {hooks}"));
        let mut command = Command::new(artifacts::voxprobe());
        command.args(["run", "--hooks", hooks]);
        if tier["state"] == "active" {
            let lab = Lab::new();
            let probe = Probe::start(&lab, command);
            let taken = probe.scrape().by_label("voxprobe_hook_backend", "backend");
            assert_eq!(taken, [(backend.to_owned(), 1)].into(), "{hooks}");
            assert!(probe.log().contains("sockets are seen by"), "{hooks}");
            probe.stop();
        } else {
            let output = command.output().expect("started");
            let said = String::from_utf8_lossy(&output.stderr);
            let reason = tier["detail"].as_str().expect("a reason");
            let remedy = tier["remedy"].as_str().expect("a remedy");
            assert!(!output.status.success(), "{hooks}: {said}");
            assert!(
                said.contains(&format!("{reason}: {remedy}")),
                "{hooks}: {said}"
            );
        }
    }
}

#[test]
fn check_tells_of_every_tier_and_the_first_that_works_is_taken() {
    if unprivileged() {
        return;
    }
    let told = check();
    let works = TIERS.into_iter().find(|(tier, _)| {
        let tier = capability(&told, &format!("tier {tier}"));
        let is_passed_over = tier["detail"]
            .as_str()
            .is_some_and(|detail| detail.starts_with("works, passed over"));
        tier["state"] == "active" && !is_passed_over
    });
    let (first, backend) = works.expect("one works");
    let detail = |name: &str| {
        capability(&told, name)["detail"]
            .as_str()
            .expect("a detail")
            .to_owned()
    };
    assert!(
        detail(&format!("tier {first}")).starts_with("would be taken"),
        "{told:#}"
    );
    let hooks = detail("hooks");
    assert!(
        hooks.starts_with(&format!("{first}, the first that works here")),
        "{hooks}"
    );
    if std::env::var_os("VOXPROBE_HOOKS").is_some() {
        return;
    }
    let lab = Lab::new();
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run");
    let probe = Probe::start(&lab, command);
    let taken = probe.scrape().by_label("voxprobe_hook_backend", "backend");
    assert_eq!(taken, [(backend.to_owned(), 1)].into());
    probe.stop();
}

/// A quarter of what the kernel's verifier looks at before it refuses a program: other kernels follow more ways
/// through the same program. How long a start takes is in this too.
const MOST_VERIFIED: u32 = 250_000;

#[test]
fn verifier_is_far_from_its_limit_with_every_program() {
    if unprivileged() {
        return;
    }
    if std::env::var_os("VOXPROBE_HOOKS").is_some() {
        return skip("the hooks are named for every test");
    }
    let told = check();
    for (hooks, _) in TIERS {
        if capability(&told, &format!("tier {hooks}"))["state"] != "active" {
            continue;
        }
        let lab = Lab::new();
        // Scheduling is followed too; files with the hooks of syscalls alone.
        let mut config = "[diagnosis]\nenabled = true\n".to_owned();
        if ["tracepoints", "raw"].contains(&hooks) {
            config += "[models]\nroots = [\"/models\"]\n";
        }
        let config = lab.write("voxprobe.toml", config);
        let mut command = Command::new(artifacts::voxprobe());
        command
            .args(["run", "--hooks", hooks, "--config"])
            .arg(config);
        let probe = Probe::start(&lab, command);
        let counts = programs::verified_instructions(probe.pid());
        probe.stop();
        println!("{hooks}: {counts:?}");
        let Some(most) = counts.first() else {
            return skip("this kernel does not tell (it does from Linux 5.16 on)");
        };
        assert!(*most < MOST_VERIFIED, "{hooks}: {counts:?}");
    }
}
