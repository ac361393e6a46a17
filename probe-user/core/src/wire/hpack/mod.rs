//! HPACK decoder (RFC 7541) for an observer: it may have missed the beginning.
//!
//! Takes complete header blocks of one direction in order; gives their fields. A field whose table
//! entry was inserted before the observer joined (or inside a gap) is [`Text::Unknown`], and
//! decoding goes on; [`Field::entry`] tells which fields came from the same entry. Values that nobody
//! asked for are measured and not stored.

mod huffman;
mod integer;
mod static_table;
mod table;

use std::borrow::Cow;

use static_table::STATIC_ENTRIES;
pub use table::EntryId;
use table::{Entry, Found, Stored, Table};

/// Longest name or wanted value in bytes, as encoded. Paths and status names are far shorter; gRPC peers refuse
/// metadata beyond 8 to 16 KiB in all.
const MAX_STRING_BYTES: usize = 16 * 1024;

/// Largest header list in bytes, counted as RFC 7541, 4.1 does: it bounds the work that one small
/// block of references can cause. Eight times the most that gRPC peers accept by default.
const MAX_HEADER_LIST_BYTES: u64 = 128 * 1024;

/// Bytes that a field counts beside its name and value (RFC 7541, 4.1).
const FIELD_OVERHEAD_BYTES: u64 = 32;

/// Highest meaningful index: a table of [`table::MAX_TABLE_BYTES`] sixteen times over, filled with the
/// smallest entries. Beyond it the block is damaged, not merely unknown.
const MAX_INDEX: u32 = STATIC_ENTRIES + 16 * table::MAX_TABLE_BYTES / 32;

/// Prefix of a literal that goes into the table (RFC 7541, 6.2.1); the other literals have 4 bits.
const INDEXING_PREFIX_BITS: u32 = 6;

/// Why a header block cannot be decoded. The table is of no use afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HpackError {
    /// The block ends inside a field.
    #[error("header block ends inside a field")]
    Truncated,
    /// An index of zero, or behind the end of the table (RFC 7541, 2.3.3).
    #[error("header index refers to nothing")]
    BadIndex,
    /// An integer beyond 32 bits (RFC 7541, 5.1).
    #[error("integer in header block is too large")]
    IntegerTooLarge,
    /// A string that is not valid Huffman code (RFC 7541, 5.2).
    #[error("string in header block is not valid Huffman code")]
    BadHuffman,
    /// A name or a wanted value longer than this decoder accepts.
    #[error("string in header block is too long")]
    StringTooLong,
    /// More fields than this decoder accepts.
    #[error("header list is too large")]
    ListTooLarge,
    /// A table size above the one that was allowed (RFC 7541, 6.3).
    #[error("dynamic table size is above the limit")]
    TableTooLarge,
    /// A table size update that is not at the start of the block (RFC 7541, 4.2).
    #[error("dynamic table size update inside a header block")]
    LateSizeUpdate,
}

/// A name or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text<'a> {
    /// Its bytes.
    Known(&'a [u8]),
    /// It was read and not kept; its length in bytes.
    Length(u32),
    /// It was inserted into the table before the observer could see it.
    Unknown,
}

impl<'a> Text<'a> {
    /// The bytes, where known.
    pub fn known(self) -> Option<&'a [u8]> {
        match self {
            Self::Known(bytes) => Some(bytes),
            Self::Length(_) | Self::Unknown => None,
        }
    }

    fn length(self) -> u64 {
        match self {
            Self::Known(bytes) => bytes.len() as u64,
            Self::Length(length) => u64::from(length),
            Self::Unknown => 0,
        }
    }
}

impl<'a> From<&'a Stored> for Text<'a> {
    fn from(stored: &'a Stored) -> Self {
        match stored {
            Stored::Known(bytes) => Self::Known(bytes),
            Stored::Length(length) => Self::Length(*length),
            Stored::Unknown => Self::Unknown,
        }
    }
}

/// One header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name.
    pub name: Text<'a>,
    /// Its value.
    pub value: Text<'a>,
    /// Where its value is written out in the block; `None` where an index stands for it.
    pub literal: Option<Literal>,
    /// The entry of the dynamic table that an index stands for, or that the literal made.
    pub entry: Option<EntryId>,
}

/// A string written out in a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// Position in the block of its first octet.
    pub start: usize,
    /// Octets as encoded.
    pub length: usize,
    /// Whether it is in Huffman code.
    pub huffman: bool,
}

impl Literal {
    /// Other octets for it, that say nothing of what it said: as many, and decoding to as many, so
    /// that a block with these in its place has the same effect on the header table.
    pub fn masked(&self, block: &[u8]) -> Vec<u8> {
        let octets = block.iter().skip(self.start).take(self.length);
        if self.huffman {
            let raw: Vec<u8> = octets.copied().collect();
            huffman::mask(&raw)
        } else {
            octets.map(|_| MASK).collect()
        }
    }
}

/// What masked octets read.
const MASK: u8 = b'*';

