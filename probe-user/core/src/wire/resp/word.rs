//! A short word of the closed lists, collected from bytes that may come in pieces.

/// Longest word that is collected, in bytes: the longest of the lists has 13 (`ZRANGEBYSCORE`).
const MAX_BYTES: usize = 16;

/// What came of a word so far, in capitals.
#[derive(Clone, Debug, Default)]
pub(super) struct Word {
    bytes: [u8; MAX_BYTES],
    length: usize,
    /// It is too long, or a part of it is not there: it is on no list.
    unreadable: bool,
}

impl Word {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.bytes.get_mut(self.length) {
                Some(place) => {
                    *place = byte.to_ascii_uppercase();
                    self.length += 1;
                }
                None => self.unreadable = true,
            }
        }
    }

    pub(super) fn spoil(&mut self) {
        self.unreadable = true;
    }

    /// The word, when it could be on a list.
    pub(super) fn get(&self) -> Option<&[u8]> {
        if self.unreadable {
            return None;
        }
        self.bytes.get(..self.length)
    }

    /// Whether it is on the list, or, while more of it is to come, may yet be.
    pub(super) fn is_listed(&self, list: &[&str], complete: bool) -> bool {
        self.get().is_some_and(|word| {
            list.iter().any(|known| {
                let known = known.as_bytes();
                if complete {
                    known == word
                } else {
                    known.starts_with(word)
                }
            })
        })
    }
}
