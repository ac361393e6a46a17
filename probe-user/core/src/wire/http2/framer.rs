//! The frame parser of one direction.

use super::PREFACE;
use super::header::{FrameHeader, HEADER_BYTES, MAX_HEADER_BLOCK_BYTES, flag, kind, setting};
use super::part::{Loss, Part, Step};
use super::resync::Search;

/// Parser of one direction. Call [`Framer::step`] until it gives `None`, then come with more bytes.
#[derive(Debug)]
pub struct Framer {
    from_client: bool,
    state: State,
    frame: FrameHeader,
    /// Bytes of the current payload to come, padding included.
    left: u32,
    /// Bytes of padding at its end.
    padding: u32,
    /// A header, a setting or another small fixed part being collected.
    octets: [u8; HEADER_BYTES],
    have: usize,
    /// The header block being collected: its frames must follow each other (RFC 9113, 4.3).
    open: Option<OpenBlock>,
    block: Vec<u8>,
    /// Bytes of the block in the last run that was consumed.
    tail: usize,
    search: Search,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preface(usize),
    Header,
    PadLength,
    /// Fields before a header block that nobody needs: priority, promised stream.
    BlockPrefix(u32),
    Block,
    Data,
    /// A part of fixed size: error code, setting, last stream.
    Fixed(usize),
    /// The rest of the payload; whether it is fit to be kept.
    Rest(bool),
    Lost,
}

#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    stream: u32,
    end_stream: bool,
    /// Some of it is missing, or it is too long.
    lost: bool,
    /// It belongs to a promise: it counts for the table only.
    promise: bool,
}

impl Framer {
    /// A parser for a direction seen from its first byte.
    pub fn from_start(from_client: bool) -> Self {
        let state = if from_client {
            State::Preface(0)
        } else {
            State::Header
        };
        Self {
            from_client,
            state,
            frame: FrameHeader::default(),
            left: 0,
            padding: 0,
            octets: [0; HEADER_BYTES],
            have: 0,
            open: None,
            block: Vec::new(),
            tail: 0,
            search: Search::new(from_client),
        }
    }

    /// A parser for a direction joined late.
    pub fn late(from_client: bool) -> Self {
        Self {
            state: State::Lost,
            ..Self::from_start(from_client)
        }
    }

    /// Whether the framing is lost.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Whether a frame, a header block or the preface has begun and is not complete.
    pub fn is_inside(&self) -> bool {
        match self.state {
            State::Lost => false,
            State::Preface(seen) => seen > 0,
            State::Header => self.have > 0 || self.open.is_some(),
            _ => true,
        }
    }

    /// Looks for the framing in a push, while it is lost: where frames can be read from.
    pub fn search(&mut self, bytes: &[u8]) -> Option<usize> {
        self.search.push(bytes)
    }

    /// Bytes are missing while the framing is lost.
    pub fn search_hole(&mut self, length: u64) {
        self.search.hole(length);
    }

    /// The next byte starts a frame, or the preface.
    pub fn resume(&mut self, at_preface: bool) {
        self.state = if at_preface {
            State::Preface(0)
        } else {
            State::Header
        };
        self.have = 0;
        self.open = None;
        self.search = Search::new(self.from_client);
    }

    /// Consumes a run of `input`; `None` when it is used up, or when the framing is lost.
    #[inline]
    pub fn step<'a>(&'a mut self, input: &'a [u8]) -> Option<Step<'a>> {
        if self.settles() {
            let part = self.settle();
            return Some(Step {
                used: 0,
                keep: true,
                part,
            });
        }
        if input.is_empty() {
            return None;
        }
        let content = self.left.saturating_sub(self.padding);
        let (used, keep, part) = match self.state {
            State::Lost => return None,
            State::Preface(seen) => self.preface(seen, input),
            State::Header => {
                let used = self.collect(input, HEADER_BYTES);
                let part = if self.have == HEADER_BYTES {
                    self.begin()
                } else {
                    Part::Nothing
                };
                (used, true, part)
            }
            State::PadLength => (1, true, self.pad_length(input.first().copied())),
            State::BlockPrefix(octets) => {
                let used = octets.min(input.len() as u32);
                self.left -= used;
                self.state = match octets - used {
                    0 => State::Block,
                    rest => State::BlockPrefix(rest),
                };
                (used as usize, true, Part::Nothing)
            }
            State::Block => return Some(self.block(content, input)),
            State::Data => {
                let bytes = input.get(..content as usize).unwrap_or(input);
                self.left -= bytes.len() as u32;
                self.end_data();
                let part = Part::Data {
                    stream: self.frame.stream,
                    bytes,
                };
                (bytes.len(), false, part)
            }
            State::Fixed(size) => {
                let used = self.collect(input, size);
                self.left -= used as u32;
                let part = if self.have == size {
                    self.fixed()
                } else {
                    Part::Nothing
                };
                (used, true, part)
            }
            State::Rest(keep) => {
                let used = self.left.min(input.len() as u32);
                self.left -= used;
                (used as usize, keep, Part::Nothing)
            }
        };
        Some(Step { used, keep, part })
    }

