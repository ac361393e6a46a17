//! A client's latest messages that caused nothing yet: those that came with one receive call. What came
//! before has no time any more, but where it came a moment before it may still cause something, and does
//! so first.

use super::bounds::{MAX_PENDING_MESSAGES, OVERTAKEN_NS};
use crate::interpret::MessageKind;
use crate::record::KtimeNs;

/// Messages received at one moment, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    received: KtimeNs,
    kinds: Vec<MessageKind>,
    /// Those before them, whose turn comes first.
    overtaken: Vec<MessageKind>,
}

impl Pending {
    /// A message came.
    pub(super) fn receive(&mut self, kind: MessageKind, at: KtimeNs) {
        if self.received != at {
            if at.since(self.received) < OVERTAKEN_NS {
                self.overtaken.append(&mut self.kinds);
                self.overtaken.truncate(MAX_PENDING_MESSAGES);
            } else {
                self.give_up();
            }
            self.received = at;
        }
        if self.kinds.len() < MAX_PENDING_MESSAGES {
            self.kinds.push(kind);
        }
    }

    /// When they came; `None` without any.
    pub(super) fn received(&self) -> Option<KtimeNs> {
        (!self.kinds.is_empty()).then_some(self.received)
    }

    /// Whether one of this kind waits.
    pub(super) fn has(&self, kind: MessageKind) -> bool {
        self.overtaken.contains(&kind) || self.kinds.contains(&kind)
    }

    /// The oldest caused something: its kind, and when it came if it has a time.
    pub(super) fn take(&mut self) -> Option<(MessageKind, Option<KtimeNs>)> {
        if !self.overtaken.is_empty() {
            return Some((self.overtaken.remove(0), None));
        }
        (!self.kinds.is_empty()).then(|| (self.kinds.remove(0), Some(self.received)))
    }

    /// The oldest of the first of these kinds that is there caused something.
    pub(super) fn take_of(
        &mut self,
        kinds: &[MessageKind],
    ) -> Option<(MessageKind, Option<KtimeNs>)> {
        kinds.iter().find_map(|kind| {
            if remove(&mut self.overtaken, *kind) {
                return Some((*kind, None));
            }
            remove(&mut self.kinds, *kind).then_some((*kind, Some(self.received)))
        })
    }

    /// What they caused cannot be told; whether there were any.
    pub(super) fn give_up(&mut self) -> bool {
        let any = !self.kinds.is_empty();
        self.kinds.clear();
        self.overtaken.clear();
        any
    }
}

/// Removes the first message of a kind; whether there was one.
fn remove(messages: &mut Vec<MessageKind>, kind: MessageKind) -> bool {
    let first = messages.iter().position(|it| *it == kind);
    first.map(|index| messages.remove(index)).is_some()
}
