//! A client's messages that caused nothing yet: those that came with the latest receive call, and those that
//! came a moment before it. The latter have a time only where what they caused was sent before the next
//! message came; but their turn comes first.

use super::bounds::{MAX_PENDING_MESSAGES, OVERTAKEN_NS};
use crate::interpret::MessageKind;
use crate::record::KtimeNs;

/// A client's messages that caused nothing yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pending {
    messages: Vec<Message>,
}

#[derive(Clone, Copy, Debug)]
struct Message {
    kind: MessageKind,
    received: KtimeNs,
    /// When the next one came.
    overtaken: Option<KtimeNs>,
}

/// A message caused its first send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caused {
    pub(super) kind: MessageKind,
    /// When it was received; `None` when the next message came before the send.
    pub(super) received: Option<KtimeNs>,
}

impl Pending {
    /// A message came.
    pub(super) fn receive(&mut self, kind: MessageKind, at: KtimeNs) {
        for message in &mut self.messages {
            if message.received != at {
                message.overtaken.get_or_insert(at);
            }
        }
        self.messages
            .retain(|message| at.since(message.received) < OVERTAKEN_NS);
        if self.messages.len() < MAX_PENDING_MESSAGES {
            self.messages.push(Message {
                kind,
                received: at,
                overtaken: None,
            });
        }
    }

    /// When the oldest of a kind came; `None` without any.
    pub(super) fn received(&self, kind: MessageKind) -> Option<KtimeNs> {
        let mut of_kind = self.messages.iter().filter(|it| it.kind == kind);
        of_kind.next().map(|message| message.received)
    }

    /// Whether one of this kind waits.
    pub(super) fn has(&self, kind: MessageKind) -> bool {
        self.received(kind).is_some()
    }

    /// The oldest caused something.
    pub(super) fn take(&mut self, at: KtimeNs) -> Option<Caused> {
        (!self.messages.is_empty()).then(|| self.messages.remove(0).caused(at))
    }

    /// The oldest of the first of these kinds that is there caused something.
    pub(super) fn take_of(&mut self, kinds: &[MessageKind], at: KtimeNs) -> Option<Caused> {
        let oldest = |kind: &MessageKind| self.messages.iter().position(|it| it.kind == *kind);
        let index = kinds.iter().find_map(oldest)?;
        Some(self.messages.remove(index).caused(at))
    }

    /// What they caused cannot be told; whether there were any.
    pub(super) fn give_up(&mut self) -> bool {
        let any = self.messages.iter().any(|it| it.overtaken.is_none());
        self.messages.clear();
        any
    }
}

impl Message {
    fn caused(self, at: KtimeNs) -> Caused {
        let in_time = self.overtaken.is_none_or(|overtaken| at < overtaken);
        Caused {
            kind: self.kind,
            received: in_time.then_some(self.received),
        }
    }
}
