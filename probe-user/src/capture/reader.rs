//! Reads capture files.

use std::{
    fs::File,
    io::{self, BufReader, Read as _},
    path::{Path, PathBuf},
};

use flate2::read::GzDecoder;
use probe_core::record::Record;

use super::{Header, MAGIC, MAX_RECORD_BYTES};

/// A capture file being read.
pub struct Reader {
    stream: BufReader<GzDecoder<File>>,
    header: Header,
    buffer: Vec<u8>,
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
            stream: BufReader::new(GzDecoder::new(file)),
            header: Header::default(),
            buffer: Vec::new(),
            records: 0,
            truncated: false,
        };
        let damaged = || CaptureError::Damaged {
            path: path.to_owned(),
            record: 0,
        };
        if !reader.fill().map_err(|_| damaged())? {
            return Err(damaged());
        }
        reader.header = postcard::from_bytes(&reader.buffer).map_err(|_| damaged())?;
        Ok(reader)
    }

    /// What the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; `None` at the end.
    pub fn next_record(&mut self, path: &Path) -> Result<Option<Record<'_>>, CaptureError> {
        let damaged = |record| CaptureError::Damaged {
            path: path.to_owned(),
            record,
        };
        self.records += 1;
        let number = self.records;
        match self.fill() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(Broken) => return Err(damaged(number)),
        }
        postcard::from_bytes(&self.buffer)
            .map(Some)
            .map_err(|_| damaged(number))
    }

    /// Whether the file ended in the middle of a record: its writer was killed.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Reads the next value into the buffer; false at the end.
    fn fill(&mut self) -> Result<bool, Broken> {
        let mut length = [0; 4];
        if !self.read_exact_or_end(None, &mut length) {
            return Ok(false);
        }
        let length = u32::from_le_bytes(length);
        if length > MAX_RECORD_BYTES {
            return Err(Broken);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(length as usize, 0);
        let whole = self.read_exact_or_end(Some(()), &mut buffer);
        self.buffer = buffer;
        Ok(whole)
    }

    /// Fills the slice; false when the file ends before, or (`inside` a value) in the middle.
    fn read_exact_or_end(&mut self, inside: Option<()>, bytes: &mut [u8]) -> bool {
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.stream.read(rest) {
                Ok(0) => {
                    self.truncated |= inside.is_some() || filled > 0;
                    return false;
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A gzip stream that just stops.
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
        let file = written(1000);
        let bytes = std::fs::read(file.path()).unwrap();
        std::fs::write(file.path(), &bytes[..bytes.len() - 40]).unwrap();
        let mut reader = Reader::open(file.path()).unwrap();
        let mut count = 0;
        while let Ok(Some(_)) = reader.next_record(file.path()) {
            count += 1;
        }
        assert!(count < 1000 && reader.is_truncated());
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
