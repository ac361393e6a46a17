//! One test's folder.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// One test's folder, removed at its end unless it was named.
pub struct Lab {
    folder: PathBuf,
    files: AtomicU32,
    temporary: Option<tempfile::TempDir>,
}

impl Lab {
    /// An empty folder.
    pub fn new() -> Self {
        let temporary = tempfile::tempdir().expect("make a temporary folder");
        Self {
            folder: temporary.path().to_owned(),
            files: AtomicU32::new(0),
            temporary: Some(temporary),
        }
    }

    /// This folder, which is made and stays.
    pub fn kept(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("make a folder");
        Self {
            folder: folder.to_owned(),
            files: AtomicU32::new(0),
            temporary: None,
        }
    }

    /// Whether its files stay.
    pub fn is_kept(&self) -> bool {
        self.temporary.is_none()
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Lets every user read it and write in it.
    pub fn open_to_all(&self) {
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(self.folder(), mode).expect("open the folder");
    }

    /// A path that no other file of the test has.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.path(&format!("{number}-{name}"))
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("write a file");
        path
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}
