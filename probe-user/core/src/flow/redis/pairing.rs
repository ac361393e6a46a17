//! Which reply answers which request.

use std::collections::VecDeque;

use super::Exchange;
use crate::flow::sink::{Problem, Sink};
use crate::record::KtimeNs;
use crate::wire::resp::{Command, Element, Reply, Request, RequestOption};

/// Commands of one connection that wait for their answers. Pipelines are some hundred deep; each
/// takes 24 bytes.
const MAX_PENDING: usize = 16_384;

/// Replies held because their requests did not come yet: another CPU's record may be on its way.
const MAX_EARLY: usize = 16_384;

/// How long a command may stay unanswered, in nanoseconds, before it counts as timed out. Clients
/// wait between one and some seconds; commands that wait by themselves are exempt.
pub(super) const REPLY_LIMIT_NS: u64 = 5_000_000_000;

/// The commands of one connection that wait for their answers.
#[derive(Debug)]
pub(super) struct Pairing {
    phase: Phase,
    pending: VecDeque<Pending>,
    early: VecDeque<(KtimeNs, Reply)>,
    silence: Silence,
    resp3: bool,
    /// It may be told what is published.
    subscribed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    command: Command,
    asked: KtimeNs,
    /// Confirmations to come, of commands that have several.
    confirmations: u32,
    timed_out: bool,
}

/// What can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Which reply belongs to which request.
    Paired,
    /// Not that.
    Unpaired,
    /// What follows are no replies any more (`MONITOR`, replication).
    Over,
}

/// `CLIENT REPLY`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    None,
    /// The next command is not answered.
    Next,
    /// No command is.
    All,
}

impl Pairing {
    pub(super) fn new(paired: bool) -> Self {
        Self {
            phase: if paired {
                Phase::Paired
            } else {
                Phase::Unpaired
            },
            pending: VecDeque::new(),
            early: VecDeque::new(),
            silence: Silence::None,
            resp3: false,
            subscribed: !paired,
        }
    }