    /// Consumes a run of a hole of `length` bytes; `None` when it is used up or the framing lost.
    #[inline]
    pub fn step_hole(&mut self, length: u64) -> Option<(u64, Part<'_>)> {
        if self.settles() {
            return Some((0, self.settle()));
        }
        if length == 0 || self.is_lost() {
            return None;
        }
        let inside = !matches!(self.state, State::Header | State::Preface(_));
        if !inside || length > u64::from(self.left) {
            self.state = State::Lost;
            return Some((length, Part::Lost(Loss::Hole)));
        }
        let stream = self.frame.stream;
        match self.state {
            State::Data => {
                let content = u64::from(self.left.saturating_sub(self.padding));
                let used = length.min(content) as u32;
                self.left -= used;
                self.end_data();
                let part = Part::DataHole {
                    stream,
                    length: used,
                };
                Some((u64::from(used), part))
            }
            State::PadLength if self.frame.kind == kind::DATA => {
                self.state = State::Rest(false);
                let charge = self.frame.length;
                Some((0, Part::DataLost { stream, charge }))
            }
            State::PadLength | State::BlockPrefix(_) | State::Block => {
                if let Some(open) = &mut self.open {
                    open.lost = true;
                }
                self.state = State::Block;
                self.left -= length as u32;
                self.padding = self.padding.min(self.left);
                Some((length, Part::Nothing))
            }
            State::Fixed(_) => {
                self.state = State::Rest(false);
                let part = match self.frame.kind {
                    kind::RST_STREAM => Part::Reset { stream, code: None },
                    kind::SETTINGS => Part::SettingsLost,
                    kind::WINDOW_UPDATE => Part::WindowUpdate {
                        stream,
                        bytes: None,
                    },
                    _ => Part::Nothing,
                };
                Some((0, part))
            }
            State::Rest(_) | State::Lost | State::Header | State::Preface(_) => {
                self.left -= length as u32;
                Some((length, Part::Nothing))
            }
        }
    }

    /// Ends a DATA frame that nothing follows; others are settled.
    #[inline]
    fn end_data(&mut self) {
        if self.left == 0 && !self.frame.has(flag::END_STREAM) {
            self.state = State::Header;
            self.have = 0;
        }
    }

    /// Whether the current state ends without another byte.
    fn settles(&self) -> bool {
        match self.state {
            State::Block | State::Data => self.left <= self.padding,
            State::Rest(_) => self.left == 0,
            _ => false,
        }
    }

