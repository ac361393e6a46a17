//! What a connection speaks.

use std::sync::Arc;

use super::{parser::Parser, stage::Stage, undetermined::Undetermined};
use crate::{
    flow::{Http2Connection, InflaterBudget, RedisConnection, WebSocketConnection},
    profile::Profile,
    record::{Joined, Opened, Side},
};

/// What it speaks.
pub(super) enum Protocol {
    /// Not told yet; what came so far.
    Undetermined(Undetermined),
    Http2(Side, Box<Http2Connection>),
    Redis(Side, Box<RedisConnection>),
    /// WebSocket, or HTTP/1.1 that may become it.
    WebSocket(Side, Box<WebSocketConnection>),
    /// Nothing that is followed.
    Other,
}

/// What a connection is taken for whose first bytes are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// One of its ends is a Redis server's.
    Redis,
    /// An orchestrator accepted it.
    WebSocket,
    Http2,
}

/// What parsers are made with.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    pub(super) profile: &'a Arc<Profile>,
    pub(super) inflaters: &'a InflaterBudget,
}

impl<'a> Making<'a> {
    pub(super) fn of(stage: &Stage<'a>) -> Self {
        Self {
            profile: stage.profile,
            inflaters: stage.inflaters,
        }
    }
}

impl Protocol {
    pub(super) fn http2(opened: &Opened, side: Side, joined: Joined, with: Making<'_>) -> Self {
        let profile = Arc::clone(with.profile);
        let http2 = Http2Connection::new(opened.connection, side, joined, profile);
        Self::Http2(side, Box::new(http2))
    }

    pub(super) fn redis(opened: &Opened, side: Side, joined: Joined) -> Self {
        let redis = RedisConnection::new(side, joined, opened.at);
        Self::Redis(side, Box::new(redis))
    }

    pub(super) fn websocket(opened: &Opened, side: Side, joined: Joined, with: Making<'_>) -> Self {
        let (profile, budget) = (Arc::clone(with.profile), with.inflaters.clone());
        let connection = opened.connection;
        let websocket = WebSocketConnection::new(connection, side, joined, profile, budget);
        Self::WebSocket(side, Box::new(websocket))
    }

    /// What a connection speaks whose first bytes are not known.
    pub(super) fn late(opened: &Opened, side: Side, expected: Expected, with: Making<'_>) -> Self {
        match expected {
            Expected::Redis => Self::redis(opened, side, Joined::Late),
            Expected::WebSocket => Self::websocket(opened, side, Joined::Late, with),
            Expected::Http2 => Self::http2(opened, side, Joined::Late, with),
        }
    }

    /// Label `protocol`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Undetermined(_) => "undetermined",
            Self::Http2(..) => "http2",
            Self::Redis(..) => "redis",
            Self::WebSocket(_, websocket) => websocket.protocol_name(),
            Self::Other => "other",
        }
    }

    /// The watched process's end, and what reads the bytes.
    pub(super) fn parser(&mut self) -> Option<(Side, &mut dyn Parser)> {
        match self {
            Self::Http2(side, http2) => Some((*side, &mut **http2)),
            Self::Redis(side, redis) => Some((*side, &mut **redis)),
            Self::WebSocket(side, websocket) => Some((*side, &mut **websocket)),
            Self::Undetermined(_) | Self::Other => None,
        }
    }
}
