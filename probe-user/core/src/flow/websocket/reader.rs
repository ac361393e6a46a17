//! Messages of one direction, from their frames' payload to what the profile can read of them.

use super::budget::{InflaterBudget, Lease};
use crate::flow::{Problem, Sink};
use crate::profile::WebSocketProfile;
use crate::record::{SocketMessage, SocketMessageForm};
use crate::wire::websocket::{InflateError, Inflater, Opcode, Payload, Scanner};

/// Reads the messages of one direction.
pub(super) struct Reader {
    window: Window,
    /// Each message is compressed by itself: what was lost before does not matter.
    independent: bool,
    scanner: Scanner,
    form: SocketMessageForm,
    mode: Mode,
}

/// What earlier compressed messages left behind (RFC 7692, 7.2).
enum Window {
    /// Nothing: the next compressed message is the first one.
    Fresh,
    Open(Box<(Inflater, Lease)>),
    /// Some of it is not known: compressed messages cannot be read any more.
    Lost,
}

/// How the current message is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Not at all.
    Pass,
    Scan,
    /// Inflated for the window's sake, and scanned where it is text.
    Inflate,
}

impl Reader {
    /// A reader of a direction from its first message on.
    pub(super) fn from_start(independent: bool) -> Self {
        Self {
            window: Window::Fresh,
            independent,
            scanner: Scanner::default(),
            form: SocketMessageForm::Unknown,
            mode: Mode::Pass,
        }
    }

    /// A reader of a direction whose earlier messages are not known.
    pub(super) fn late(independent: bool) -> Self {
        Self {
            window: Window::Lost,
            ..Self::from_start(independent)
        }
    }

    /// Messages were lost.
    pub(super) fn lose(&mut self) {
        self.window = Window::Lost;
        self.mode = Mode::Pass;
    }

    /// A message begins. `readable` where no extension that is not known here changes it.
    pub(super) fn start(
        &mut self,
        opcode: Opcode,
        compressed: bool,
        readable: bool,
        budget: &InflaterBudget,
        sink: &mut dyn Sink,
    ) {
        self.form = match opcode {
            Opcode::Text => SocketMessageForm::Text,
            Opcode::Binary => SocketMessageForm::Binary,
            _ => SocketMessageForm::Unknown,
        };
        self.scanner.reset();
        let known = readable && self.form != SocketMessageForm::Unknown;
        self.mode = match known {
            true if compressed && self.open(budget, sink) => Mode::Inflate,
            true if !compressed && self.form == SocketMessageForm::Text => Mode::Scan,
            _ => Mode::Pass,
        };
        let read = self.mode != Mode::Pass || (known && !compressed);
        if !read {
            self.scanner.cut();
        }
    }

    /// Makes an inflater ready; false where the message cannot be inflated.
    fn open(&mut self, budget: &InflaterBudget, sink: &mut dyn Sink) -> bool {
        match &self.window {
            Window::Open(_) => return true,
            Window::Lost if !self.independent => return false,
            Window::Fresh | Window::Lost => {}
        }
        let Some(lease) = budget.lease() else {
            sink.problem(Problem::TooManyInflaters);
            self.window = Window::Lost;
            return false;
        };
        self.window = Window::Open(Box::new((Inflater::default(), lease)));
        true
    }

    /// Bytes of the message.
    pub(super) fn payload(
        &mut self,
        payload: Payload<'_>,
        profile: &WebSocketProfile,
        sink: &mut dyn Sink,
    ) {
        let scanner = &mut self.scanner;
        match (self.mode, &mut self.window) {
            (Mode::Scan, _) => payload.for_each(|bytes| scanner.push(profile, bytes)),
            (Mode::Inflate, Window::Open(open)) => {
                let text = self.form == SocketMessageForm::Text;
                let mut outcome = Ok(());
                payload.for_each(|bytes| {
                    if outcome.is_ok() {
                        outcome = open.0.push(bytes, &mut |inflated| {
                            if text {
                                scanner.push(profile, inflated);
                            }
                        });
                    }
                });
                if let Err(error) = outcome {
                    self.give_up(error, sink);
                }
            }
            (Mode::Pass | Mode::Inflate, _) => {}
        }
    }

    /// Bytes of the message are missing.
    pub(super) fn hole(&mut self) {
        self.scanner.cut();
        if self.mode == Mode::Inflate {
            self.lose();
        }
    }

    /// The message is complete.
    pub(super) fn finish(
        &mut self,
        profile: &WebSocketProfile,
        sink: &mut dyn Sink,
    ) -> SocketMessage {
        if let (Mode::Inflate, Window::Open(open)) = (self.mode, &mut self.window) {
            let text = self.form == SocketMessageForm::Text;
            let scanner = &mut self.scanner;
            let outcome = open.0.finish(&mut |inflated| {
                if text {
                    scanner.push(profile, inflated);
                }
            });
            let over = open.0.is_over();
            if let Err(error) = outcome {
                self.give_up(error, sink);
            } else if over {
                self.window = Window::Lost;
            }
        }
        self.mode = Mode::Pass;
        SocketMessage {
            form: self.form,
            ..self.scanner.finish()
        }
    }

    fn give_up(&mut self, error: InflateError, sink: &mut dyn Sink) {
        sink.problem(match error {
            InflateError::BadData => Problem::BadDeflate,
            InflateError::TooLong => Problem::MessageTooLong,
        });
        self.scanner.cut();
        self.lose();
    }
}
