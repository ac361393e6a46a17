//! What a client and a server write.

use std::collections::VecDeque;

use crate::wire::http2::{flag, kind};

/// How a client writes its header blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As grpc-core: the path is written out at its first use and goes into the table.
    GrpcCore,
    /// As tonic: the path is written out every time, without going into the table.
    Tonic,
}

/// Bytes that the table holds (RFC 9113, 6.5.2).
const TABLE_BYTES: usize = 4096;

/// The header encoder of a client.
pub(super) struct Encoder {
    style: Style,
    /// Newest first.
    table: VecDeque<(Vec<u8>, Vec<u8>)>,
    size: usize,
}

impl Encoder {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            table: VecDeque::new(),
            size: 0,
        }
    }

    /// The header block of a request. `extra` is metadata of the application: its value, and whether
    /// it goes into the table.
    pub(super) fn request(&mut self, path: &str, extra: Option<(&str, bool)>) -> Vec<u8> {
        let mut block = Vec::new();
        match self.style {
            Style::GrpcCore => {
                self.field(&mut block, b":path", path.as_bytes(), Some(4));
                self.field(&mut block, b":authority", b"localhost:7001", Some(1));
                block.extend([0x83, 0x86]);
            }
            Style::Tonic => {
                block.extend([0x83, 0x86, 0x04]);
                string(&mut block, path.as_bytes());
                self.field(&mut block, b":authority", b"localhost:7001", Some(1));
            }
        }
        self.field(&mut block, b"te", b"trailers", None);
        self.field(&mut block, b"content-type", b"application/grpc", Some(31));
        self.field(
            &mut block,
            b"user-agent",
            b"grpc-python/1.80 grpc-c/50",
            Some(58),
        );
        if let Some((value, indexed)) = extra {
            if indexed {
                self.field(&mut block, b"x-request-id", value.as_bytes(), None);
            } else {
                block.push(0x00);
                string(&mut block, b"x-request-id");
                string(&mut block, value.as_bytes());
            }
        }
        block
    }

    /// A field by its index, or written out and put into the table.
    fn field(&mut self, block: &mut Vec<u8>, name: &[u8], value: &[u8], index: Option<u8>) {
        let known = self.table.iter().position(|(n, v)| n == name && v == value);
        if let Some(position) = known {
            integer(block, 0x80, 7, 62 + position);
            return;
        }
        integer(block, 0x40, 6, index.map_or(0, usize::from));
        if index.is_none() {
            string(block, name);
        }
        string(block, value);
        self.table.push_front((name.to_vec(), value.to_vec()));
        self.size += name.len() + value.len() + 32;
        while self.size > TABLE_BYTES {
            let (name, value) = self.table.pop_back().expect("the table is not empty");
            self.size -= name.len() + value.len() + 32;
        }
    }
}

fn integer(block: &mut Vec<u8>, first: u8, bits: u8, value: usize) {
    let mut encoded = loona_hpack::encoder::encode_integer(value, bits);
    encoded[0] |= first;
    block.extend(encoded);
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    integer(block, 0, 7, text.len());
    block.extend(text);
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A DATA frame with one gRPC message.
pub(super) fn message(stream: u32, end: bool, body: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend((body.len() as u32).to_be_bytes());
    payload.extend(body);
    let flags = if end { flag::END_STREAM } else { 0 };
    frame(kind::DATA, flags, stream, &payload)
}

/// A protobuf message.
#[derive(Clone, Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    pub(super) fn varint(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            put(&mut self.0, u64::from(field) << 3);
            put(&mut self.0, value);
        }
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        if !value.is_empty() {
            put(&mut self.0, u64::from(field) << 3 | 2);
            put(&mut self.0, value.len() as u64);
            self.0.extend(value);
        }
        self
    }

    pub(super) fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// An entry of a map from string to double.
    pub(super) fn measure(self, field: u32, key: &str, value: f64) -> Self {
        let mut entry = Self::default().text(1, key);
        entry.0.push(2 << 3 | 1);
        entry.0.extend(value.to_le_bytes());
        self.bytes(field, &entry.0)
    }
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
