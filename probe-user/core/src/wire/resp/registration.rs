//! Workers that register themselves: `SETEX worker:<name> 30 <json>` and its like. Of the value only
//! its `addr` is read, byte by byte as it comes; nothing else of it is kept.

use super::address_scan::AddressScan;
use super::command::Command;

/// What the keys of registrations start with.
const KEY_PREFIX: &[u8] = b"worker:";

/// Bytes of a worker's name: such names are labels.
const MAX_NAME: usize = 128;

/// Bytes of the key kept.
const MAX_KEY: usize = KEY_PREFIX.len() + MAX_NAME;

/// Bytes of an address given as a field's value: a scheme, a host name (253, RFC 1035, 2.3.4) and a
/// port.
pub(super) const MAX_ADDRESS: usize = 280;

/// A worker's registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The name after `worker:`.
    pub name: String,
    /// Its `addr`, e.g. `grpc://localhost:7001`; `None` when it has none, or none that can be read.
    pub address: Option<String>,
}

/// Collects a registration from the words of one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Collector {
    key: Vec<u8>,
    /// The key is too long, or a part of it is missing.
    spoiled: bool,
    is_field: bool,
    field: Vec<u8>,
    scan: AddressScan,
    address: Option<String>,
}

/// What a word of a request is to a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Key,
    /// A JSON object.
    Json,
    /// Name of a hash's field, and its value.
    Field,
    Value,
}

impl Piece {
    /// What the word of this number (1 is the first after the command) is.
    pub(super) fn of(command: Command, index: u32) -> Option<Self> {
        match (command, index) {
            (
                Command::Set
                | Command::SetEx
                | Command::PSetEx
                | Command::SetNx
                | Command::HSet
                | Command::HMSet,
                1,
            ) => Some(Self::Key),
            (Command::Set | Command::SetNx, 2) | (Command::SetEx | Command::PSetEx, 3) => {
                Some(Self::Json)
            }
            (Command::HSet | Command::HMSet, 2..) if index.is_multiple_of(2) => Some(Self::Field),
            (Command::HSet | Command::HMSet, 3..) => Some(Self::Value),
            _ => None,
        }
    }
}

impl Collector {
    /// A run of a word.
    pub(super) fn push(&mut self, piece: Piece, run: &[u8]) {
        match piece {
            Piece::Key => self.push_key(run),
            _ if !self.is_registration() => {}
            Piece::Json => self.scan.push(run),
            // A longer name is not the one looked for; nor is one with a hole.
            Piece::Field => {
                if !append(&mut self.field, run, b"addr".len()) {
                    self.field = b"other".to_vec();
                }
            }
            Piece::Value if self.is_field => {
                if !append(&mut self.field, run, MAX_ADDRESS) {
                    self.is_field = false;
                }
            }
            Piece::Value => {}
        }
    }

    /// Most keys are not of workers: of those nothing is kept.
    fn push_key(&mut self, run: &[u8]) {
        for byte in run {
            let expected = KEY_PREFIX.get(self.key.len());
            self.spoiled |= expected.is_some_and(|expected| expected != byte);
            self.spoiled |= self.key.len() >= MAX_KEY;
            if self.spoiled {
                return;
            }
            self.key.push(*byte);
        }
    }

    /// A part of a word is missing.
    pub(super) fn spoil(&mut self, piece: Piece) {
        match piece {
            Piece::Key => self.spoiled = true,
            Piece::Json => self.scan.spoil(),
            Piece::Field => self.field = b"other".to_vec(),
            Piece::Value => self.is_field = false,
        }
    }

    /// A word is complete.
    pub(super) fn finish(&mut self, piece: Piece) {
        match piece {
            Piece::Key => {}
            Piece::Json => self.address = self.scan.take(),
            Piece::Field => {
                self.is_field = self.field == b"addr";
                self.field.clear();
            }
            Piece::Value => {
                let value = std::mem::take(&mut self.field);
                if std::mem::take(&mut self.is_field) {
                    self.address = String::from_utf8(value).ok();
                }
            }
        }
    }

    /// The request is complete: its registration, if it is one.
    pub(super) fn take(&mut self) -> Option<Registration> {
        let told = std::mem::take(self);
        if !told.is_registration() {
            return None;
        }
        let name = std::str::from_utf8(told.key.get(KEY_PREFIX.len()..)?).ok()?;
        let fits = !name.is_empty() && !name.chars().any(char::is_control);
        fits.then(|| Registration {
            name: name.to_owned(),
            address: told.address,
        })
    }

    fn is_registration(&self) -> bool {
        !self.spoiled && self.key.starts_with(KEY_PREFIX)
    }
}

/// Appends a run, unless it would be more than `most` bytes then; whether it was.
fn append(word: &mut Vec<u8>, run: &[u8], most: usize) -> bool {
    let fits = word.len().saturating_add(run.len()) <= most;
    if fits {
        word.extend_from_slice(run);
    }
    fits
}
