//! The parser of one direction.

mod inline;
mod resume;
mod words;

pub use resume::fits;

use crate::record::GapReason;
use crate::wire::resp::command::Command;
use crate::wire::resp::part::{
    Element, ErrorWord, Fate, Loss, Part, Reply, Request, RequestOption, Step,
};
use crate::wire::resp::registration::{Collector, Piece, Registration};
use crate::wire::resp::word::Word;

/// Values within values that are followed. Redis' own replies nest at most nine deep (clients give
/// up there); beyond this bound the bytes are no reply.
const MAX_DEPTH: usize = 32;

/// Longest bulk string in bytes: Redis' own bound (`proto-max-bulk-len`).
const MAX_BULK_BYTES: u64 = 512 * 1024 * 1024;

/// Most elements of an aggregate: Redis' own bound for requests (`INT_MAX`). Nothing is allocated
/// for them.
const MAX_ELEMENTS: u64 = i32::MAX as u64;

/// Longest line in bytes: Redis' own bound for inline commands (`PROTO_INLINE_MAX_SIZE`).
const MAX_LINE_BYTES: u32 = 64 * 1024;

/// Digits of a length: those of `u32::MAX`.
const MAX_DIGITS: u32 = 10;

/// Parser of one direction. Call [`Parser::step`] until it gives `None`, then come with more bytes.
#[derive(Clone, Debug)]
pub struct Parser {
    from_client: bool,
    state: State,
    /// Aggregates that are open, outermost first.
    open: Vec<Open>,
    /// Type of the value being read, and of the outermost one.
    kind: u8,
    outermost: u8,
    /// Values complete in the outermost aggregate, or words of an inline command.
    index: u32,
    number: Number,
    line_bytes: u32,
    word: Word,
    command: Command,
    registration: Collector,
    names_reply: bool,
    option: Option<RequestOption>,
    element: Option<Element>,
    error: ErrorWord,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The next byte is a value's type.
    Start,
    /// A length.
    Length,
    /// The first word of an error.
    ErrorWord,
    /// The rest of a line.
    Text,
    /// The line feed of a line.
    LineFeed,
    /// Content of a bulk string: bytes to come.
    Bulk(u64),
    /// What ends it.
    BulkReturn,
    BulkFeed,
    InlineSpace,
    InlineWord,
    InlineFeed,
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    /// Values to come.
    left: u64,
    /// It describes the value that follows it, and is none itself.
    attribute: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Number {
    negative: bool,
    digits: u32,
    value: u64,
}

/// What the string being read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Content,
    Name,
    Option,
    Element,
    /// Of a request that may register a worker.
    Registration(Piece),
}

impl Parser {
    /// A parser at the start of a client's value.
    pub fn requests() -> Self {
        Self::new(true)
    }

    /// A parser at the start of a server's value.
    pub fn replies() -> Self {
        Self::new(false)
    }

    fn new(from_client: bool) -> Self {
        Self {
            from_client,
            state: State::Start,
            open: Vec::new(),
            kind: 0,
            outermost: 0,
            index: 0,
            number: Number::default(),
            line_bytes: 0,
            word: Word::default(),
            command: Command::Other,
            registration: Collector::default(),
            names_reply: false,
            option: None,
            element: None,
            error: ErrorWord::Other,
        }
    }

    /// Whether the request that was just complete registers a worker, and which.
    pub fn take_registration(&mut self) -> Option<Registration> {
        self.registration.take()
    }

    /// Gives the framing up: it is to be searched for.
    pub fn lose(&mut self) {
        self.state = State::Lost;
    }

    /// Whether the framing is lost.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Whether the next byte starts a request, a reply or a push.
    pub fn is_between(&self) -> bool {
        self.state == State::Start && self.open.is_empty()
    }

    /// Whether a value has begun and is not complete.
    pub fn is_inside(&self) -> bool {
        !self.is_lost() && !self.is_between()
    }

    /// The next byte starts a value.
    pub fn resume(&mut self) {
        *self = Self::new(self.from_client);
    }

    /// Consumes a run of `input`; `None` when it is used up, or when the framing is lost.
    pub fn step(&mut self, input: &[u8]) -> Option<Step> {
        let &byte = input.first()?;
        let kept = |part| Step {
            used: 1,
            fate: Fate::Keep,
            part,
        };
        Some(match self.state {
            State::Lost => return None,
            State::Start => return Some(self.start(byte)),
            State::Length => kept(self.length(byte)),
            State::ErrorWord => self.error_word(input),
            State::Text => self.text(input),
            State::LineFeed => kept(if byte == b'\n' {
                self.end_line()
            } else {
                self.lost(Loss::BadValue)
            }),
            State::Bulk(left) => self.bulk(left, input),
            State::BulkReturn => kept(self.expect(byte, b'\r', State::BulkFeed)),
            State::BulkFeed => kept(if byte == b'\n' {
                self.finish_value()
            } else {
                self.lost(Loss::BadValue)
            }),
            State::InlineSpace | State::InlineWord => self.inline(input),
            State::InlineFeed => kept(if byte == b'\n' {
                self.finish_inline()
            } else {
                self.lost(Loss::BadValue)
            }),
        })
    }

