//! The service as `config/README.md` says to install it, on an emulated machine that systemd runs: every line
//! of its block is typed there, then the service is asked, reloaded and stopped.

mod image;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use super::folder_of;
use super::kernel::{Kernel, Series};
use super::machine::{End, Machine};
use crate::setup;
use crate::step;
use crate::test::libtest::Tally;
use crate::test::summary::Row;
use crate::workspace::Workspace;

/// What is walked, in reports.
const NAME: &str = "systemd";

/// The kernel of Debian's that is nearest to those with long support.
const KERNEL: Series = Series::V6_12;

/// Where the lines stand.
const README: &str = "config/README.md";
const HEADING: &str = "\n### systemd\n";

/// Walks, or says why that cannot be.
pub(in crate::test) fn run(workspace: &Workspace) -> Result<Row> {
    let started = Instant::now();
    let lines = lines(workspace)?;
    let tally = match prepare(workspace, &lines) {
        Ok((machine, kernel)) => {
            let folder = folder_of(&machine, NAME);
            let end = machine.run(&kernel, &[], &[], &folder)?;
            println!("{}", end.output);
            judge(&end, &folder)?
        }
        Err(error) => skipped(&format!("{error:#}")),
    };
    step::report(NAME, "done", started.elapsed());
    let succeeded = tally.failed == 0;
    Ok(Row::new(
        NAME,
        &tally,
        &BTreeMap::new(),
        succeeded,
        started.elapsed(),
    ))
}

fn prepare(workspace: &Workspace, lines: &str) -> Result<(Machine, Kernel)> {
    let programs = setup::machines(workspace)?;
    let kernel = Kernel::get(workspace, KERNEL)?;
    let machine = Machine {
        qemu: programs.qemu,
        image: image::build(workspace, &programs.busybox, lines)?,
        folder: workspace.target("vm"),
    };
    Ok((machine, kernel))
}

/// The block of shell below the heading.
fn lines(workspace: &Workspace) -> Result<String> {
    let path = workspace.root().join(README);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    block(&text).with_context(|| format!("{README} has no block of shell on systemd"))
}

fn block(text: &str) -> Option<String> {
    let (_, below) = text.split_once(HEADING)?;
    let (_, opened) = below.split_once("```sh\n")?;
    let (block, _) = opened.split_once("```")?;
    Some(block.to_string())
}

/// What the machine told, in the form of Rust's tests.
fn judge(end: &End, folder: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    end.output.lines().for_each(|line| tally.read(line));
    let Some(status) = end.status else {
        bail!(
            "{NAME}: the machine did not come to an end; see {}",
            folder.display()
        );
    };
    if tally.passed + tally.failed == 0 || (status != 0 && tally.failed == 0) {
        bail!(
            "{NAME}: the walk broke off, status {status}; see {}",
            folder.display()
        );
    }
    Ok(tally)
}

/// As a test that passes and says why it did nothing.
fn skipped(reason: &str) -> Tally {
    step::skipped(NAME, reason);
    Tally {
        passed: 1,
        skipped: [(NAME.to_string(), reason.to_string())].into(),
        ..Tally::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_are_those_below_the_heading() {
        let text =
            "```sh\nls\n```\n### systemd\n\ntext\n```sh\nsudo a\nsudo b\n```\n```sh\nc\n```\n";
        assert_eq!(block(text).as_deref(), Some("sudo a\nsudo b\n"));
        assert_eq!(block("```sh\nls\n```\n"), None);
    }

    #[test]
    fn walk_that_breaks_off_is_an_error_and_a_failed_step_a_failure() {
        let end = |status, output: &str| End {
            status,
            output: output.to_string(),
            took: Duration::ZERO,
        };
        let folder = Path::new("runs");
        assert!(judge(&end(None, "test a ... ok\n"), folder).is_err());
        assert!(judge(&end(Some(1), ""), folder).is_err());
        let failed = "test a ... FAILED\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\n";
        let tally = judge(&end(Some(1), failed), folder).expect("it came to an end");
        assert_eq!((tally.passed, tally.failed), (2, 1));
        assert_eq!(Vec::from_iter(tally.failures), ["a"]);
    }
}
