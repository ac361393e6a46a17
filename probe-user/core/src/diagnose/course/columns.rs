//! Time in columns of one width, which doubles when they run out.

/// Columns at most.
pub const COLUMNS: usize = 256;

/// What a column holds.
pub(super) trait Column: Default {
    /// Makes one column of two: the one before, and this one.
    fn join(&mut self, later: Self);
}

/// The columns of one lane. Those after the last one that was written to are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Columns<T>(Vec<T>);

impl<T> Default for Columns<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Column> Columns<T> {
    /// A column, to be written to; `None` beyond the last one.
    pub(super) fn at(&mut self, index: usize) -> Option<&mut T> {
        if index >= COLUMNS {
            return None;
        }
        if index >= self.0.len() {
            self.0.resize_with(index + 1, T::default);
        }
        self.0.get_mut(index)
    }

    pub(super) fn all(&self) -> &[T] {
        &self.0
    }

    /// Each two become one.
    pub(super) fn halve(&mut self) {
        let mut columns = std::mem::take(&mut self.0).into_iter();
        while let Some(mut first) = columns.next() {
            if let Some(second) = columns.next() {
                first.join(second);
            }
            self.0.push(first);
        }
    }
}
