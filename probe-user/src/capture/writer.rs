//! Writes capture files.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use probe_core::record::Record;
use serde::Serialize;

use super::{Header, LENGTH_BYTES, MAGIC, chunk::Chunks, kind};

/// A capture file being written. A file whose writer was killed is readable up to the last block
/// that reached it.
pub struct Writer {
    stream: FrameEncoder<BufWriter<File>>,
    buffer: Vec<u8>,
    chunks: Chunks,
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
        // Small blocks: what is in the last one is lost with the writer.
        let frame = FrameInfo::new()
            .block_mode(BlockMode::Linked)
            .block_size(BlockSize::Max64KB)
            .block_checksums(true);
        let stream = FrameEncoder::with_frame_info(frame, file);
        let mut writer = Self {
            stream,
            buffer: Vec::new(),
            chunks: Chunks::default(),
            records: 0,
        };
        writer.write(header)?;
        // A file of a killed writer can be opened from here on.
        writer.stream.flush()?;
        Ok(writer)
    }

    /// Writes a record.
    pub fn record(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.records += 1;
        match record {
            Record::Chunk(chunk) => {
                self.begin(if self.chunks.goes_on(chunk) {
                    kind::NEXT_CHUNK
                } else {
                    kind::CHUNK
                });
                self.chunks.write(chunk, &mut self.buffer);
                self.end()
            }
            record => self.write(record),
        }
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
        self.begin(kind::VALUE);
        self.buffer = postcard::to_extend(value, std::mem::take(&mut self.buffer))
            .map_err(io::Error::other)?;
        self.end()
    }

    fn begin(&mut self, kind: u8) {
        self.buffer.clear();
        self.buffer.extend([0; LENGTH_BYTES]);
        self.buffer.push(kind);
    }

    fn end(&mut self) -> io::Result<()> {
        let length = self.buffer.len().saturating_sub(LENGTH_BYTES);
        let length = u32::try_from(length).map_err(io::Error::other)?;
        if let Some(prefix) = self.buffer.first_chunk_mut() {
            *prefix = length.to_le_bytes();
        }
        self.stream.write_all(&self.buffer)
    }
}
