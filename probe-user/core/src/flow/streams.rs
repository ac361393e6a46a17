//! What is kept of each open stream of one connection, by its number.

/// Values by stream, in the order of the numbers.
///
/// Streams are few, new ones mostly have the highest number, the frames of one come in runs, and those that are
/// paced alike take turns: a sorted list that remembers where it last looked answers faster than a tree.
#[derive(Debug)]
pub(super) struct Streams<T> {
    /// Ascending.
    numbers: Vec<u32>,
    /// At the same positions.
    values: Vec<T>,
    /// Where the last one was found.
    last: usize,
}

impl<T> Default for Streams<T> {
    fn default() -> Self {
        Self {
            numbers: Vec::new(),
            values: Vec::new(),
            last: 0,
        }
    }
}

impl<T> Streams<T> {
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn contains(&self, stream: u32) -> bool {
        self.place(stream).is_ok()
    }

    /// As `contains`; the next look at the stream is free.
    #[inline]
    pub(super) fn find(&mut self, stream: u32) -> bool {
        let place = self.place(stream);
        self.last = place.unwrap_or(self.last);
        place.is_ok()
    }

    /// The value of the stream that was found last.
    #[inline]
    pub(super) fn found_mut(&mut self) -> Option<&mut T> {
        self.values.get_mut(self.last)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, stream: u32) -> Option<&mut T> {
        let place = self.place(stream).ok()?;
        self.last = place;
        self.values.get_mut(place)
    }

    /// Sets the value of a stream.
    pub(super) fn insert(&mut self, stream: u32, value: T) {
        match self.place(stream) {
            Ok(place) => {
                if let Some(old) = self.values.get_mut(place) {
                    *old = value;
                }
            }
            Err(place) => {
                self.numbers.insert(place, stream);
                self.values.insert(place, value);
            }
        }
    }

    pub(super) fn remove(&mut self, stream: u32) -> Option<T> {
        let place = self.place(stream).ok()?;
        self.numbers.remove(place);
        Some(self.values.remove(place))
    }

    /// The lowest number.
    pub(super) fn first(&self) -> Option<u32> {
        self.numbers.first().copied()
    }

    /// The lowest number above this one.
    pub(super) fn above(&self, stream: u32) -> Option<u32> {
        let place = self.numbers.partition_point(|number| *number <= stream);
        self.numbers.get(place).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.numbers.iter().copied().zip(&self.values)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut T)> {
        self.numbers.iter().copied().zip(&mut self.values)
    }

    /// Position of a stream, or where it belongs.
    #[inline]
    fn place(&self, stream: u32) -> Result<usize, usize> {
        for place in [self.last, self.last + 1] {
            if self.numbers.get(place) == Some(&stream) {
                return Ok(place);
            }
        }
        self.numbers.binary_search(&stream)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in proptest::collection::vec((0..5, 0_u32..12), 0..200)) {
            let (mut streams, mut map) = (Streams::default(), BTreeMap::new());
            for (index, (step, stream)) in steps.into_iter().enumerate() {
                match step {
                    0 => {
                        streams.insert(stream, index);
                        map.insert(stream, index);
                    }
                    1 => prop_assert_eq!(streams.remove(stream), map.remove(&stream)),
                    2 => prop_assert_eq!(streams.get_mut(stream), map.get_mut(&stream)),
                    3 => {
                        prop_assert_eq!(streams.find(stream), map.contains_key(&stream));
                        if map.contains_key(&stream) {
                            prop_assert_eq!(streams.found_mut(), map.get_mut(&stream));
                        }
                    }
                    _ => prop_assert_eq!(streams.contains(stream), map.contains_key(&stream)),
                }
                prop_assert_eq!(streams.len(), map.len());
                prop_assert_eq!(streams.is_empty(), map.is_empty());
                prop_assert_eq!(streams.first(), map.keys().next().copied());
                prop_assert_eq!(streams.above(5), map.range(6..).next().map(|(stream, _)| *stream));
                prop_assert!(streams.iter().eq(map.iter().map(|(stream, value)| (*stream, value))));
            }
        }
    }
}
