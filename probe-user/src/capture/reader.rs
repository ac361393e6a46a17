//! Reads capture files.

use std::{
    fs::File,
    io::{self, Read as _},
    ops::Range,
    path::{Path, PathBuf},
};

use lz4_flex::frame::FrameDecoder;
use probe_core::record::Record;

use super::{Header, LENGTH_BYTES, MAGIC, MAX_RECORD_BYTES, chunk::Chunks, kind};

/// Bytes decompressed at once.
const RUN_BYTES: usize = 64 * 1024;

/// A capture file being read. A record is read where it was decompressed to, without a copy.
pub struct Reader {
    stream: FrameDecoder<File>,
    header: Header,
    /// Decompressed; what is not read yet is at `unread`.
    buffer: Vec<u8>,
    unread: Range<usize>,
    chunks: Chunks,
    records: u64,
    truncated: bool,
}

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened or read.
    #[error(
        "{path}: cannot be read ({error}): give the path of a file that `voxprobe record` wrote"
    )]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is something else.
    #[error("{0}: is no voxprobe capture: give the path of a file that `voxprobe record` wrote")]
    NoCapture(PathBuf),
    /// Another version wrote it.
    #[error(
        "{path}: is a capture of format {version}, and this voxprobe reads format {known}: use the voxprobe that wrote it"
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its format.
        version: u8,
        /// The format known here.
        known: u8,
    },
    /// A record makes no sense.
    #[error("{path}: record {record} is damaged: record the capture again")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Number of the record, from 1.
        record: u64,
    },
}

impl Reader {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, CaptureError> {
        let unreadable = |error| CaptureError::Unreadable {
            path: path.to_owned(),
            error,
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let mut magic = [0; MAGIC.len()];
        match file.read_exact(&mut magic) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            result => result.map_err(unreadable)?,
        }
        let [name @ .., version] = magic;
        let [known_name @ .., known] = MAGIC;
        if name != known_name {
            return Err(CaptureError::NoCapture(path.to_owned()));
        }
        if version != known {
            return Err(CaptureError::Version {
                path: path.to_owned(),
                version,
                known,
            });
        }
        let mut reader = Self {
            stream: FrameDecoder::new(file),
            header: Header::default(),
            buffer: Vec::new(),
            unread: 0..0,
            chunks: Chunks::default(),
            records: 0,
            truncated: false,
        };
        let damaged = || CaptureError::Damaged {
            path: path.to_owned(),
            record: 0,
        };
        let value = reader.next_value().map_err(|Broken| damaged())?;
        let value = value.and_then(|range| reader.buffer.get(range));
        let header = value.and_then(|value| match value {
            [kind::VALUE, value @ ..] => postcard::from_bytes(value).ok(),
            _ => None,
        });
        reader.header = header.ok_or_else(damaged)?;
        Ok(reader)
    }

    /// What the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; `None` at the end.
    #[inline]
    pub fn next_record(&mut self, path: &Path) -> Result<Option<Record<'_>>, CaptureError> {
        self.records += 1;
        let number = self.records;
        let value = match self.next_value() {
            Ok(None) => return Ok(None),
            Ok(Some(range)) => self.buffer.get(range),
            Err(Broken) => None,
        };
        let record = match value {
            Some([kind::NEXT_CHUNK, value @ ..]) => self.chunks.read_next(value).map(Record::Chunk),
            Some([kind::CHUNK, value @ ..]) => self.chunks.read(value).map(Record::Chunk),
            Some([kind::VALUE, value @ ..]) => postcard::from_bytes(value).ok(),
            _ => None,
        };
        record.map(Some).ok_or_else(|| CaptureError::Damaged {
            path: path.to_owned(),
            record: number,
        })
    }

    /// Whether the file ended in the middle of a record: its writer was killed.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Where the next value is, its kind first; `None` at the end.
    #[inline]
    fn next_value(&mut self) -> Result<Option<Range<usize>>, Broken> {
        if !self.has(LENGTH_BYTES) {
            self.truncated |= !self.unread.is_empty();
            return Ok(None);
        }
        let start = self.unread.start + LENGTH_BYTES;
        let length = self.buffer.get(self.unread.start..start);
        let length = length.and_then(|octets| octets.try_into().ok());
        let length = u32::from_le_bytes(length.unwrap_or_default());
        if length > MAX_RECORD_BYTES {
            return Err(Broken);
        }
        let length = length as usize;
        if !self.has(LENGTH_BYTES + length) {
            self.truncated = true;
            return Ok(None);
        }
        let start = self.unread.start + LENGTH_BYTES;
        self.unread.start = start + length;
        Ok(Some(start..start + length))
    }

    /// Whether this many bytes are unread, or could be decompressed: not where the file ends before.
    #[inline]
    fn has(&mut self, bytes: usize) -> bool {
        self.unread.len() >= bytes || self.decompress(bytes)
    }

    #[cold]
    fn decompress(&mut self, bytes: usize) -> bool {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        self.buffer.resize(bytes.max(RUN_BYTES), 0);
        while self.unread.len() < bytes {
            let free = self.buffer.get_mut(self.unread.end..).unwrap_or_default();
            match self.stream.read(free) {
                Ok(0) => return false,
                Ok(read) => self.unread.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A frame that just stops.
                Err(_) => {
                    self.truncated = true;
                    return false;
                }
            }
        }
        true
    }
}

/// A length that no record has.
struct Broken;

#[cfg(test)]
mod tests {
    use probe_core::record::KtimeNs;

    use super::*;
    use crate::capture::Writer;

    fn header() -> Header {
        Header {
            version: "1".into(),
            anchor_unix_ns: 1,
            anchor_ktime_ns: 2,
            profile: "p".into(),
            prebuffer_ms: 60,
            max_session_labels: 3,
            resident_cap: None,
        }
    }

    fn written(records: u64) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = Writer::create(file.path(), &header()).unwrap();
        for at in 0..records {
            writer.record(&Record::Tick { at: KtimeNs(at) }).unwrap();
        }
        writer.finish().unwrap();
        file
    }

    #[test]
    fn records_come_back_as_written() {
        let file = written(3);
        let mut reader = Reader::open(file.path()).unwrap();
        assert_eq!(reader.header(), &header());
        for at in 0..3 {
            let record = reader.next_record(file.path()).unwrap();
            assert_eq!(record, Some(Record::Tick { at: KtimeNs(at) }));
        }
        assert_eq!(reader.next_record(file.path()).unwrap(), None);
        assert!(!reader.is_truncated());
    }

    #[test]
    fn file_of_a_killed_writer_is_read_up_to_its_end() {
        // Two blocks and a part of one.
        let file = written(20_000);
        let bytes = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &bytes[..bytes.len() - 40]).unwrap();
        let mut reader = Reader::open(file.path()).unwrap();
        let mut count = 0;
        while let Ok(Some(_)) = reader.next_record(file.path()) {
            count += 1;
        }
        assert!((5_000..20_000).contains(&count) && reader.is_truncated());
    }

    #[test]
    fn other_files_are_refused_with_the_remedy() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"not a capture at all").unwrap();
        let text = Reader::open(file.path()).err().unwrap().to_string();
        assert!(text.contains("is no voxprobe capture"), "{text}");
        let mut magic = MAGIC;
        magic[7] = 9;
        std::fs::write(file.path(), magic).unwrap();
        let text = Reader::open(file.path()).err().unwrap().to_string();
        assert!(text.contains("format 9"), "{text}");
        assert!(Reader::open(Path::new("/nonexistent")).is_err());
    }
}
