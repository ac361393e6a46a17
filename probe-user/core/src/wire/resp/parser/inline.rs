//! Inline commands: words on a line, as people type them.

use super::{Parser, State};
use crate::wire::resp::{Fate, Loss, Part, Step};

impl Parser {
    /// A run of an inline command: of one word, or of what is between words.
    pub(super) fn inline(&mut self, input: &[u8]) -> Step {
        let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
        let in_word = self.state == State::InlineWord;
        let end = input
            .iter()
            .position(|byte| is_space(*byte) == in_word || matches!(byte, b'\r' | b'\n'));
        let used = end.unwrap_or(input.len());
        let run = input.get(..used).unwrap_or_default();
        let mut fate = Fate::Keep;
        if in_word {
            if !run.iter().all(u8::is_ascii_graphic) {
                let part = self.lost(Loss::BadValue);
                return Step { used, fate, part };
            }
            if self.collect(run, end.is_some()) == Fate::Drop {
                fate = Fate::Mask(b'.');
            }
            if end.is_some() {
                self.take_word();
                self.index = self.index.saturating_add(1);
            }
        }
        let part = self.count_line(used);
        if part != Part::Nothing {
            return Step { used, fate, part };
        }
        match end.and_then(|end| input.get(end)) {
            None => Step { used, fate, part },
            Some(byte @ (b'\r' | b'\n')) if used == 0 => {
                self.state = State::InlineFeed;
                let part = if *byte == b'\n' {
                    self.finish_inline()
                } else {
                    Part::Nothing
                };
                Step {
                    used: 1,
                    fate: Fate::Keep,
                    part,
                }
            }
            Some(byte) => {
                self.state = if is_space(*byte) || matches!(byte, b'\r' | b'\n') {
                    State::InlineSpace
                } else {
                    State::InlineWord
                };
                Step { used, fate, part }
            }
        }
    }

    pub(super) fn finish_inline(&mut self) -> Part {
        self.state = State::Start;
        self.finish_outermost()
    }
}