    /// The next `length` bytes are missing.
    pub fn hole(&mut self, length: u64, reason: GapReason) -> Part {
        match self.state {
            _ if length == 0 => Part::Nothing,
            State::Lost => Part::Nothing,
            State::Bulk(left) if length <= left => {
                // What was left out on purpose is on no list.
                if self.slot() == Slot::Name && reason != GapReason::Elided {
                    return self.lost(Loss::Hole);
                }
                self.word.spoil();
                if let Slot::Registration(piece) = self.slot() {
                    self.registration.spoil(piece);
                }
                self.advance_bulk(left - length);
                Part::Nothing
            }
            _ => self.lost(Loss::Hole),
        }
    }

    fn lost(&mut self, loss: Loss) -> Part {
        self.state = State::Lost;
        Part::Lost(loss)
    }

    fn expect(&mut self, byte: u8, expected: u8, next: State) -> Part {
        if byte != expected {
            return self.lost(Loss::BadValue);
        }
        self.state = next;
        Part::Nothing
    }

    /// The first byte of a value.
    fn start(&mut self, byte: u8) -> Step {
        let outermost = self.open.is_empty();
        if outermost {
            self.outermost = byte;
            self.index = 0;
            self.command = Command::Other;
            self.registration = Collector::default();
            self.names_reply = false;
            self.option = None;
            self.element = None;
            self.error = ErrorWord::Other;
        }
        self.kind = byte;
        self.number = Number::default();
        self.line_bytes = 0;
        self.word.clear();
        let state = match byte {
            b'*' if outermost => State::Length,
            b'$' if !outermost => State::Length,
            _ if self.from_client && outermost => {
                self.state = State::InlineSpace;
                return Step {
                    used: 0,
                    fate: Fate::Keep,
                    part: Part::Nothing,
                };
            }
            _ if self.from_client => State::Lost,
            b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|' => State::Length,
            b'-' if outermost => State::ErrorWord,
            b'+' | b'-' | b':' | b',' | b'(' | b'#' | b'_' => State::Text,
            _ => State::Lost,
        };
        self.state = state;
        let part = if state == State::Lost {
            Part::Lost(Loss::BadValue)
        } else {
            Part::Nothing
        };
        Step {
            used: 1,
            fate: Fate::Keep,
            part,
        }
    }

    /// One byte of a length. Streamed strings and aggregates (`?`) are not followed: no server
    /// sends them.
    fn length(&mut self, byte: u8) -> Part {
        let number = &mut self.number;
        match byte {
            b'-' if number.digits == 0 && !number.negative => number.negative = true,
            b'0'..=b'9' if number.digits < MAX_DIGITS => {
                number.digits += 1;
                number.value = number.value * 10 + u64::from(byte - b'0');
            }
            b'\r' if number.digits > 0 => self.state = State::LineFeed,
            _ => return self.lost(Loss::BadValue),
        }
        Part::Nothing
    }

    fn error_word(&mut self, input: &[u8]) -> Step {
        let end = input
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\r' | b'\n'));
        let used = end.unwrap_or(input.len());
        self.word.push(input.get(..used).unwrap_or_default());
        if end.is_some() {
            self.error = ErrorWord::from_name(self.word.get());
            self.state = State::Text;
        }
        let listed = self.word.is_listed(ErrorWord::NAMES, end.is_some());
        let fate = if listed { Fate::Keep } else { Fate::Mask(b'.') };
        let part = self.count_line(used);
        Step { used, fate, part }
    }

