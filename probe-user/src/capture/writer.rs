//! Writes capture files.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use probe_core::record::Record;
use serde::Serialize;

use super::{Header, MAGIC};

/// A capture file being written. A file whose writer was killed is readable up to the last block
/// that reached it.
pub struct Writer {
    stream: GzEncoder<BufWriter<File>>,
    buffer: Vec<u8>,
    records: u64,
}

impl Writer {
    /// Makes the file and writes its header.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        // Session ids and addresses are nobody else's business.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = BufWriter::new(options.open(path)?);
        file.write_all(&MAGIC)?;
        let stream = GzEncoder::new(file, Compression::fast());
        let mut writer = Self {
            stream,
            buffer: Vec::new(),
            records: 0,
        };
        writer.write(header)?;
        Ok(writer)
    }

    /// Writes a record.
    pub fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.records += 1;
        self.write(record)
    }

    /// Records written.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Writes the end of the file.
    pub fn finish(self) -> io::Result<()> {
        self.stream
            .finish()?
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }

    fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend([0; 4]);
        self.buffer = postcard::to_extend(value, std::mem::take(&mut self.buffer))
            .map_err(io::Error::other)?;
        let length = u32::try_from(self.buffer.len() - 4).map_err(io::Error::other)?;
        if let Some(prefix) = self.buffer.get_mut(..4) {
            prefix.copy_from_slice(&length.to_le_bytes());
        }
        self.stream.write_all(&self.buffer)
    }
}
