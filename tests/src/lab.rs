//! One test's folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// One test's folder, removed at its end unless it was named.
pub struct Lab {
    folder: PathBuf,
    files: AtomicU32,
    _temporary: Option<tempfile::TempDir>,
}

impl Lab {
    /// An empty folder.
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().expect("make a temporary folder");
        Self {
            folder: temporary.path().to_owned(),
            files: AtomicU32::new(0),
            _temporary: Some(temporary),
        }
    }

    /// This folder, which is made and stays.
    pub fn kept(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("make a folder");
        Self {
            folder: folder.to_owned(),
            files: AtomicU32::new(0),
            _temporary: None,
        }
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A path that no other file of the test has.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.path(&format!("{number}-{name}"))
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("write a file");
        path
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}
