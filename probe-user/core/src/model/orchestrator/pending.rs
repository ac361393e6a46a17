//! A client's latest messages that caused nothing yet: those that came with one receive call. With
//! the next receive it is known that they cause nothing.

use super::bounds::MAX_PENDING_MESSAGES;
use crate::interpret::MessageKind;
use crate::record::KtimeNs;

/// Messages received at one moment, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    received: KtimeNs,
    kinds: Vec<MessageKind>,
}

impl Pending {
    /// A message came.
    pub(super) fn receive(&mut self, kind: MessageKind, at: KtimeNs) {
        if self.received != at {
            self.kinds.clear();
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

    /// Whether one of this kind is among them.
    pub(super) fn has(&self, kind: MessageKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The oldest caused something: its kind, and when it came.
    pub(super) fn take(&mut self) -> Option<(MessageKind, KtimeNs)> {
        (!self.kinds.is_empty()).then(|| (self.kinds.remove(0), self.received))
    }

    /// The oldest of the first of these kinds that is there caused something.
    pub(super) fn take_of(&mut self, kinds: &[MessageKind]) -> Option<(MessageKind, KtimeNs)> {
        let oldest = |kind: &MessageKind| self.kinds.iter().position(|it| it == kind);
        let index = kinds.iter().find_map(oldest)?;
        Some((self.kinds.remove(index), self.received))
    }

    /// What they caused cannot be told; whether there were any.
    pub(super) fn give_up(&mut self) -> bool {
        let any = !self.kinds.is_empty();
        self.kinds.clear();
        any
    }
}
