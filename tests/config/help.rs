//! What the agent says that it takes.

use std::process::Command;

use probe_tests::artifacts;

/// Asserts that the agent has the command and flags of a line that stands in `place`.
pub(crate) fn assert_understood(arguments: &str, place: &str) {
    let mut words = arguments.split(' ');
    let command = words.next().expect("a command");
    let output = Command::new(artifacts::voxprobe())
        .args([command, "--help"])
        .output()
        .expect("run voxprobe");
    assert!(output.status.success(), "{place}: {arguments}");
    let help = String::from_utf8_lossy(&output.stdout);
    for flag in words.filter(|word| word.starts_with('-')) {
        assert!(help.contains(flag), "{place}: {arguments}: no {flag}");
    }
}
