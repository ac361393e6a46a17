//! Members with a role of one JSON object (RFC 8259), read as its bytes come.
//!
//! Takes a message in runs cut anywhere. Values of members with a role are kept, at most
//! [`SocketMessage::MAX_TEXT`] bytes each; audio, text and everything else is passed over as it comes.
//! Nesting is counted, without recursion or stack. Of a member that occurs twice the last one stands,
//! as in Python and JavaScript.

mod string;

use crate::profile::{MAX_NAME_BYTES, MemberRole, WebSocketProfile};
use crate::record::{Readability, SocketMessage};
use string::{End, Text};

/// Bytes of a number, `true`, `false` or `null`: the longest 64-bit number in any usual form.
const MAX_LITERAL_BYTES: usize = 32;

/// Reads one message at a time.
#[derive(Debug, Default)]
pub struct Scanner {
    state: State,
    /// Name or value being collected.
    text: Text,
    /// Role of the member being read.
    role: Option<MemberRole>,
    message: SocketMessage,
    /// Bytes of the message are missing.
    cut: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the object.
    #[default]
    Before,
    /// After its `{`.
    FirstName,
    /// After a comma.
    NextName,
    Name,
    Colon,
    Value,
    /// A string whose member has a role.
    Text,
    /// A string that nobody needs; whether the next byte is escaped.
    Skip(bool),
    Literal,
    /// An array or object in the object.
    Nested {
        depth: u64,
        string: bool,
        escaped: bool,
    },
    /// After a value.
    After,
    /// After the object.
    Done,
    /// It is no JSON object.
    Invalid,
}

impl Scanner {
    /// A message begins.
    pub fn reset(&mut self) {
        self.state = State::Before;
        self.role = None;
        self.message = SocketMessage::default();
        self.cut = false;
    }

    /// Bytes of the message are missing: what follows them cannot be understood.
    pub fn cut(&mut self) {
        self.cut = true;
    }

    /// Takes the next run of the message.
    pub fn push(&mut self, profile: &WebSocketProfile, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.cut && self.state != State::Invalid {
            let Some((&byte, after)) = rest.split_first() else {
                return;
            };
            let used = match self.state {
                State::Skip(false) => self.skip(rest),
                State::Literal => self.literal(byte),
                _ => {
                    self.byte(profile, byte);
                    1
                }
            };
            rest = if used == 1 {
                after
            } else {
                rest.get(used..).unwrap_or_default()
            };
        }
    }

    /// The message is complete: what was read of it. What is no JSON object has no members.
    pub fn finish(&mut self) -> SocketMessage {
        let mut message = std::mem::take(&mut self.message);
        if self.cut {
            message.readability = Readability::Partly;
            return message;
        }
        if self.state != State::Done {
            message = SocketMessage::default();
        }
        message.readability = Readability::Whole;
        message
    }

    /// Passes over a string; the bytes consumed.
    fn skip(&mut self, rest: &[u8]) -> usize {
        let Some(at) = memchr::memchr2(b'"', b'\\', rest) else {
            return rest.len();
        };
        self.state = if rest.get(at) == Some(&b'"') {
            State::After
        } else {
            State::Skip(true)
        };
        at + 1
    }