/// Decoder of one direction of one connection.
pub struct Decoder {
    table: Table,
    /// Whether a field's value is kept, by its name.
    wanted: fn(&[u8]) -> bool,
    /// Buffers of the literal being read, kept to be reused.
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// A decoder for a direction that is seen from its first byte. `wanted` tells by a field's name
    /// whether its value is kept.
    pub fn new(wanted: fn(&[u8]) -> bool) -> Self {
        Self {
            table: Table::new(),
            wanted,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// The encoder starts a new connection, or is seen from its first block after all.
    pub fn restart(&mut self) {
        self.table.restart();
    }

    /// Header blocks were missed: what is in the table is unknown from now on.
    pub fn forget(&mut self) {
        self.table.forget();
    }

    /// The decoding peer announced `SETTINGS_HEADER_TABLE_SIZE`, in bytes (RFC 9113, 6.5.2).
    pub fn allow_table_size(&mut self, bytes: u32) {
        self.table.allow(bytes);
    }

    /// Decodes one complete header block, giving its fields in order.
    ///
    /// # Errors
    /// The block is damaged. Fields before the damage were given; the table has to be forgotten.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut field: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let mut input = block;
        let mut list: u64 = 0;
        let mut started = false;
        while let Some(&first) = input.first() {
            let mut count = |found: Field<'_>| {
                list += found.name.length() + found.value.length() + FIELD_OVERHEAD_BYTES;
                if list > MAX_HEADER_LIST_BYTES {
                    return Err(HpackError::ListTooLarge);
                }
                field(found);
                Ok(())
            };
            match first {
                // Indexed field (RFC 7541, 6.1).
                0x80.. => {
                    let index = integer::decode(&mut input, 7)?;
                    self.indexed(index, &mut count)?;
                }
                // Literal with incremental indexing (6.2.1).
                0x40.. => self.literal(block, &mut input, INDEXING_PREFIX_BITS, &mut count)?,
                // Table size update (6.3).
                0x20.. => {
                    let size = integer::decode(&mut input, 5)?;
                    if started {
                        return Err(HpackError::LateSizeUpdate);
                    }
                    self.table.resize(size)?;
                    continue;
                }
                // Literal without indexing, or never indexed (6.2.2, 6.2.3).
                _ => self.literal(block, &mut input, 4, &mut count)?,
            }
            started = true;
        }
        Ok(())
    }

    fn indexed(
        &self,
        index: u32,
        count: &mut impl FnMut(Field<'_>) -> Result<(), HpackError>,
    ) -> Result<(), HpackError> {
        let (name, value, entry) = if let Some((name, value)) = static_table::entry(index) {
            (Text::Known(name), Text::Known(value), None)
        } else {
            let id = Some(self.table.id(index.saturating_sub(STATIC_ENTRIES + 1)));
            match self.dynamic(index)? {
                Found::Entry(entry) => ((&entry.name).into(), (&entry.value).into(), id),
                Found::Unknown => (Text::Unknown, Text::Unknown, id),
            }
        };
        count(Field {
            name,
            value,
            literal: None,
            entry,
        })
    }

    fn dynamic(&self, index: u32) -> Result<Found<'_>, HpackError> {
        if index > MAX_INDEX {
            return Err(HpackError::BadIndex);
        }
        let position = index
            .checked_sub(STATIC_ENTRIES + 1)
            .ok_or(HpackError::BadIndex)?;
        self.table.find(position)
    }

    /// Reads a literal whose name index has a prefix of `prefix` bits, and inserts it into the table
    /// where it says so.
    fn literal(
        &mut self,
        block: &[u8],
        input: &mut &[u8],
        prefix: u32,
        count: &mut impl FnMut(Field<'_>) -> Result<(), HpackError>,
    ) -> Result<(), HpackError> {
        let index = integer::decode(input, prefix)?;
        let name = if index == 0 {
            let mut name = std::mem::take(&mut self.name);
            name.clear();
            string(input, Some(&mut name))?;
            Stored::Known(Cow::Owned(name))
        } else if let Some((name, _)) = static_table::entry(index) {
            Stored::Known(Cow::Borrowed(name))
        } else {
            match self.dynamic(index)? {
                Found::Entry(entry) => entry.name.clone(),
                Found::Unknown => Stored::Unknown,
            }
        };
        let keep = matches!(&name, Stored::Known(name) if (self.wanted)(name));
        self.value.clear();
        let huffman = is_huffman(input);
        let (length, octets) = string(input, keep.then_some(&mut self.value))?;
        let value = if keep {
            Text::Known(&self.value)
        } else {
            Text::Length(length)
        };
        let literal = Literal {
            start: block.len() - input.len() - octets,
            length: octets,
            huffman,
        };
        let told = Field {
            name: (&name).into(),
            value,
            literal: Some(literal),
            entry: None,
        };
        if prefix == INDEXING_PREFIX_BITS {
            let stored = if keep {
                Stored::Known(Cow::Owned(self.value.clone()))
            } else {
                Stored::Length(length)
            };
            let entry = self.table.insert(Entry {
                name: name.clone(),
                value: stored,
            });
            return count(Field { entry, ..told });
        }
        count(told)?;
        if let Stored::Known(Cow::Owned(buffer)) = name {
            self.name = buffer;
        }
        Ok(())
    }
}

/// Whether the string that comes next is in Huffman code (RFC 7541, 5.2).
fn is_huffman(input: &[u8]) -> bool {
    input.first().is_some_and(|first| first & 0x80 != 0)
}

/// Reads a string (RFC 7541, 5.2), into `buffer` where there is one, and returns its length in
/// bytes, decoded and encoded.
fn string(input: &mut &[u8], buffer: Option<&mut Vec<u8>>) -> Result<(u32, usize), HpackError> {
    let huffman = is_huffman(input);
    let length = integer::decode(input, 7)?;
    let (raw, rest) = input
        .split_at_checked(length as usize)
        .ok_or(HpackError::Truncated)?;
    *input = rest;
    if buffer.is_some() && raw.len() > MAX_STRING_BYTES {
        return Err(HpackError::StringTooLong);
    }
    let decoded = match (buffer, huffman) {
        (Some(buffer), true) => huffman::decode(raw, |octet| buffer.push(octet))?,
        (Some(buffer), false) => {
            buffer.extend_from_slice(raw);
            length
        }
        (None, true) => huffman::decode(raw, |_| {})?,
        (None, false) => length,
    };
    Ok((decoded, raw.len()))
}

#[cfg(test)]
mod tests;
