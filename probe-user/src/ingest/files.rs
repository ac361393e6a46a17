//! Weights files: which file of which model a descriptor is.
//!
//! The kernel side follows files under the model roots, and those with a relative path; here they are
//! told from others, and the others are given up. Paths go no further than this.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use probe_abi::{FdKey, MAX_FILES};
use probe_core::record::{
    FileChange, FileEvent, FileId, KernelFile, KernelFileChange, KtimeNs, Progress, Record, Tgid,
    kernel::Descriptor,
};

use super::Tracker;
use crate::{attach::FdKeyValue, discover::ModelFiles};

/// Paths that have a number. A host has some hundreds of weights files; beyond the bound all are
/// numbered anew, and what was open before is not known again.
const MAX_PATHS: usize = 16_384;

/// Files that are open or mapped: as many as the kernel side follows.
const MAX_OPEN: usize = MAX_FILES as usize;

/// Weights files that are open or mapped.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    rules: ModelFiles,
    open: HashMap<FileId, OpenFile>,
    /// Numbers of paths.
    paths: HashMap<String, u32>,
    /// Numbers given so far.
    numbered: u32,
}

#[derive(Debug, Default)]
struct OpenFile {
    tgid: Tgid,
    /// Descriptors, each with the bytes read through it that were told.
    descriptors: BTreeMap<Descriptor, u64>,
    mappings: u32,
}

impl OpenFiles {
    pub(super) fn new(rules: ModelFiles) -> Self {
        Self {
            rules,
            ..Self::default()
        }
    }

    /// A file was opened; whether it is a weights file, and then what is told of it.
    fn opened(
        &mut self,
        file: FileId,
        tgid: Tgid,
        descriptor: Descriptor,
        path: &str,
    ) -> Option<FileChange> {
        let model = self.rules.model_of(path)?;
        if self.open.len() >= MAX_OPEN {
            return None;
        }
        let opened = OpenFile {
            tgid,
            descriptors: BTreeMap::from([(descriptor, 0)]),
            mappings: 0,
        };
        self.open.insert(file, opened);
        let path = self.number(path);
        Some(FileChange::Opened { model, path })
    }

    fn number(&mut self, path: &str) -> u32 {
        if let Some(number) = self.paths.get(path) {
            return *number;
        }
        if self.paths.len() >= MAX_PATHS {
            self.paths.clear();
        }
        self.numbered = self.numbered.wrapping_add(1);
        self.paths.insert(path.to_owned(), self.numbered);
        self.numbered
    }

    /// Bytes read through a descriptor that were not told yet.
    fn progress(&mut self, file: FileId, progress: Progress) -> Option<u64> {
        let open = self.open.get_mut(&file)?;
        let told = open.descriptors.entry(progress.descriptor).or_default();
        let more = progress.bytes.saturating_sub(*told);
        *told = progress.bytes.max(*told);
        (more > 0).then_some(more)
    }

    /// A descriptor was closed; whether it was the file's last.
    fn closed(&mut self, file: FileId, descriptor: Descriptor) -> bool {
        let Some(open) = self.open.get_mut(&file) else {
            return false;
        };
        let known = open.descriptors.remove(&descriptor).is_some();
        let last = open.descriptors.is_empty();
        if last && open.mappings == 0 {
            self.open.remove(&file);
        }
        known && last
    }

    fn mapped(&mut self, file: FileId) -> bool {
        let Some(open) = self.open.get_mut(&file) else {
            return false;
        };
        open.mappings = open.mappings.saturating_add(1);
        true
    }

    fn unmapped(&mut self, file: FileId) -> bool {
        let Some(open) = self.open.get_mut(&file) else {
            return false;
        };
        open.mappings = open.mappings.saturating_sub(1);
        if open.mappings == 0 && open.descriptors.is_empty() {
            self.open.remove(&file);
        }
        true
    }