    /// One byte of a number or word, or the byte behind it; the bytes consumed.
    fn literal(&mut self, byte: u8) -> usize {
        if !matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n') {
            self.text.push(byte, MAX_LITERAL_BYTES);
            return 1;
        }
        self.state = State::After;
        if let Some(role) = self.role {
            let value = self.text.take().map(Value::Literal);
            store(&mut self.message, role, value);
        }
        0
    }

    fn byte(&mut self, profile: &WebSocketProfile, byte: u8) {
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        self.state = match self.state {
            State::Before | State::FirstName | State::NextName | State::Colon | State::Value
                if space =>
            {
                self.state
            }
            State::After | State::Done if space => self.state,
            State::Before if byte == b'{' => State::FirstName,
            State::FirstName if byte == b'}' => State::Done,
            State::FirstName | State::NextName if byte == b'"' => {
                self.text.clear();
                State::Name
            }
            State::Name => match self.text.string(byte, MAX_NAME_BYTES) {
                End::Open => State::Name,
                End::Closed => {
                    let name = self.text.take();
                    self.role = name.and_then(|name| profile.member(name.as_bytes()));
                    State::Colon
                }
                End::Bad => State::Invalid,
            },
            State::Colon if byte == b':' => State::Value,
            State::Value => self.value(byte),
            State::Text => match self.text.string(byte, SocketMessage::MAX_TEXT) {
                End::Open => State::Text,
                End::Closed => {
                    if let Some(role) = self.role {
                        let value = self.text.take().map(Value::Text);
                        store(&mut self.message, role, value);
                    }
                    State::After
                }
                End::Bad => State::Invalid,
            },
            State::Skip(_) => State::Skip(false),
            State::Nested {
                depth,
                string,
                escaped,
            } => nested(depth, string, escaped, byte),
            State::After if byte == b',' => State::NextName,
            State::After if byte == b'}' => State::Done,
            _ => State::Invalid,
        };
    }

    /// The first byte of a value.
    fn value(&mut self, byte: u8) -> State {
        self.text.clear();
        match byte {
            b'"' if self.role.is_some() => State::Text,
            b'"' => State::Skip(false),
            b'{' | b'[' => {
                if let Some(role) = self.role {
                    store(&mut self.message, role, None);
                }
                nested(0, false, false, byte)
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.text.push(byte, MAX_LITERAL_BYTES);
                State::Literal
            }
            _ => State::Invalid,
        }
    }
}

/// One byte inside an array or object. Which bracket closes which is not looked at.
fn nested(depth: u64, string: bool, escaped: bool, byte: u8) -> State {
    let (mut depth, mut string, was_escaped) = (depth, string, escaped);
    let mut escaped = false;
    match byte {
        _ if was_escaped => {}
        b'\\' if string => escaped = true,
        b'"' => string = !string,
        _ if string => {}
        b'{' | b'[' => depth = depth.saturating_add(1),
        b'}' | b']' => depth = depth.saturating_sub(1),
        _ => {}
    }
    if depth == 0 {
        return State::After;
    }
    State::Nested {
        depth,
        string,
        escaped,
    }
}

/// A value of a member with a role.
enum Value {
    Text(String),
    Literal(String),
}

impl Value {
    /// A string, or a number as it was written.
    fn text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            Self::Literal(text) => text
                .starts_with(|first: char| first == '-' || first.is_ascii_digit())
                .then_some(text),
        }
    }

    /// A number without a fraction.
    fn integer(&self) -> Option<i64> {
        /// Highest integer below which a 64-bit float has every one.
        const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
        let Self::Literal(text) = self else {
            return None;
        };
        text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            (number.fract() == 0.0 && number.abs() <= MAX_EXACT).then_some(number as i64)
        })
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Literal(text) if text == "true" => Some(true),
            Self::Literal(text) if text == "false" => Some(false),
            Self::Literal(_) | Self::Text(_) => None,
        }
    }
}

/// Keeps a member's value; `None` for one that is too long or of no use.
fn store(message: &mut SocketMessage, role: MemberRole, value: Option<Value>) {
    match role {
        MemberRole::Type => message.kind = value.and_then(Value::text),
        MemberRole::SessionId => message.session = value.and_then(Value::text),
        MemberRole::ModelId => message.model = value.and_then(Value::text),
        MemberRole::Command => message.command = value.and_then(Value::text),
        MemberRole::Code => message.code = value.and_then(Value::text),
        MemberRole::Reason => message.reason = value.and_then(Value::text),
        MemberRole::Final => message.is_final = value.and_then(|value| value.boolean()),
        MemberRole::Sequence => message.sequence = value.and_then(|value| value.integer()),
        MemberRole::FrameDurationMs => {
            message.duration_ms = value.and_then(|value| value.integer());
        }
    }
}

#[cfg(test)]
mod tests;
