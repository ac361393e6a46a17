//! A bounded string being collected, with its escapes (RFC 8259, 7).

/// What a byte did to a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It goes on.
    Open,
    /// It is complete.
    Closed,
    /// It is no JSON string.
    Bad,
}

/// The collected bytes.
#[derive(Debug, Default)]
pub(super) struct Text {
    bytes: Vec<u8>,
    /// It is longer than may be kept.
    too_long: bool,
    escape: Escape,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    None,
    /// After a backslash.
    Begun,
    /// After `\u`: digits so far and their value.
    Unicode(u8, u16),
}

impl Text {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.too_long = false;
        self.escape = Escape::None;
        self.high = None;
    }

    /// What was collected; `None` where it is too long or no UTF-8.
    pub(super) fn take(&mut self) -> Option<String> {
        if self.too_long {
            return None;
        }
        std::str::from_utf8(&self.bytes).ok().map(str::to_owned)
    }

    /// Appends a byte as it is.
    pub(super) fn push(&mut self, byte: u8, limit: usize) {
        if self.bytes.len() < limit {
            self.bytes.push(byte);
        } else {
            self.too_long = true;
        }
    }

    /// Takes a byte of a string after its opening quote.
    pub(super) fn string(&mut self, byte: u8, limit: usize) -> End {
        match self.escape {
            Escape::None => match byte {
                b'"' => {
                    self.lone(limit);
                    return End::Closed;
                }
                b'\\' => self.escape = Escape::Begun,
                _ => {
                    self.lone(limit);
                    self.push(byte, limit);
                }
            },
            Escape::Begun => {
                self.escape = Escape::None;
                let byte = match byte {
                    b'u' => {
                        self.escape = Escape::Unicode(0, 0);
                        return End::Open;
                    }
                    b'"' | b'\\' | b'/' => byte,
                    b'b' => 0x08,
                    b'f' => 0x0c,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    _ => return End::Bad,
                };
                self.lone(limit);
                self.push(byte, limit);
            }
            Escape::Unicode(digits, value) => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return End::Bad;
                };
                let value = value << 4 | digit as u16;
                self.escape = if digits < 3 {
                    Escape::Unicode(digits + 1, value)
                } else {
                    self.unit(value, limit);
                    Escape::None
                };
            }
        }
        End::Open
    }

    /// Appends a UTF-16 unit.
    fn unit(&mut self, unit: u16, limit: usize) {
        match (self.high.take(), unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                let pair = char::decode_utf16([high, unit]).next();
                self.character(pair.and_then(Result::ok), limit);
            }
            (high, 0xd800..=0xdbff) => {
                if high.is_some() {
                    self.character(None, limit);
                }
                self.high = Some(unit);
            }
            (high, _) => {
                if high.is_some() {
                    self.character(None, limit);
                }
                self.character(char::from_u32(u32::from(unit)), limit);
            }
        }
    }

    /// The first half of a pair that has no second one.
    fn lone(&mut self, limit: usize) {
        if self.high.take().is_some() {
            self.character(None, limit);
        }
    }

    fn character(&mut self, character: Option<char>, limit: usize) {
        let mut buffer = [0; 4];
        let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
        for byte in character.encode_utf8(&mut buffer).bytes() {
            self.push(byte, limit);
        }
    }
}
