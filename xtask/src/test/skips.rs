//! The file to which tests write that they could not do their work, and why.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// One line for each skipped test: `level<TAB>test<TAB>reason`.
#[derive(Debug)]
pub(super) struct SkipFile {
    path: PathBuf,
}

impl SkipFile {
    /// Starts with an empty file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("create {}", directory.display()))?;
        }
        fs::write(path, "").with_context(|| format!("write {}", path.display()))?;
        Ok(Self {
            path: path.to_path_buf(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Tests of one level: name → reason.
    pub(super) fn of_level(&self, level: &str) -> Result<BTreeMap<String, String>> {
        let bytes =
            fs::read(&self.path).with_context(|| format!("read {}", self.path.display()))?;
        Ok(parse(&String::from_utf8_lossy(&bytes), level))
    }
}

fn parse(text: &str, level: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, '\t');
            let (at, name, reason) = (fields.next()?, fields.next()?, fields.next()?);
            (at == level && !name.is_empty()).then(|| (name.to_string(), reason.to_string()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_level_count_and_each_test_once() {
        let text = "host\tattach\tneeds root\ncompat\taio\tno python\nhost\tattach\tneeds root\n\
                    host\t\tno name\nbroken\n";
        let host = parse(text, "host");
        assert_eq!(host.len(), 1, "{host:?}");
        assert_eq!(host.get("attach").map(String::as_str), Some("needs root"));
    }

    #[test]
    fn file_of_an_earlier_run_is_emptied() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("test/skips.tsv");
        SkipFile::create(&path).expect("first");
        fs::write(&path, "host\tattach\tneeds root\n").expect("write");
        let skips = SkipFile::create(&path).expect("second");
        assert!(skips.of_level("host").expect("read").is_empty());
    }
}
