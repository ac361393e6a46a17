//! The shape of the tree: what may lie at its top, and how long a source file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::refuse;
use crate::step;
use crate::workspace::Workspace;

/// Everything visible at the top of the tree. A newcomer takes it in at one glance.
const TOP: [&str; 11] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "config",
    "probe-ebpf",
    "probe-user",
    "tests",
    "xtask",
];

/// Lines of a source file, its tests included: beyond it a file has more than one purpose.
const MAX_LINES: usize = 500;

/// Files that are longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

/// Checks both; reports every finding.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    let files = files(workspace.root())?;
    let mut findings = strangers(&files);
    let sources: Vec<_> = files
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    for path in &sources {
        let text = fs::read_to_string(workspace.root().join(path))
            .with_context(|| format!("read {}", path.display()))?;
        findings.extend(too_long(path, text.lines().count()));
    }
    refuse("layout", &findings)?;
    step::report(
        "layout",
        format!("{} source files", sources.len()),
        started.elapsed(),
    );
    Ok(())
}

/// Files that belong to the tree: what git has or would add, without what was deleted.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(root).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let list = step::answer(&mut git).context("list the tree's files with git")?;
    let names = list.split('\0').filter(|name| !name.is_empty());
    Ok(names
        .map(PathBuf::from)
        .filter(|path| root.join(path).exists())
        .collect())
}

/// Visible names at the top that do not belong there.
fn strangers(files: &[PathBuf]) -> Vec<String> {
    let names: BTreeSet<String> = files
        .iter()
        .filter_map(|path| {
            Some(
                path.components()
                    .next()?
                    .as_os_str()
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()))
        .collect();
    names
        .into_iter()
        .map(|name| format!("`{name}` does not belong at the top"))
        .collect()
}

fn too_long(path: &Path, lines: usize) -> Option<String> {
    let excused = LONGER.iter().any(|(longer, _)| path == Path::new(longer));
    (lines > MAX_LINES && !excused).then(|| {
        format!(
            "{} has {lines} lines, more than {MAX_LINES}: split it",
            path.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_strangers_at_the_top_are_found() {
        let files = [
            ".ci/run",
            "xtask/src/main.rs",
            "notes.txt",
            "scripts/a.sh",
            "scripts/b.sh",
        ];
        let found = strangers(&files.map(PathBuf::from));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].contains("`notes.txt`") && found[1].contains("`scripts`"),
            "{found:?}"
        );
    }

    #[test]
    fn file_at_the_limit_passes_and_one_line_more_does_not() {
        let path = Path::new("probe-user/src/long.rs");
        assert_eq!(too_long(path, MAX_LINES), None);
        assert!(too_long(path, MAX_LINES + 1).is_some());
    }
}
