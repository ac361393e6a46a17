//! Commands and configurations that stand in the READMEs: the agent has the first and takes the second.

use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;

use super::{blocks, config_readme, readme};
use crate::help::assert_understood;

/// Lines of shell in both READMEs, without prompt, `sudo` and remark.
fn commands() -> Vec<String> {
    let texts = [readme(), config_readme()];
    let of = |text: &String| -> Vec<String> {
        let typed = blocks(text, "sh").into_iter().flat_map(str::lines);
        let shown = blocks(text, "console").into_iter().flat_map(str::lines);
        let shown = shown.filter_map(|line| line.strip_prefix("$ "));
        typed.chain(shown).map(bare).collect()
    };
    texts.iter().flat_map(of).collect()
}

fn bare(line: &str) -> String {
    let line = line.split(" #").next().unwrap_or_default().trim();
    line.strip_prefix("sudo ").unwrap_or(line).to_owned()
}

#[test]
fn every_command_of_the_agent_in_the_readmes_exists() {
    let mut seen = 0;
    for line in commands() {
        let named = line
            .strip_prefix("target/release/voxprobe ")
            .or_else(|| line.strip_prefix("voxprobe "));
        let Some(arguments) = named else {
            continue;
        };
        assert_understood(arguments, "a README");
        seen += 1;
    }
    assert!(seen > 4, "{seen} commands");
}

#[test]
fn agent_takes_every_configuration_that_the_readme_shows() {
    let readme = readme();
    let shown = blocks(&readme, "toml");
    assert!(shown.len() > 2, "{shown:?}");
    for text in shown {
        let lab = Lab::new();
        let output = Command::new(artifacts::voxprobe())
            .args(["discover", "--config"])
            .arg(lab.write("my.toml", text))
            .output()
            .expect("run voxprobe");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(2), "{text}: {said}");
    }
}
