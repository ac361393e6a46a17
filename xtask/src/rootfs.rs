//! A root file system put together from this machine's files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::step;

/// Libraries that a program is linked to, the loader among them.
pub(crate) fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = step::answer(Command::new("ldd").arg(program))
        .with_context(|| format!("ask ldd for the libraries of {}", program.display()))?;
    Ok(linked(&listed))
}

/// Paths in what `ldd` prints.
fn linked(listed: &str) -> Vec<PathBuf> {
    let words = listed.split_whitespace();
    words
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

/// Copies a file to its own place under another root, which it gives.
pub(crate) fn place(file: &Path, root: &Path) -> Result<PathBuf> {
    let to = below(root, file)?;
    copy(file, &to)?;
    Ok(to)
}

/// An absolute path, under another root.
fn below(root: &Path, path: &Path) -> Result<PathBuf> {
    let relative = path
        .strip_prefix("/")
        .with_context(|| format!("{} is not absolute", path.display()))?;
    Ok(root.join(relative))
}

/// Copies a file, to what links lead to, with the mode that everybody may read and run.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    // The umask of whoever builds must not be in it.
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("set the mode of {}", to.display()))
}

/// Takes symbols and line tables from a program: they are nine tenths of it.
pub(crate) fn strip(program: &Path) -> Result<()> {
    step::run_quietly(Command::new("strip").arg(program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        let listed = "\tlinux-vdso.so.1 (0x00007f01)\n\
                      \tlibgcc_s.so.1 => /lib/x86_64-linux-gnu/libgcc_s.so.1 (0x00007f02)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f03)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libgcc_s.so.1",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(linked(listed), expected.map(PathBuf::from));
    }

    #[test]
    fn library_keeps_its_place_in_the_image() {
        let placed = below(Path::new("/tmp/root"), Path::new("/lib64/ld.so")).expect("absolute");
        assert_eq!(placed, Path::new("/tmp/root/lib64/ld.so"));
        assert!(below(Path::new("/tmp/root"), Path::new("ld.so")).is_err());
    }
}
