//! The systemd unit: what systemd says of it, and its capabilities.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::skip::program;

use super::CAPABILITIES;
use crate::promtool::succeed;
use crate::rules::config;

/// Where the unit looks for the agent.
const INSTALLED: &str = "/usr/local/bin/voxprobe";

fn unit() -> String {
    let path = config().join("systemd/voxprobe.service");
    fs::read_to_string(path).expect("the unit")
}

fn value<'a>(unit: &'a str, key: &str) -> &'a str {
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("the unit has no {key}"))
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let Some(analyze) = program("systemd-analyze") else {
        return;
    };
    let lab = Lab::new();
    let agent = artifacts::voxprobe();
    let text = unit().replace(INSTALLED, &agent.to_string_lossy());
    let path = lab.write("voxprobe.service", text);
    let said = succeed(&analyze, &["verify", "--man=no"], &[path]);
    assert!(!said.contains("voxprobe.service"), "{said}");
}

#[test]
fn unit_gives_the_capabilities_that_are_needed_and_no_other() {
    let unit = unit();
    let needed: BTreeSet<_> = CAPABILITIES.map(|name| format!("CAP_{name}")).into();
    for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let given = value(&unit, key).split(' ').map(str::to_owned);
        assert_eq!(given.collect::<BTreeSet<_>>(), needed, "{key}");
    }
    assert_eq!(value(&unit, "DynamicUser"), "yes");
    assert_eq!(value(&unit, "NoNewPrivileges"), "yes");
}

#[test]
fn unit_starts_a_command_that_exists() {
    let unit = unit();
    let mut words = value(&unit, "ExecStart").split(' ');
    assert_eq!(words.next(), Some(INSTALLED));
    let command = words.next().expect("a command");
    let output = Command::new(artifacts::voxprobe())
        .args([command, "--help"])
        .output()
        .expect("run voxprobe");
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for flag in words.filter(|word| word.starts_with('-')) {
        assert!(help.contains(flag), "no {flag}");
    }
}