    fn settle(&mut self) -> Part<'_> {
        match self.state {
            State::Block => {
                self.state = State::Rest(false);
                if self.frame.has(flag::END_HEADERS) {
                    return self.end_block();
                }
            }
            // Padding follows.
            State::Data if self.left > 0 => self.state = State::Rest(false),
            _ => {
                self.state = State::Header;
                self.have = 0;
                if self.frame.kind == kind::DATA && self.frame.has(flag::END_STREAM) {
                    return Part::EndStream {
                        stream: self.frame.stream,
                    };
                }
            }
        }
        Part::Nothing
    }

    fn lose(&mut self, loss: Loss) -> Part<'static> {
        self.state = State::Lost;
        Part::Lost(loss)
    }

    fn preface(&mut self, seen: usize, input: &[u8]) -> (usize, bool, Part<'static>) {
        let expected = PREFACE.get(seen..).unwrap_or_default();
        let used = expected.len().min(input.len());
        if expected.get(..used) != input.get(..used) {
            return (used, false, self.lose(Loss::BadPreface));
        }
        self.state = if used == expected.len() {
            State::Header
        } else {
            State::Preface(seen + used)
        };
        self.have = 0;
        (used, true, Part::Nothing)
    }

    /// Fills `octets` up to `size`; the bytes consumed.
    fn collect(&mut self, input: &[u8], size: usize) -> usize {
        let before = self.have;
        if let (0, HEADER_BYTES, Some(octets)) = (before, size, input.first_chunk()) {
            self.octets = *octets;
            self.have = HEADER_BYTES;
            return HEADER_BYTES;
        }
        let room = self.octets.iter_mut().take(size).skip(before);
        for (place, octet) in room.zip(input) {
            *place = *octet;
            self.have += 1;
        }
        self.have - before
    }

    /// A frame header is complete.
    fn begin(&mut self) -> Part<'static> {
        let frame = FrameHeader::parse(&self.octets);
        let continues =
            |open: OpenBlock| frame.kind == kind::CONTINUATION && frame.stream == open.stream;
        if !frame.is_valid() || self.open.is_some_and(|open| !continues(open)) {
            return self.lose(Loss::BadFrame);
        }
        self.frame = frame;
        self.left = frame.length;
        self.padding = 0;
        self.have = 0;
        self.tail = 0;
        match frame.kind {
            kind::HEADERS | kind::PUSH_PROMISE => self.open_block(false),
            // The frame before it is missing.
            kind::CONTINUATION if self.open.is_none() => self.open_block(true),
            _ => {}
        }
        let padded = matches!(frame.kind, kind::DATA | kind::HEADERS | kind::PUSH_PROMISE)
            && frame.has(flag::PADDED);
        if !padded {
            return self.payload();
        }
        if frame.length == 0 {
            return self.lose(Loss::BadFrame);
        }
        self.state = State::PadLength;
        Part::Nothing
    }

    fn open_block(&mut self, lost: bool) {
        self.block.clear();
        self.open = Some(OpenBlock {
            stream: self.frame.stream,
            end_stream: self.frame.kind == kind::HEADERS && self.frame.has(flag::END_STREAM),
            lost,
            promise: self.frame.kind == kind::PUSH_PROMISE,
        });
    }

    fn pad_length(&mut self, octet: Option<u8>) -> Part<'static> {
        self.left = self.left.saturating_sub(1);
        self.padding = u32::from(octet.unwrap_or_default());
        if self.padding > self.left {
            return self.lose(Loss::BadFrame);
        }
        self.payload()
    }

    /// The payload proper starts.
    fn payload(&mut self) -> Part<'static> {
        let prefix = match self.frame.kind {
            kind::HEADERS if self.frame.has(flag::PRIORITY) => 5,
            kind::PUSH_PROMISE => 4,
            _ => 0,
        };
        if prefix > self.left - self.padding {
            return self.lose(Loss::BadFrame);
        }
        self.state = match self.frame.kind {
            kind::DATA => State::Data,
            kind::HEADERS | kind::PUSH_PROMISE if prefix > 0 => State::BlockPrefix(prefix),
            kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION => State::Block,
            kind::RST_STREAM | kind::WINDOW_UPDATE => State::Fixed(4),
            kind::SETTINGS if self.left > 0 => State::Fixed(setting::BYTES),
            kind::GOAWAY => State::Fixed(8),
            kind::PING | kind::PRIORITY => State::Rest(true),
            _ => State::Rest(false),
        };
        if self.frame.kind == kind::DATA {
            return Part::DataStart {
                stream: self.frame.stream,
                length: self.left - self.padding,
                charge: self.frame.length,
            };
        }
        Part::Nothing
    }

    fn block<'a>(&'a mut self, content: u32, input: &'a [u8]) -> Step<'a> {
        let bytes = input.get(..content as usize).unwrap_or(input);
        let used = bytes.len();
        self.left -= used as u32;
        self.tail = used;
        let lost = self.open.is_none_or(|open| open.lost);
        let whole = used == content as usize && self.frame.has(flag::END_HEADERS);
        if whole && !lost && self.block.is_empty() {
            self.state = State::Rest(false);
            let part = self
                .open
                .take()
                .map_or(Part::Nothing, |open| Part::Headers {
                    stream: (!open.promise).then_some(open.stream),
                    end_stream: open.end_stream,
                    block: bytes,
                    tail: used,
                });
            return Step {
                used,
                keep: true,
                part,
            };
        }
        if !lost {
            if self.block.len() + used > MAX_HEADER_BLOCK_BYTES as usize {
                self.block.clear();
                if let Some(open) = &mut self.open {
                    open.lost = true;
                }
            } else {
                self.block.extend_from_slice(bytes);
            }
        }
        Step {
            used,
            keep: !lost,
            part: Part::Nothing,
        }
    }

    fn end_block(&mut self) -> Part<'_> {
        let Some(open) = self.open.take() else {
            return Part::Nothing;
        };
        let stream = (!open.promise).then_some(open.stream);
        let end_stream = open.end_stream;
        if open.lost {
            Part::HeadersLost { stream, end_stream }
        } else {
            Part::Headers {
                stream,
                end_stream,
                block: &self.block,
                tail: self.tail,
            }
        }
    }

    /// A part of fixed size is complete.
    fn fixed(&mut self) -> Part<'static> {
        self.have = 0;
        let [o0, o1, o2, o3, o4, o5, ..] = self.octets;
        let first = u32::from_be_bytes([o0, o1, o2, o3]);
        self.state = State::Rest(false);
        match self.frame.kind {
            kind::RST_STREAM => Part::Reset {
                stream: self.frame.stream,
                code: Some(first),
            },
            kind::GOAWAY => Part::GoAway {
                last_stream: first & 0x7fff_ffff,
            },
            kind::WINDOW_UPDATE => Part::WindowUpdate {
                stream: self.frame.stream,
                bytes: Some(first & 0x7fff_ffff),
            },
            _ => {
                if self.left > 0 {
                    self.state = State::Fixed(setting::BYTES);
                }
                let value = u32::from_be_bytes([o2, o3, o4, o5]);
                match u16::from_be_bytes([o0, o1]) {
                    setting::HEADER_TABLE_SIZE => Part::TableSize(value),
                    setting::INITIAL_WINDOW_SIZE => Part::InitialWindow(value),
                    _ => Part::Nothing,
                }
            }
        }
    }
}
