//! The frame parser of one direction.

use super::header::{FrameHeader, MAX_HEADER_BYTES, Opcode};
use super::part::{Loss, Part, Payload, Step};

/// Parser of one direction. Call [`Parser::step`] until it gives `None`, then come with more bytes.
/// It keeps a header at most: payload is handed on as it comes.
#[derive(Debug)]
pub struct Parser {
    from_client: bool,
    state: State,
    octets: [u8; MAX_HEADER_BYTES],
    have: usize,
    frame: FrameHeader,
    /// Bytes of the current payload to come.
    left: u64,
    message: Message,
    /// Status code of a Close frame, and how many octets of it were read; more than two where one
    /// is missing.
    code: [u8; 2],
    code_octets: u8,
    /// Frames that fit what came before them, since the framing was taken up.
    frames: u32,
    /// A header was read.
    begun: bool,
    /// Lengths must be minimal: the framing is not proven.
    strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Payload,
    Lost,
}

/// The message that frames belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    None,
    Open,
    /// Its first frame was not seen.
    Unseen,
    /// The framing was taken up: a message may have begun before.
    Unknown,
}

impl Parser {
    /// A parser for a direction whose next byte is the first after the handshake.
    pub fn from_start(from_client: bool) -> Self {
        Self {
            from_client,
            state: State::Header,
            octets: [0; MAX_HEADER_BYTES],
            have: 0,
            frame: FrameHeader::default(),
            left: 0,
            message: Message::None,
            code: [0; 2],
            code_octets: 0,
            frames: 0,
            begun: false,
            strict: false,
        }
    }

    /// A parser for a direction whose next byte may start a frame.
    pub fn resume(from_client: bool) -> Self {
        Self {
            message: Message::Unknown,
            strict: true,
            ..Self::from_start(from_client)
        }
    }

    /// The framing is proven.
    pub fn trust(&mut self) {
        self.strict = false;
    }

    /// Whether the framing is lost.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Frames since the framing was taken up that speak for it: continuations of a message that
    /// was not seen to begin do not, nor do empty frames of a message that goes on.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Whether no frame was read yet.
    pub fn is_fresh(&self) -> bool {
        self.is_between_frames() && !self.begun
    }

    /// Whether the next byte starts a frame.
    pub fn is_between_frames(&self) -> bool {
        self.state == State::Header && self.have == 0
    }

    /// Whether a frame or a message has begun and is not complete.
    pub fn is_inside(&self) -> bool {
        let inside = !self.is_between_frames() || matches!(self.message, Message::Open);
        inside && !self.is_lost()
    }

    /// Consumes a run of `input`; `None` when it is used up, or when the framing is lost.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Option<Step<'a>> {
        if self.state == State::Payload && self.left == 0 {
            let part = self.finish();
            return Some(Step { used: 0, part });
        }
        if input.is_empty() {
            return None;
        }
        match self.state {
            State::Lost => None,
            State::Header => {
                let used = self.collect(input);
                let part = if self.is_header_complete() {
                    self.begin()
                } else {
                    Part::Nothing
                };
                Some(Step { used, part })
            }
            State::Payload => Some(self.payload(input)),
        }
    }

    /// Consumes a run of a hole of `length` bytes; `None` when it is used up or the framing lost.
    pub fn step_hole(&mut self, length: u64) -> Option<(u64, Part<'static>)> {
        if self.state == State::Payload && self.left == 0 {
            return Some((0, self.finish()));
        }
        if length == 0 || self.is_lost() {
            return None;
        }
        if self.state == State::Header || length > self.left {
            return Some((length, self.lose(Loss::Hole)));
        }
        self.left -= length;
        if !self.frame.opcode.is_control() {
            return Some((length, Part::PayloadHole));
        }
        if self.code_octets < 2 {
            self.code_octets = u8::MAX;
        }
        Some((length, Part::Nothing))
    }

    fn lose(&mut self, loss: Loss) -> Part<'static> {
        self.state = State::Lost;
        Part::Lost(loss)
    }

    fn header_size(&self) -> usize {
        match self.octets.get(1) {
            Some(second) if self.have > 1 => FrameHeader::size(*second),
            _ => 2,
        }
    }

    fn is_header_complete(&self) -> bool {
        self.have >= 2 && self.have == self.header_size()
    }

    /// Fills the header; the bytes consumed.
    fn collect(&mut self, input: &[u8]) -> usize {
        let mut used = 0;
        for octet in input {
            if self.is_header_complete() {
                break;
            }
            if let Some(place) = self.octets.get_mut(self.have) {
                *place = *octet;
            }
            self.have += 1;
            used += 1;
        }
        used
    }

    /// A header is complete.
    fn begin(&mut self) -> Part<'static> {
        let octets = self.octets.get(..self.have).unwrap_or_default();
        let fits = |frame: &FrameHeader| {
            // Clients mask, servers do not (RFC 6455, 5.1).
            frame.key.is_some() == self.from_client && (frame.minimal || !self.strict)
        };
        let Some(frame) = FrameHeader::parse(octets).filter(fits) else {
            return self.lose(Loss::BadFrame);
        };
        self.begun = true;
        self.frame = frame;
        self.left = frame.length;
        self.have = 0;
        self.code_octets = 0;
        self.state = State::Payload;
        let start = Part::MessageStart {
            opcode: frame.opcode,
            compressed: frame.rsv1,
        };
        let (message, part) = match (frame.opcode, self.message) {
            (Opcode::Ping | Opcode::Pong | Opcode::Close, before) => (before, Part::Nothing),
            (Opcode::Continuation, Message::Open) => (Message::Open, Part::Nothing),
            (Opcode::Continuation, Message::Unseen) => (Message::Unseen, Part::Nothing),
            (Opcode::Continuation, Message::Unknown) => (Message::Unseen, start),
            (_, Message::None | Message::Unknown) if frame.opcode != Opcode::Continuation => {
                (Message::Open, start)
            }
            _ => return self.lose(Loss::BadFrame),
        };
        self.message = message;
        // Zeros are empty frames, which nobody sends.
        let empty = !frame.fin && frame.length == 0;
        if !empty && message != Message::Unseen {
            self.frames = self.frames.saturating_add(1);
        }
        part
    }

    fn payload<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let used = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
        let bytes = input.get(..used).unwrap_or_default();
        let consumed = self.frame.length - self.left;
        let key = self.frame.key.map(|mut key| {
            key.rotate_left((consumed % 4) as usize);
            key
        });
        self.left -= used as u64;
        let payload = Payload { bytes, key };
        if !self.frame.opcode.is_control() {
            let part = Part::Payload(payload);
            return Step { used, part };
        }
        if self.frame.opcode == Opcode::Close {
            payload.for_each(|bytes| self.status_code(bytes));
        }
        let part = Part::Nothing;
        Step { used, part }
    }

    fn status_code(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.code.get_mut(usize::from(self.code_octets)) {
                Some(place) => *place = *byte,
                None => return,
            }
            self.code_octets += 1;
        }
    }

    /// A frame is complete.
    fn finish(&mut self) -> Part<'static> {
        self.state = State::Header;
        self.have = 0;
        match self.frame.opcode {
            Opcode::Ping => Part::Ping,
            Opcode::Pong => Part::Pong,
            Opcode::Close => Part::Close {
                code: (self.code_octets == 2).then(|| u16::from_be_bytes(self.code)),
            },
            Opcode::Continuation | Opcode::Text | Opcode::Binary if self.frame.fin => {
                self.message = Message::None;
                Part::MessageEnd
            }
            Opcode::Continuation | Opcode::Text | Opcode::Binary => Part::Nothing,
        }
    }
}