    /// Every descriptor, with its file and process.
    fn descriptors(&self) -> Vec<(FileId, Tgid, Descriptor)> {
        let mut all: Vec<_> = self
            .open
            .iter()
            .flat_map(|(file, open)| {
                let descriptors = open.descriptors.keys();
                descriptors.map(|descriptor| (*file, open.tgid, *descriptor))
            })
            .collect();
        all.sort_unstable();
        all
    }

    /// Takes the files of a process out: those that had descriptors, with these.
    fn take_of(&mut self, tgid: Tgid) -> Vec<(FileId, Vec<Descriptor>)> {
        let gone = self.open.extract_if(|_, open| open.tgid == tgid);
        let gone = gone.filter(|(_, open)| !open.descriptors.is_empty());
        let mut gone: Vec<_> = gone
            .map(|(file, open)| (file, open.descriptors.into_keys().collect()))
            .collect();
        gone.sort_unstable();
        gone
    }
}

impl Tracker {
    /// Something happened to a file that the kernel side follows.
    pub(super) fn file(&mut self, record: KernelFile<'_>, out: &mut impl FnMut(Record<'_>)) {
        let KernelFile {
            file,
            tgid,
            at,
            change,
        } = record;
        let files = &mut self.open_files;
        let mut tell = |at, change| {
            out(Record::File(FileEvent {
                file,
                tgid,
                at,
                change,
            }));
        };
        match change {
            KernelFileChange::Opened {
                descriptor,
                folder,
                path,
            } => {
                let told = absolute(tgid, folder, path)
                    .and_then(|path| files.opened(file, tgid, descriptor, &path));
                match told {
                    Some(change) => tell(at, change),
                    None => self.give_up(descriptor, file),
                }
            }
            KernelFileChange::Read(progress) => {
                if let Some(bytes) = files.progress(file, progress) {
                    tell(progress.last, FileChange::Read { bytes });
                }
            }
            KernelFileChange::Closed(progress) => {
                if let Some(bytes) = files.progress(file, progress) {
                    tell(progress.last, FileChange::Read { bytes });
                }
                if files.closed(file, progress.descriptor) {
                    tell(at, FileChange::Closed);
                }
            }
            KernelFileChange::Mapped { bytes } => {
                if files.mapped(file) {
                    tell(at, FileChange::Mapped { bytes });
                }
            }
            KernelFileChange::Unmapped => {
                if files.unmapped(file) {
                    tell(at, FileChange::Unmapped);
                }
            }
            KernelFileChange::Added(descriptor) => match files.open.get_mut(&file) {
                Some(open) => {
                    open.descriptors.entry(descriptor).or_default();
                }
                None => self.give_up(descriptor, file),
            },
        }
    }

    /// Tells reads that the kernel side holds back until the next one: there may be none.
    pub(super) fn look_at_files(&mut self, out: &mut impl FnMut(Record<'_>)) {
        for (file, tgid, descriptor) in self.open_files.descriptors() {
            let key = FdKeyValue(FdKey {
                files: descriptor.files,
                fd: descriptor.fd,
            });
            let entry = self.attached.maps.files.get(&key, 0);
            let Some(entry) = entry.ok().filter(|entry| entry.0.file == file.0) else {
                continue;
            };
            let progress = Progress {
                descriptor,
                bytes: entry.0.bytes,
                last: KtimeNs(entry.0.last_ns),
            };
            if let Some(bytes) = self.open_files.progress(file, progress) {
                out(Record::File(FileEvent {
                    file,
                    tgid,
                    at: progress.last,
                    change: FileChange::Read { bytes },
                }));
            }
        }
    }

    /// Descriptors of a process closed without a call: none of its files is followed further.
    pub(super) fn forget_files(
        &mut self,
        tgid: Tgid,
        at: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        for (file, descriptors) in self.open_files.take_of(tgid) {
            for descriptor in descriptors {
                self.give_up(descriptor, file);
            }
            let change = FileChange::Closed;
            out(Record::File(FileEvent {
                file,
                tgid,
                at,
                change,
            }));
        }
    }

    /// The kernel side is to follow a file no longer, unless the descriptor is another's by now.
    fn give_up(&mut self, descriptor: Descriptor, file: FileId) {
        let files = &mut self.attached.maps.files;
        let key = FdKeyValue(FdKey {
            files: descriptor.files,
            fd: descriptor.fd,
        });
        if files.get(&key, 0).is_ok_and(|entry| entry.0.file == file.0) {
            // Absent when it was closed meanwhile.
            let _absent = files.remove(&key);
        }
    }
}