    pub(super) fn is_paired(&self) -> bool {
        self.phase == Phase::Paired
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether nothing that follows is a request or a reply.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Nothing is under way: the next reply answers the next request.
    pub(super) fn restart(&mut self) {
        self.phase = Phase::Paired;
        self.silence = Silence::None;
        // A subscription may have been made meanwhile.
        self.subscribed = true;
    }

    /// Bytes are missing: nothing tells any more which reply belongs to which request.
    pub(super) fn lose(&mut self, sink: &mut dyn Sink) {
        self.phase = Phase::Unpaired;
        self.early.clear();
        for _ in self.pending.drain(..) {
            sink.redis(Exchange::Lost);
        }
    }

    pub(super) fn request(&mut self, request: Request, at: KtimeNs, sink: &mut dyn Sink) {
        if !self.is_paired() {
            sink.redis(Exchange::Lost);
            return;
        }
        if !self.is_answered(request) {
            return;
        }
        if self.pending.len() >= MAX_PENDING {
            sink.problem(Problem::TooManyCalls);
            self.lose(sink);
            return;
        }
        let confirmations = match confirmed_by(request.command) {
            Some(_) => request.arguments.max(1),
            None => 1,
        };
        self.pending.push_back(Pending {
            command: request.command,
            asked: at,
            confirmations,
            timed_out: false,
        });
        while let Some((answered, reply)) = self.early.pop_front() {
            let Some(first) = self.pending.front() else {
                self.early.push_front((answered, reply));
                break;
            };
            // A reply cannot come before its request: it was none.
            if answered < first.asked {
                sink.problem(Problem::BadValue);
                self.lose(sink);
                break;
            }
            self.take(reply, answered, sink);
        }
    }

    pub(super) fn reply(&mut self, reply: Reply, at: KtimeNs, sink: &mut dyn Sink) {
        if !self.is_paired() || self.is_told_unasked(reply) {
            return;
        }
        if !self.pending.is_empty() {
            self.take(reply, at, sink);
        } else if self.early.len() < MAX_EARLY {
            self.early.push_back((at, reply));
        } else {
            self.lose(sink);
        }
    }

    /// Time passes.
    pub(super) fn advance(&mut self, now: KtimeNs, sink: &mut dyn Sink) {
        let due = self
            .pending
            .iter_mut()
            .take_while(|pending| now.since(pending.asked) >= REPLY_LIMIT_NS)
            .filter(|pending| !pending.timed_out && !pending.command.may_block());
        for pending in due {
            pending.timed_out = true;
            sink.redis(Exchange::TimedOut(pending.command));
        }
    }

    /// The connection is gone.
    pub(super) fn close(&mut self, failed: bool, sink: &mut dyn Sink) {
        for Pending {
            command, timed_out, ..
        } in self.pending.drain(..)
        {
            if failed {
                sink.redis(Exchange::Failed(command));
            } else if !timed_out && !command.may_block() {
                sink.redis(Exchange::TimedOut(command));
            }
        }
    }

    /// Whether the server answers a request, by what `CLIENT REPLY` said until now.
    fn is_answered(&mut self, request: Request) -> bool {
        match request.option {
            Some(RequestOption::Resp3) => self.resp3 = true,
            Some(RequestOption::Resp2) => self.resp3 = false,
            Some(RequestOption::ReplyOn) => {
                self.silence = Silence::None;
                return true;
            }
            Some(RequestOption::ReplyOff) => {
                self.silence = Silence::All;
                return false;
            }
            Some(RequestOption::ReplySkip) => {
                if self.silence == Silence::None {
                    self.silence = Silence::Next;
                }
                return false;
            }
            None if request.command == Command::Reset => {
                self.silence = Silence::None;
                self.resp3 = false;
            }
            None => {}
        }
        match self.silence {
            Silence::None => true,
            Silence::Next => {
                self.silence = Silence::None;
                false
            }
            Silence::All => false,
        }
    }

    /// Whether it is what a subscriber is told, and answers nothing.
    fn is_told_unasked(&self, reply: Reply) -> bool {
        let first = self.pending.front().map(|pending| pending.command);
        let confirms = |element| first.and_then(confirmed_by) == Some(element);
        match reply {
            Reply::Push(element) => !element.is_some_and(confirms),
            Reply::Array(Some(element)) => self.subscribed && !self.resp3 && !confirms(element),
            _ => false,
        }
    }

    /// The next reply answers the first command that waits.
    fn take(&mut self, reply: Reply, answered: KtimeNs, sink: &mut dyn Sink) {
        let Some(first) = self.pending.front_mut() else {
            return;
        };
        let error = match reply {
            Reply::Error(word) => Some(word),
            Reply::Value | Reply::Array(_) | Reply::Push(_) => None,
        };
        if error.is_none() {
            first.confirmations = first.confirmations.saturating_sub(1);
            self.subscribed |= confirmed_by(first.command).is_some();
            if first.confirmations > 0 {
                return;
            }
            if matches!(
                first.command,
                Command::Monitor | Command::Sync | Command::PSync
            ) {
                self.phase = Phase::Over;
            }
        }
        let Pending { command, asked, .. } = *first;
        self.pending.pop_front();
        sink.redis(Exchange::Answered {
            command,
            asked,
            answered,
            error,
        });
    }
}

/// What the server tells for each channel of a command.
fn confirmed_by(command: Command) -> Option<Element> {
    Some(match command {
        Command::Subscribe => Element::Subscribe,
        Command::Unsubscribe => Element::Unsubscribe,
        Command::PSubscribe => Element::PSubscribe,
        Command::PUnsubscribe => Element::PUnsubscribe,
        Command::SSubscribe => Element::SSubscribe,
        Command::SUnsubscribe => Element::SUnsubscribe,
        _ => return None,
    })
}
