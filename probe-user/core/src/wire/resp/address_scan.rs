//! Finds the string `addr` of a JSON object (RFC 8259) while its bytes pass by: only the object's own
//! member counts, not one of an object within, and nothing else is kept.

use super::registration::MAX_ADDRESS;

/// The member looked for.
const MEMBER: &[u8] = b"addr";

/// Bytes of a value that are looked at: a registration has some hundred, with its metrics some
/// thousand.
const MAX_SCANNED: usize = 64 * 1024;

/// Objects and arrays within each other that are followed.
const MAX_DEPTH: u32 = 64;

/// A value on its way past.
#[derive(Clone, Debug, Default)]
pub(super) struct AddressScan {
    scanned: usize,
    /// Objects and arrays open.
    depth: u32,
    state: State,
    /// Member name or address being read.
    word: Vec<u8>,
    /// The word is too long, or written in a way that is not read.
    unreadable: bool,
    /// The member's name was read, and its value comes.
    is_member: bool,
    found: Option<String>,
    over: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between values; a string that comes is a member's name.
    #[default]
    Name,
    /// After a colon: a string that comes is a value.
    Value,
    InName,
    InValue,
    /// After a backslash in a name or value.
    EscapeInName,
    EscapeInValue,
}

impl AddressScan {
    /// The next bytes.
    pub(super) fn push(&mut self, run: &[u8]) {
        for byte in run {
            if self.over || self.found.is_some() {
                return;
            }
            self.scanned += 1;
            if self.scanned > MAX_SCANNED {
                self.over = true;
            }
            self.byte(*byte);
        }
    }

    /// Bytes are missing: what follows may be anything.
    pub(super) fn spoil(&mut self) {
        self.over = true;
    }

    /// The address, once the value is complete.
    pub(super) fn take(&mut self) -> Option<String> {
        std::mem::take(self).found
    }

    fn byte(&mut self, byte: u8) {
        match self.state {
            State::Name | State::Value => self.between(byte),
            State::InName | State::InValue => self.in_string(byte),
            State::EscapeInName | State::EscapeInValue => {
                // A slash may be written so; every other escape has no place in an address.
                if byte == b'/' {
                    self.keep(byte);
                } else {
                    self.unreadable = true;
                }
                self.state = if self.state == State::EscapeInName {
                    State::InName
                } else {
                    State::InValue
                };
            }
        }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.over |= self.depth > MAX_DEPTH || (self.depth == 1 && byte == b'[');
                self.is_member = false;
                self.state = State::Name;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.over |= self.depth == 0;
                self.state = State::Name;
            }
            b',' => {
                self.is_member = false;
                self.state = State::Name;
            }
            b':' => self.state = State::Value,
            b'"' => {
                self.word.clear();
                self.unreadable = false;
                self.state = if self.state == State::Name {
                    State::InName
                } else {
                    State::InValue
                };
            }
            _ => {}
        }
    }

    fn in_string(&mut self, byte: u8) {
        let is_name = self.state == State::InName;
        match byte {
            b'\\' => {
                self.state = if is_name {
                    State::EscapeInName
                } else {
                    State::EscapeInValue
                }
            }
            b'"' if is_name => {
                self.is_member = self.depth == 1 && !self.unreadable && self.word == MEMBER;
                self.state = State::Name;
            }
            b'"' => {
                if self.is_member && !self.unreadable {
                    let word = std::mem::take(&mut self.word);
                    self.found = String::from_utf8(word).ok();
                }
                self.is_member = false;
                self.state = State::Name;
            }
            byte => self.keep(byte),
        }
    }

    fn keep(&mut self, byte: u8) {
        let is_value = matches!(self.state, State::InValue | State::EscapeInValue);
        let most = match (is_value, self.is_member) {
            (true, true) => MAX_ADDRESS,
            (true, false) => 0,
            (false, _) => MEMBER.len(),
        };
        if self.word.len() < most {
            self.word.push(byte);
        } else {
            self.unreadable = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(json: &str) -> Option<String> {
        let mut whole = AddressScan::default();
        whole.push(json.as_bytes());
        let found = whole.take();
        for cut in 0..json.len() {
            let (first, second) = json.as_bytes().split_at(cut);
            let mut cut = AddressScan::default();
            cut.push(first);
            cut.push(second);
            assert_eq!(cut.take(), found);
        }
        found
    }

    #[test]
    fn address_of_the_object_itself_is_found() {
        let expected = Some("grpc://localhost:7001".to_owned());
        for json in [
            r#"{"name":"a","addr":"grpc://localhost:7001","metrics":{"x":1}}"#,
            r#"{ "capabilities" : {"addr": "no"}, "l": ["addr", {"addr":"no"}],
                "addr" : "grpc://localhost:7001" }"#,
            r#"{"addr":"grpc:\/\/localhost:7001"}"#,
            r#"{"note":"\"addr\":\"no\"","addr":"grpc://localhost:7001"}"#,
        ] {
            assert_eq!(address(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        let long = format!(r#"{{"addr":"{}"}}"#, "x".repeat(MAX_ADDRESS + 1));
        let far = format!(r#"{{"x":"{}","addr":"a"}}"#, "x".repeat(MAX_SCANNED));
        for json in [
            "",
            "{}",
            r#"["addr","a"]"#,
            r#"{"addr":7}"#,
            r#"{"addr":null,"x":"a"}"#,
            r#"{"addr":["a"]}"#,
            r#"{"x":"addr","y":"a"}"#,
            r#"{"addr":"a\u0062"}"#,
            r#"{"addrs":"a"}"#,
            r#"{"addr":"unfinished"#,
            r#"{}{"addr":"a"}"#,
            &long,
        ] {
            assert_eq!(address(json), None, "{json}");
        }
        let mut scan = AddressScan::default();
        scan.push(far.as_bytes());
        assert_eq!(scan.take(), None);
    }

    #[test]
    fn missing_bytes_leave_nothing_to_be_found() {
        let mut scan = AddressScan::default();
        scan.push(br#"{"x":"#);
        scan.spoil();
        scan.push(br#","addr":"a"}"#);
        assert_eq!(scan.take(), None);
    }
}
