//! The reading side of one connection: just enough HTTP/2 and gRPC to know what is asked.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::sync::Arc;

use prost::Message as _;

use super::frame::{
    self, FrameHeader, HEADER_BYTES, MAX_PAYLOAD_BYTES, PREFACE, first_message, flag, kind,
};
use super::writer::Writer;
use crate::proto::{ControlResponse, ListModelsResponse, StartSessionResponse, TextChunk};

/// Most bytes kept of one header block or one request: gRPC clients send a few hundred.
const MAX_KEPT_BYTES: usize = 65_536;

/// Most calls open at a time on one connection.
const MAX_CALLS: usize = 4096;

/// A Synthesize call whose first text has come.
pub(crate) struct Opened {
    pub(crate) stream: u32,
    pub(crate) session: String,
}

struct Call {
    path: String,
    body: Vec<u8>,
    /// A Synthesize call that has been handed on.
    opened: bool,
}

/// Reads one connection.
pub(crate) struct Connection {
    socket: TcpStream,
    writer: Arc<Writer>,
    headers: loona_hpack::Decoder<'static>,
    block: Vec<u8>,
    calls: HashMap<u32, Call>,
}

impl Connection {
    /// Reads from `socket` and answers through `writer`.
    pub(crate) fn new(socket: TcpStream, writer: Arc<Writer>) -> Self {
        Self {
            socket,
            writer,
            headers: loona_hpack::Decoder::new(),
            block: Vec::new(),
            calls: HashMap::new(),
        }
    }

    /// Serves until the client leaves; hands each Synthesize call to `open`.
    pub(crate) fn serve(&mut self, mut open: impl FnMut(Opened)) -> io::Result<()> {
        let mut preface = [0; PREFACE.len()];
        self.socket.read_exact(&mut preface)?;
        if preface != *PREFACE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.writer
            .write(&frame::frame(kind::SETTINGS, 0, 0, &[]))?;
        let mut payload = Vec::new();
        loop {
            let mut header = [0; HEADER_BYTES];
            match self.socket.read_exact(&mut header) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            }
            let header = FrameHeader::parse(header);
            if header.length > MAX_PAYLOAD_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            payload.resize(header.length, 0);
            self.socket.read_exact(&mut payload)?;
            if header.kind == kind::GOAWAY {
                return Ok(());
            }
            if let Some(opened) = self.handle(header, &payload)? {
                open(opened);
            }
        }
    }

    fn handle(&mut self, header: FrameHeader, payload: &[u8]) -> io::Result<Option<Opened>> {
        match header.kind {
            kind::SETTINGS if !header.has(flag::ACK) => {
                if let Some(bytes) = frame::initial_window(payload) {
                    self.writer
                        .update_windows(|windows| windows.set_initial(bytes));
                }
                self.writer
                    .write(&frame::frame(kind::SETTINGS, flag::ACK, 0, &[]))?;
            }
            kind::PING if !header.has(flag::ACK) => {
                self.writer
                    .write(&frame::frame(kind::PING, flag::ACK, 0, payload))?;
            }
            kind::WINDOW_UPDATE => {
                let increment = payload.first_chunk().copied().map_or(0, u32::from_be_bytes);
                let increment = increment & 0x7fff_ffff;
                self.writer
                    .update_windows(|windows| windows.add(header.stream, increment));
            }
            kind::RST_STREAM => {
                self.calls.remove(&header.stream);
                self.writer
                    .update_windows(|windows| windows.close(header.stream));
            }
            kind::HEADERS | kind::CONTINUATION => self.read_headers(header, payload)?,
            kind::DATA => return self.read_data(header, payload),
            _ => {}
        }
        Ok(None)
    }

    fn read_headers(&mut self, header: FrameHeader, payload: &[u8]) -> io::Result<()> {
        if header.kind == kind::HEADERS {
            self.block.clear();
        }
        let part = if header.kind == kind::HEADERS {
            frame::without_padding(header, payload).ok_or(io::ErrorKind::InvalidData)?
        } else {
            payload
        };
        if self.block.len() + part.len() > MAX_KEPT_BYTES || self.calls.len() >= MAX_CALLS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.block.extend_from_slice(part);
        if !header.has(flag::END_HEADERS) {
            return Ok(());
        }
        let fields = self
            .headers
            .decode(&self.block)
            .map_err(|_| io::ErrorKind::InvalidData)?;
        let path = fields
            .iter()
            .find(|(name, _)| name == b":path")
            .map(|(_, path)| String::from_utf8_lossy(path).into_owned());
        // Without a path they are trailers, which no gRPC client sends.
        if let Some(path) = path {
            self.writer
                .update_windows(|windows| windows.open(header.stream));
            self.calls.insert(
                header.stream,
                Call {
                    path,
                    body: Vec::new(),
                    opened: false,
                },
            );
        }
        Ok(())
    }

    fn read_data(&mut self, header: FrameHeader, payload: &[u8]) -> io::Result<Option<Opened>> {
        if !payload.is_empty() {
            // What was read is given back at once, padding included (RFC 9113 section 6.9.1).
            let read = payload.len() as u32;
            self.writer.write(&frame::window_update(0, read))?;
            if !header.has(flag::END_STREAM) {
                self.writer
                    .write(&frame::window_update(header.stream, read))?;
            }
        }
        let data = frame::without_padding(header, payload).ok_or(io::ErrorKind::InvalidData)?;
        let Some(call) = self.calls.get_mut(&header.stream) else {
            return Ok(None);
        };
        if !call.opened {
            if call.body.len() + data.len() > MAX_KEPT_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            call.body.extend_from_slice(data);
        }
        let mut opened = None;
        if call.path.ends_with("/Synthesize") {
            if !call.opened
                && let Some(text) = first_message(&call.body)
            {
                let text = TextChunk::decode(text).map_err(|_| io::ErrorKind::InvalidData)?;
                call.opened = true;
                opened = Some(Opened {
                    stream: header.stream,
                    session: text.session_id,
                });
            }
        } else if header.has(flag::END_STREAM) {
            let answer = answer(&call.path, header.stream);
            self.writer.write(&frame::response_headers(header.stream))?;
            self.writer.write(&answer)?;
            self.writer.write(&frame::trailers(header.stream))?;
            self.writer
                .update_windows(|windows| windows.close(header.stream));
        }
        if header.has(flag::END_STREAM) {
            self.calls.remove(&header.stream);
        }
        Ok(opened)
    }
}

/// The least answer to a unary call: success where there is such a field.
fn answer(path: &str, stream: u32) -> Vec<u8> {
    let message = String::new();
    match path.rsplit('/').next() {
        // These have no success field.
        Some("ListModels" | "GetCapabilities") => {
            frame::message(stream, &ListModelsResponse::default())
        }
        Some("Control") => frame::message(
            stream,
            &ControlResponse {
                success: true,
                message,
                timestamp_ms: 0,
            },
        ),
        // In all others, success is field 1, as here.
        _ => frame::message(
            stream,
            &StartSessionResponse {
                success: true,
                message,
            },
        ),
    }
}