/// The absolute path of a file that a process opened, by where it stands now; `None` when nothing
/// tells.
fn absolute(tgid: Tgid, folder: i32, path: &[u8]) -> Option<String> {
    let path = std::str::from_utf8(path).ok()?;
    if path.starts_with('/') {
        return Some(path.to_owned());
    }
    let process = Path::new("/proc").join(tgid.0.to_string());
    let link: PathBuf = if folder < 0 {
        process.join("cwd")
    } else {
        process.join("fd").join(folder.to_string())
    };
    let start = std::fs::read_link(link).ok()?;
    Some(start.join(path).to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TGID: Tgid = Tgid(7);
    const FILE: FileId = FileId(1);

    fn descriptor(fd: i32) -> Descriptor {
        Descriptor { files: 7, fd }
    }

    fn read(fd: i32, bytes: u64) -> Progress {
        Progress {
            descriptor: descriptor(fd),
            bytes,
            last: KtimeNs(1),
        }
    }

    fn files() -> OpenFiles {
        let text = |text: &str| vec![text.to_owned()];
        OpenFiles::new(ModelFiles::new(&text("/models"), "", &text("*.pt")).unwrap())
    }

    #[test]
    fn file_opened_again_has_the_number_of_its_path() {
        let mut files = files();
        let mut open = |id, path| files.opened(FileId(id), TGID, descriptor(3), path);
        let first = open(1, "/models/a/w.pt");
        assert!(matches!(&first, Some(FileChange::Opened { model, .. }) if model == "a"));
        assert_ne!(open(2, "/models/a/v.pt"), first);
        assert_eq!(open(3, "/models/a/w.pt"), first);
        assert_eq!(open(4, "/models/a/tokens.json"), None);
    }

    #[test]
    fn bytes_are_told_once_for_each_descriptor() {
        let mut files = files();
        files.opened(FILE, TGID, descriptor(3), "/models/a/w.pt");
        assert_eq!(files.progress(FILE, read(3, 100)), Some(100));
        assert_eq!(files.progress(FILE, read(3, 100)), None);
        assert_eq!(files.progress(FILE, read(4, 30)), Some(30));
        assert_eq!(files.progress(FILE, read(3, 150)), Some(50));
        assert_eq!(files.progress(FileId(2), read(3, 9)), None);
    }

    #[test]
    fn file_is_closed_with_its_last_descriptor_and_gone_with_its_last_mapping() {
        let mut files = files();
        files.opened(FILE, TGID, descriptor(3), "/models/a/w.pt");
        files.progress(FILE, read(4, 1));
        assert!(files.mapped(FILE));
        assert!(!files.closed(FILE, descriptor(3)));
        assert!(files.closed(FILE, descriptor(4)));
        assert!(!files.closed(FILE, descriptor(4)), "told once");
        assert!(files.unmapped(FILE));
        assert!(!files.unmapped(FILE), "nothing is left of it");
    }

    #[test]
    fn relative_path_starts_at_the_folder_of_the_process() {
        let own = Tgid(std::process::id());
        let here = std::env::current_dir().unwrap();
        let expected = here.join("x.pt").to_str().unwrap().to_owned();
        assert_eq!(absolute(own, -100, b"x.pt"), Some(expected));
        assert_eq!(absolute(own, -100, b"/a/x.pt").as_deref(), Some("/a/x.pt"));
        assert_eq!(absolute(own, i32::MAX, b"x.pt"), None);
        assert_eq!(absolute(own, -100, b"\xff"), None);
    }
}
