//! Weights files of models that watched processes open, read and map.
//!
//! What reaches the core names the model a file belongs to and never the file: paths may name people
//! (voice packs), and nothing of a file's content is read anywhere.

use probe_abi::kind;
use serde::{Deserialize, Serialize};

use super::kernel::{Descriptor, Fields, RecordError};
use super::{KtimeNs, Tgid};

/// One opening of a file: the kernel side gives each its own number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct FileId(pub u64);

/// Something happened to a weights file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEvent {
    /// Which opening.
    pub file: FileId,
    /// The process that did it.
    pub tgid: Tgid,
    /// When: entry of the `open`, return of every other call.
    pub at: KtimeNs,
    /// What.
    pub change: FileChange,
}

/// What happened to a weights file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileChange {
    /// It was opened.
    Opened {
        /// Model it belongs to.
        model: String,
        /// Stands for its path: what is opened again has the same number again.
        path: u32,
    },
    /// Bytes were read since the last such event; `at` is the return of the last read.
    Read {
        /// How many.
        bytes: u64,
    },
    /// It was mapped into memory. What is read through the mapping nobody sees.
    Mapped {
        /// Length of the mapping.
        bytes: u64,
    },
    /// A mapping was taken away.
    Unmapped,
    /// Its last descriptor was closed. Mappings stay.
    Closed,
}

/// What the kernel side says about a file under a model root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFile<'a> {
    /// Which opening.
    pub file: FileId,
    /// Process.
    pub tgid: Tgid,
    /// When the call returned; for [`KernelFileChange::Opened`], when it was entered.
    pub at: KtimeNs,
    /// What.
    pub change: KernelFileChange<'a>,
}

/// What happened, in the kernel side's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelFileChange<'a> {
    /// It was opened.
    Opened {
        /// Its descriptor.
        descriptor: Descriptor,
        /// Descriptor of the folder that a relative path starts from; negative for the current one.
        folder: i32,
        /// Path as the process gave it.
        path: &'a [u8],
    },
    /// It was read.
    Read(Progress),
    /// It was mapped.
    Mapped {
        /// Length of the mapping, in bytes.
        bytes: u64,
    },
    /// A mapping was taken away.
    Unmapped,
    /// It got another descriptor.
    Added(Descriptor),
    /// A descriptor was closed.
    Closed(Progress),
}

/// How far a file was read through one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which descriptor.
    pub descriptor: Descriptor,
    /// Bytes read so far.
    pub bytes: u64,
    /// When the last read returned; meaningless without bytes.
    pub last: KtimeNs,
}

/// Reads a record of one of the file kinds; `None` for another kind.
pub(super) fn parse<'a>(
    kind: u16,
    fields: &mut Fields<'a>,
    tgid: Tgid,
    at: KtimeNs,
) -> Result<Option<KernelFile<'a>>, RecordError> {
    let is_of_files = (kind::FILE_OPEN..=kind::FILE_CLOSE).contains(&kind);
    if !is_of_files {
        return Ok(None);
    }
    let file = FileId(fields.u64()?);
    if kind == kind::FILE_OPEN {
        let at = KtimeNs(fields.u64()?);
        let descriptor = fields.descriptor()?;
        let folder = fields.u32()? as i32;
        let length = fields.u32()? as usize;
        let path = fields.take(length)?;
        let change = KernelFileChange::Opened {
            descriptor,
            folder,
            path,
        };
        return Ok(Some(KernelFile {
            file,
            tgid,
            at,
            change,
        }));
    }
    let bytes = fields.u64()?;
    let last = KtimeNs(fields.u64()?);
    let descriptor = fields.descriptor()?;
    let progress = Progress {
        descriptor,
        bytes,
        last,
    };
    let change = match kind {
        kind::FILE_READ => KernelFileChange::Read(progress),
        kind::FILE_MAP => KernelFileChange::Mapped { bytes },
        kind::FILE_UNMAP => KernelFileChange::Unmapped,
        kind::FILE_DUP => KernelFileChange::Added(descriptor),
        _ => KernelFileChange::Closed(progress),
    };
    Ok(Some(KernelFile {
        file,
        tgid,
        at,
        change,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::kernel::{self, KernelRecord};
    use super::*;

    fn header(kind: u16, size: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(0_u16.to_ne_bytes());
        bytes.extend((size as u32).to_ne_bytes());
        bytes.extend(900_u64.to_ne_bytes());
        bytes.extend(10_u32.to_ne_bytes());
        bytes.extend(11_u32.to_ne_bytes());
        bytes
    }

    fn opened(path: &[u8]) -> Vec<u8> {
        let mut bytes = header(kind::FILE_OPEN, 56 + path.len());
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(850_u64.to_ne_bytes());
        bytes.extend(10_u32.to_ne_bytes());
        bytes.extend(7_i32.to_ne_bytes());
        bytes.extend((-100_i32).to_ne_bytes());
        bytes.extend((path.len() as u32).to_ne_bytes());
        bytes.extend(path);
        bytes
    }

    fn moved(kind: u16) -> Vec<u8> {
        let mut bytes = header(kind, 56);
        bytes.extend(5_u64.to_ne_bytes());
        bytes.extend(4096_u64.to_ne_bytes());
        bytes.extend(880_u64.to_ne_bytes());
        bytes.extend(10_u32.to_ne_bytes());
        bytes.extend(7_i32.to_ne_bytes());
        bytes
    }

    fn file(bytes: &[u8]) -> KernelFile<'_> {
        match kernel::parse(bytes) {
            Ok(KernelRecord::File(file)) => file,
            other => panic!("{other:?} is no file"),
        }
    }

    const DESCRIPTOR: Descriptor = Descriptor { files: 10, fd: 7 };

    #[test]
    fn opened_file_has_its_path_and_the_time_of_the_calls_entry() {
        let bytes = opened(b"/models/a/w.pt");
        let expected = KernelFile {
            file: FileId(5),
            tgid: Tgid(10),
            at: KtimeNs(850),
            change: KernelFileChange::Opened {
                descriptor: DESCRIPTOR,
                folder: -100,
                path: b"/models/a/w.pt",
            },
        };
        assert_eq!(file(&bytes), expected);
    }

    #[test]
    fn every_other_kind_is_told_apart() {
        let progress = Progress {
            descriptor: DESCRIPTOR,
            bytes: 4096,
            last: KtimeNs(880),
        };
        for (kind, change) in [
            (kind::FILE_READ, KernelFileChange::Read(progress)),
            (kind::FILE_MAP, KernelFileChange::Mapped { bytes: 4096 }),
            (kind::FILE_UNMAP, KernelFileChange::Unmapped),
            (kind::FILE_DUP, KernelFileChange::Added(DESCRIPTOR)),
            (kind::FILE_CLOSE, KernelFileChange::Closed(progress)),
        ] {
            let bytes = moved(kind);
            assert_eq!(file(&bytes).change, change);
            assert_eq!(file(&bytes).at, KtimeNs(900));
        }
    }

    #[test]
    fn records_that_are_cut_are_errors() {
        for whole in [opened(b"/models/a"), moved(kind::FILE_READ)] {
            for cut in 0..whole.len() {
                let error = kernel::parse(&whole[..cut]);
                assert_eq!(error, Err(RecordError::TooShort), "cut at {cut}");
            }
        }
        let mut longer = opened(b"/models/a");
        longer[52..56].copy_from_slice(&u32::MAX.to_ne_bytes());
        assert_eq!(kernel::parse(&longer), Err(RecordError::TooShort));
    }
}
