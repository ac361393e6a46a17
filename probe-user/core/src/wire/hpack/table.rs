//! The dynamic table (RFC 7541, 2.3.2), whose older part may be unknown.
//!
//! Dynamic indices count from the newest entry, so entries inserted after the probe joined (or
//! after a gap) are found at the right indices whatever lies behind them. Invariant: the known
//! entries are the newest entries of the encoder's table, in order, possibly followed by some that
//! the encoder has evicted already. Those are never referred to, so keeping them is harmless, and
//! an entry whose exact size is unknown may be counted as smaller than it is. An entry that only the
//! probe believes to be in (it was too large for the encoder's table, which it emptied) is harmless
//! for the same reason.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::HpackError;

/// Size in bytes of the table before any update (RFC 9113, 6.5.2, `SETTINGS_HEADER_TABLE_SIZE`).
pub(super) const DEFAULT_TABLE_BYTES: u32 = 4096;

/// Most bytes of table kept for one direction of one connection. Peers seen use 4 KiB; entries
/// beyond this are forgotten, and references to them are unknown.
pub(super) const MAX_TABLE_BYTES: u32 = 64 * 1024;

/// What an entry counts beside its name and value (RFC 7541, 4.1).
const ENTRY_OVERHEAD_BYTES: u32 = 32;

/// A string as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// Its bytes.
    Known(Cow<'static, [u8]>),
    /// Only its length in bytes.
    Length(u32),
    /// Nothing.
    Unknown,
}

impl Stored {
    /// Length in bytes, or the least it can be.
    fn length(&self) -> u32 {
        match self {
            Self::Known(bytes) => bytes.len() as u32,
            Self::Length(length) => *length,
            Self::Unknown => 0,
        }
    }
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Stored,
    pub(super) value: Stored,
}

impl Entry {
    fn size(&self) -> u32 {
        (self.name.length())
            .saturating_add(self.value.length())
            .saturating_add(ENTRY_OVERHEAD_BYTES)
    }
}

/// What an index refers to.
pub(super) enum Found<'a> {
    Entry(&'a Entry),
    Unknown,
}

/// One insertion into a dynamic table: the same for every reference to the entry, whatever was
/// inserted since, and never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// How often the table was forgotten or started anew. References of different epochs cannot be
    /// compared: nobody knows how many insertions lie between them.
    pub epoch: u32,
    /// Insertions that the observer saw in this epoch before it; negative for an entry from before,
    /// where -1 is the newest of them.
    pub number: i64,
}

/// The dynamic table of one direction.
pub(super) struct Table {
    /// Newest first.
    entries: VecDeque<Entry>,
    /// Sum of the entries' sizes, in bytes.
    size: u32,
    /// Size in bytes that the encoder set, at most [`MAX_TABLE_BYTES`].
    max: u32,
    /// Largest size in bytes that an update may set.
    limit: u32,
    /// Whether the encoder's table may go on behind the last known entry.
    tail_unknown: bool,
    /// Whether the encoder's table may be larger than `max`.
    clamped: bool,
    /// See [`EntryId::epoch`].
    epoch: u32,
    /// Insertions in this epoch.
    inserted: i64,
}

impl Table {
    /// An empty table: the state at the start of a connection.
    pub(super) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            max: DEFAULT_TABLE_BYTES,
            limit: DEFAULT_TABLE_BYTES,
            tail_unknown: false,
            clamped: false,
            epoch: 0,
            inserted: 0,
        }
    }

    /// The encoder starts anew with an empty table.
    pub(super) fn restart(&mut self) {
        let epoch = self.epoch.wrapping_add(1);
        *self = Self {
            epoch,
            ..Self::new()
        };
    }

    /// Everything inserted so far becomes unknown, and so do the sizes agreed on.
    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.size = 0;
        self.max = MAX_TABLE_BYTES;
        self.limit = u32::MAX;
        self.tail_unknown = true;
        self.clamped = true;
        self.epoch = self.epoch.wrapping_add(1);
        self.inserted = 0;
    }

    /// The decoding peer allows this size in bytes. The larger of the old and the new bound holds,
    /// because nothing tells when the encoder has seen the setting.
    pub(super) fn allow(&mut self, bytes: u32) {
        self.limit = self.limit.max(bytes);
    }

    /// The encoder sets the table's size in bytes (RFC 7541, 6.3).
    pub(super) fn resize(&mut self, bytes: u32) -> Result<(), HpackError> {
        if bytes > self.limit {
            return Err(HpackError::TableTooLarge);
        }
        self.max = bytes.min(MAX_TABLE_BYTES);
        self.clamped = bytes > MAX_TABLE_BYTES;
        self.evict(self.max);
        if bytes == 0 {
            self.tail_unknown = false;
        } else if bytes > MAX_TABLE_BYTES {
            self.tail_unknown = true;
        }
        Ok(())
    }

    /// Adds an entry, evicting the oldest ones (RFC 7541, 4.4); `None` where it is too large to be in
    /// the table.
    pub(super) fn insert(&mut self, mut entry: Entry) -> Option<EntryId> {
        let mut size = entry.size();
        let id = EntryId {
            epoch: self.epoch,
            number: self.inserted,
        };
        if size > self.max && self.clamped {
            // It may be in the encoder's table: it takes a place, and what it says is forgotten.
            self.tail_unknown = true;
            (entry.name, entry.value) = (Stored::Unknown, Stored::Unknown);
            size = self.max.min(entry.size());
            self.entries.clear();
            self.size = 0;
        }
        self.evict(self.max.saturating_sub(size));
        if size > self.max {
            // It emptied the table.
            self.tail_unknown = false;
            return None;
        }
        self.size += entry.size();
        self.entries.push_front(entry);
        self.inserted = self.inserted.saturating_add(1);
        Some(id)
    }

    /// Which insertion the position counted from the newest, which is 0, refers to.
    pub(super) fn id(&self, position: u32) -> EntryId {
        EntryId {
            epoch: self.epoch,
            number: self.inserted - 1 - i64::from(position),
        }
    }

    /// The entry at a position counted from the newest, which is 0.
    pub(super) fn find(&self, position: u32) -> Result<Found<'_>, HpackError> {
        match self.entries.get(position as usize) {
            Some(entry) => Ok(Found::Entry(entry)),
            None if self.tail_unknown => Ok(Found::Unknown),
            None => Err(HpackError::BadIndex),
        }
    }

    /// Removes the oldest entries until at most `bytes` are left.
    fn evict(&mut self, bytes: u32) {
        while self.size > bytes {
            let Some(entry) = self.entries.pop_back() else {
                self.size = 0;
                return;
            };
            self.size = self.size.saturating_sub(entry.size());
        }
    }
}
