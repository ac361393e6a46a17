//! HTTP/1.1 before the upgrade: which request asked for WebSocket, and whether it was granted.

use std::collections::VecDeque;

use crate::record::{KtimeNs, TraceContext};
use crate::wire::http1::{Body, Request, Response};
use crate::wire::websocket::Extensions;

/// Requests without an answer: more than browsers and proxies pipeline.
const MAX_WAITING: usize = 16;

/// Requests on one connection before it upgrades. A connection that goes on asking for something
/// else is not followed.
const MAX_REQUESTS: u32 = 64;

/// What comes after a head in its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A body of this many bytes, then another head.
    Head(u64),
    /// The client's direction: it waits for the answer to its upgrade.
    Answer,
    /// Frames, in both directions.
    Frames {
        /// When the upgrade was asked for; `None` where that was not seen.
        requested: Option<KtimeNs>,
        /// What was agreed on.
        extensions: Extensions,
        /// The trace that the request belongs to, where it says one.
        trace: Option<TraceContext>,
    },
    /// The server's direction: the upgrade was refused. A body of this many bytes, then a head.
    Refused(u64),
    /// Nothing that is followed.
    Other,
}

/// Requests that wait for their answer.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    waiting: VecDeque<Waiting>,
    requests: u32,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    at: KtimeNs,
    upgrade: bool,
    head: bool,
    trace: Option<TraceContext>,
}

impl Handshake {
    /// A request's head is complete.
    pub(super) fn request(&mut self, at: KtimeNs, request: Request) -> Next {
        self.requests = self.requests.saturating_add(1);
        if self.waiting.len() >= MAX_WAITING || self.requests > MAX_REQUESTS {
            return Next::Other;
        }
        self.waiting.push_back(Waiting {
            at,
            upgrade: request.websocket,
            head: request.head,
            trace: request.trace,
        });
        match request.body {
            Body::Unsaid | Body::Length(0) if request.websocket => Next::Answer,
            Body::Unsaid => Next::Head(0),
            Body::Length(bytes) => Next::Head(bytes),
            Body::Unbounded => Next::Other,
        }
    }

    /// A response's head is complete. Where requests may have been lost, one that switches protocols
    /// stands for its request.
    pub(super) fn response(&mut self, response: Response, lost_requests: bool) -> Next {
        if (100..200).contains(&response.status) && response.status != 101 {
            return Next::Head(0);
        }
        let request = self.waiting.pop_front();
        if response.status == 101 {
            let asked = request.map_or(lost_requests, |request| request.upgrade);
            return if asked && response.websocket {
                Next::Frames {
                    requested: request.map(|request| request.at),
                    trace: request.and_then(|request| request.trace),
                    extensions: response.extensions,
                }
            } else {
                Next::Other
            };
        }
        let Some(request) = request else {
            return Next::Other;
        };
        // RFC 9112, 6.3: these have no body whatever the fields say.
        let empty = request.head || matches!(response.status, 204 | 304);
        let bytes = match response.body {
            _ if empty => 0,
            Body::Length(bytes) => bytes,
            Body::Unbounded | Body::Unsaid => return Next::Other,
        };
        if request.upgrade {
            Next::Refused(bytes)
        } else {
            Next::Head(bytes)
        }
    }

    /// When the upgrade was asked for that waits for its answer.
    pub(super) fn requested(&self) -> Option<KtimeNs> {
        let last = self.waiting.back().filter(|request| request.upgrade);
        last.map(|request| request.at)
    }
}