    /// A run of a line's content, or the carriage return that ends it.
    fn text(&mut self, input: &[u8]) -> Step {
        let end = input.iter().position(|byte| *byte == b'\r');
        if end == Some(0) {
            self.state = State::LineFeed;
            return Step {
                used: 1,
                fate: Fate::Keep,
                part: Part::Nothing,
            };
        }
        let used = end.unwrap_or(input.len());
        let run = input.get(..used).unwrap_or_default();
        let (mask, fits): (u8, fn(u8) -> bool) = match self.kind {
            b'+' => (b'.', |byte| byte != b'\n'),
            // The space that ends an error's first word stays one.
            b'-' => (b' ', |byte| byte != b'\n'),
            b'#' => (b't', |byte| matches!(byte, b't' | b'f')),
            b'_' => (b'.', |_| false),
            b',' => (b'0', |byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
            }),
            _ => (b'0', |byte| {
                byte.is_ascii_digit() || matches!(byte, b'+' | b'-')
            }),
        };
        let part = if run.iter().all(|byte| fits(*byte)) {
            self.count_line(used)
        } else {
            self.lost(Loss::BadValue)
        };
        Step {
            used,
            fate: Fate::Mask(mask),
            part,
        }
    }

    fn count_line(&mut self, bytes: usize) -> Part {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.line_bytes = self.line_bytes.saturating_add(bytes);
        if self.line_bytes > MAX_LINE_BYTES {
            return self.lost(Loss::BadValue);
        }
        Part::Nothing
    }

    /// A line is complete.
    fn end_line(&mut self) -> Part {
        let Number {
            negative, value, ..
        } = self.number;
        let null = negative && value == 1;
        match self.kind {
            b'$' | b'*' if null && (!self.from_client || self.open.is_empty()) => {
                self.finish_value()
            }
            _ if negative => self.lost(Loss::BadValue),
            b'$' | b'=' | b'!' => {
                if value > MAX_BULK_BYTES {
                    return self.lost(Loss::BadValue);
                }
                self.advance_bulk(value);
                Part::Nothing
            }
            b'*' | b'~' | b'>' => self.open(value, false),
            b'%' => self.open(value.saturating_mul(2), false),
            b'|' => self.open(value.saturating_mul(2), true),
            // A boolean or a number of no bytes; a null has none.
            b'#' | b':' | b',' | b'(' if self.line_bytes == 0 => self.lost(Loss::BadValue),
            _ => self.finish_value(),
        }
    }

    fn open(&mut self, left: u64, attribute: bool) -> Part {
        if left > MAX_ELEMENTS {
            return self.lost(Loss::BadValue);
        }
        if left == 0 && attribute {
            self.state = State::Start;
            return Part::Nothing;
        }
        if left == 0 {
            return self.finish_value();
        }
        if self.open.len() >= MAX_DEPTH {
            return self.lost(Loss::TooDeep);
        }
        self.open.push(Open { left, attribute });
        self.state = State::Start;
        Part::Nothing
    }

    /// What the string being read may be.
    fn slot(&self) -> Slot {
        let outer = self.open.len() <= 1;
        match (self.from_client, self.index) {
            (true, 0) => Slot::Name,
            (true, 1 | 2) if matches!(self.command, Command::Client | Command::Hello) => {
                Slot::Option
            }
            (true, index) => match Piece::of(self.command, index) {
                Some(piece) => Slot::Registration(piece),
                None => Slot::Content,
            },
            (false, 0) if outer && self.kind == b'$' => match self.outermost {
                b'*' | b'>' => Slot::Element,
                _ => Slot::Content,
            },
            _ => Slot::Content,
        }
    }

    /// A run of a bulk string's content.
    fn bulk(&mut self, left: u64, input: &[u8]) -> Step {
        let used = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let run = input.get(..used).unwrap_or_default();
        let rest = left.saturating_sub(used as u64);
        let fate = self.collect(run, rest == 0);
        self.advance_bulk(rest);
        Step {
            used,
            fate,
            part: Part::Nothing,
        }
    }

    /// `left` bytes of a bulk string are to come.
    fn advance_bulk(&mut self, left: u64) {
        if left > 0 {
            self.state = State::Bulk(left);
            return;
        }
        self.take_word();
        self.state = State::BulkReturn;
    }

    /// A value is complete, and with it those that it is the last of.
    fn finish_value(&mut self) -> Part {
        self.state = State::Start;
        loop {
            let outer = self.open.len() == 1;
            let Some(open) = self.open.last_mut() else {
                return self.finish_outermost();
            };
            open.left = open.left.saturating_sub(1);
            let (left, attribute) = (open.left, open.attribute);
            if outer {
                self.index = self.index.saturating_add(1);
            }
            if left > 0 {
                return Part::Nothing;
            }
            self.open.pop();
            if attribute {
                return Part::Nothing;
            }
        }
    }

    fn finish_outermost(&self) -> Part {
        if self.from_client {
            // Redis answers nothing to an empty request.
            return match self.index {
                0 => Part::Nothing,
                words => Part::Request(Request {
                    command: self.command,
                    arguments: words - 1,
                    option: self.option,
                }),
            };
        }
        Part::Reply(match self.outermost {
            b'-' | b'!' => Reply::Error(self.error),
            b'>' => Reply::Push(self.element),
            b'*' => Reply::Array(self.element),
            _ => Reply::Value,
        })
    }
}
