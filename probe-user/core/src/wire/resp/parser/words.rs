//! Words of closed lists within requests and replies.

use super::{Parser, Slot};
use crate::wire::resp::Command;
use crate::wire::resp::part::{Element, Fate, RequestOption};

impl Parser {
    /// Collects a run of a word that may be on a list; whether a capture may hold it.
    pub(super) fn collect(&mut self, run: &[u8], complete: bool) -> Fate {
        let list: &[&str] = match self.slot() {
            Slot::Content => return Fate::Drop,
            Slot::Registration(piece) => {
                self.registration.push(piece, run);
                return Fate::Drop;
            }
            Slot::Name => Command::NAMES,
            Slot::Option => &["REPLY", "ON", "OFF", "SKIP", "2", "3"],
            Slot::Element => Element::NAMES,
        };
        self.word.push(run);
        if self.word.is_listed(list, complete) {
            Fate::Keep
        } else {
            Fate::Drop
        }
    }

    /// A word is complete.
    pub(super) fn take_word(&mut self) {
        let word = self.word.get();
        match (self.slot(), word) {
            (Slot::Name, word) => self.command = Command::from_name(word.unwrap_or_default()),
            (Slot::Registration(piece), _) => self.registration.finish(piece),
            (Slot::Element, Some(word)) => self.element = Element::from_name(word),
            (Slot::Option, Some(word)) => match (self.command, self.index, word) {
                (Command::Hello, 1, b"2") => self.option = Some(RequestOption::Resp2),
                (Command::Hello, 1, b"3") => self.option = Some(RequestOption::Resp3),
                (Command::Client, 1, b"REPLY") => self.names_reply = true,
                (Command::Client, 2, word) if self.names_reply => {
                    self.option = match word {
                        b"ON" => Some(RequestOption::ReplyOn),
                        b"OFF" => Some(RequestOption::ReplyOff),
                        b"SKIP" => Some(RequestOption::ReplySkip),
                        _ => None,
                    };
                }
                _ => {}
            },
            _ => {}
        }
        self.word.clear();
    }
}
