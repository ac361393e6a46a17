//! One client's session: what comes in is handled in order, audio goes out between, and the first
//! thing that ends it counts.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::Orchestrator;
use super::faults::Fault;
use super::hearing::Hearing;
use super::speaking::Speaking;
use super::utterance::{Heard, Utterance};
use super::voice::Voice;
use crate::clock::monotonic_ns;
use crate::message::{FromClient, FromServer, encode};
use crate::truth::Orchestration;
use crate::websocket::{Accepted, End, Outgoing, Received, Socket};

/// How long a client may take to answer a Close frame.
const CLOSING: Duration = Duration::from_secs(1);

/// How long one message may wait for room in a client's socket before the client counts as gone.
const SENDING: Duration = Duration::from_secs(5);

/// How a session ended: the guide's reason and the lab's word for the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over {
    pub(crate) reason: &'static str,
    pub(crate) way: &'static str,
    /// When, at the socket.
    pub(crate) at_ns: u64,
}

impl Over {
    pub(crate) fn new(reason: &'static str, way: &'static str, at_ns: u64) -> Self {
        Self { reason, way, at_ns }
    }
}

/// A running session.
pub(crate) struct Session {
    pub(crate) orchestrator: Arc<Orchestrator>,
    pub(crate) connection: u64,
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) socket: Socket,
    pub(crate) voice: Option<Arc<Voice>>,
    pub(crate) speaking: Speaking,
    pub(crate) hearing: Option<Hearing>,
    busy: Instant,
    /// When the ping that has no answer yet was sent.
    pinged: Option<Instant>,
    next_ping: Option<Instant>,
}

/// Holds the session of a connection to its end.
pub(crate) async fn hold(orchestrator: Arc<Orchestrator>, accepted: Accepted, connection: u64) {
    let seed = orchestrator.settings.seed.rotate_left(20) ^ connection;
    let name = format!("ws-{:012x}", fastrand::Rng::with_seed(seed).u64(..1 << 48));
    let model = accepted
        .model
        .unwrap_or_else(|| orchestrator.settings.model.clone());
    let hearing = orchestrator.ear.as_ref().map(Hearing::new);
    let mut session = Session {
        connection,
        name,
        model,
        socket: accepted.socket,
        voice: None,
        speaking: Speaking::default(),
        hearing,
        busy: Instant::now(),
        pinged: None,
        next_ping: None,
        orchestrator,
    };
    session.set_live(true);
    let over = session.run().await;
    session.set_live(false);
    session.record_at(
        over.at_ns,
        Orchestration::SessionClosed {
            connection,
            reason: over.reason.to_owned(),
            way: over.way.to_owned(),
        },
    );
    session.leave().await;
}

impl Session {
    async fn run(&mut self) -> Over {
        // Before the client knows its session's name, so that no order for it is missed.
        let mut orders = self.orchestrator.orders.subscribe();
        if let Err(over) = self.begin().await {
            return over;
        }
        let mut leaving = self.orchestrator.leaving.subscribe();
        loop {
            let idle = self.idle_at();
            let ping = self.ping_at();
            let stepped = tokio::select! {
                received = self.socket.receive() => self.take(received).await,
                heard = next(&mut self.speaking.playing) => self.forward(heard).await,
                order = orders.recv() => self.obey(order).await,
                () = async { drop(leaving.wait_for(|leaving| *leaving).await) } => {
                    Err(self.close(1001, "going away", "normal", "shutdown").await)
                }
                () = until(idle) => Err(self.time_out().await),
                () = until(ping) => self.ping().await,
            };
            if let Err(over) = stepped {
                return over;
            }
        }
    }

    fn set_live(&self, live: bool) {
        let connections = &self.orchestrator.live;
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        if live {
            connections.insert(self.connection);
        } else {
            connections.remove(&self.connection);
        }
    }

    async fn begin(&mut self) -> Result<(), Over> {
        let started = FromServer::SessionStart {
            session_id: self.name.clone(),
        };
        let sent_ns = self.say(&started, None).await?;
        self.record_at(
            sent_ns,
            Orchestration::SessionOpened {
                connection: self.connection,
                transport: "websocket".to_owned(),
                session: self.name.clone(),
            },
        );
        if self.orchestrator.settings.lazy {
            return Ok(());
        }
        self.find_voice(&mut None).await
    }

    async fn take(&mut self, received: Received) -> Result<(), Over> {
        let at_ns = self.socket.stamps.read_ns();
        match received {
            Received::Text(text) => {
                self.busy = Instant::now();
                let message = FromClient::parse(&text);
                self.handle(message, at_ns).await
            }
            Received::Binary(bytes) => {
                self.busy = Instant::now();
                self.hear(&bytes, at_ns).await
            }
            Received::Ping => Ok(()),
            Received::Pong => {
                self.pinged = None;
                Ok(())
            }
            // An orderly end whoever sends it; without a code the client has just left.
            Received::Close(Some(1000 | 1001)) => Err(Over::new("normal", "client_close", at_ns)),
            Received::Close(Some(1002..=1015)) => {
                Err(Over::new("error", "client_error_close", at_ns))
            }
            Received::Close(_) => Err(Over::new("client_disconnect", "client_left", at_ns)),
            Received::End(End::Eof) => {
                Err(Over::new("client_disconnect", "client_eof", monotonic_ns()))
            }
            Received::End(End::Reset) => Err(Over::new(
                "client_disconnect",
                "client_reset",
                monotonic_ns(),
            )),
            Received::End(End::Protocol) => {
                // The library may have said so already, and then sends nothing more.
                self.send(Outgoing::Close(1002, "protocol error"))
                    .await
                    .ok();
                Err(Over::new("error", "protocol_error", at_ns))
            }
        }
    }

    async fn obey(&mut self, order: Result<Fault, RecvError>) -> Result<(), Over> {
        match order {
            Ok(Fault::Close { session }) if session == self.name => {
                Err(self.close(1000, "", "normal", "server_close").await)
            }
            Ok(Fault::End { session }) if session == self.name => {
                Err(self.say_end("ended", "normal", "session_end").await)
            }
            Err(RecvError::Closed) => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn time_out(&mut self) -> Over {
        self.say_end("timeout", "timeout", "idle_timeout").await
    }

    async fn ping(&mut self) -> Result<(), Over> {
        if self.pinged.is_some() {
            let over = self.close(1011, "keepalive ping timeout", "timeout", "keep_alive");
            return Err(over.await);
        }
        self.send(Outgoing::Ping).await?;
        self.pinged = Some(Instant::now());
        Ok(())
    }

    fn idle_at(&self) -> Option<Instant> {
        let limit = self.orchestrator.settings.idle_timeout_ms;
        (limit > 0).then(|| self.busy + Duration::from_millis(limit))
    }

    fn ping_at(&mut self) -> Option<Instant> {
        let settings = &self.orchestrator.settings;
        if settings.ping_interval_ms == 0 {
            return None;
        }
        if let Some(pinged) = self.pinged {
            self.next_ping = None;
            return Some(pinged + Duration::from_millis(settings.ping_timeout_ms));
        }
        let interval = Duration::from_millis(settings.ping_interval_ms);
        Some(
            *self
                .next_ping
                .get_or_insert_with(|| Instant::now() + interval),
        )
    }

    /// Says that the session has ended, then closes.
    async fn say_end(&mut self, said: &str, reason: &'static str, way: &'static str) -> Over {
        let ended = FromServer::SessionEnd {
            session_id: self.name.clone(),
            reason: said.to_owned(),
        };
        let over = match self.say(&ended, None).await {
            Ok(at_ns) => Over::new(reason, way, at_ns),
            Err(over) => return over,
        };
        // The end is said already; that the client is gone meanwhile does not change it.
        self.send(Outgoing::Close(1000, "")).await.ok();
        over
    }

    async fn close(
        &mut self,
        code: u16,
        text: &'static str,
        reason: &'static str,
        way: &'static str,
    ) -> Over {
        match self.send(Outgoing::Close(code, text)).await {
            Ok(at_ns) => Over::new(reason, way, at_ns),
            Err(over) => over,
        }
    }

    /// Sends a message and records it; gives when.
    pub(crate) async fn say(
        &mut self,
        message: &FromServer,
        utterance: Option<u64>,
    ) -> Result<u64, Over> {
        let sequence = match message {
            FromServer::Audio { sequence, .. } => {
                self.busy = Instant::now();
                Some(*sequence)
            }
            _ => None,
        };
        let sent_ns = self.send(Outgoing::Text(encode(message))).await?;
        self.record_at(
            sent_ns,
            Orchestration::MessageSent {
                connection: self.connection,
                kind: message.kind().to_owned(),
                utterance,
                sequence,
            },
        );
        Ok(sent_ns)
    }

    async fn send(&mut self, outgoing: Outgoing) -> Result<u64, Over> {
        let sent = tokio::time::timeout(SENDING, self.socket.send(outgoing)).await;
        sent.ok()
            .and_then(Result::ok)
            .ok_or_else(|| Over::new("client_disconnect", "client_reset", monotonic_ns()))
    }

    pub(crate) fn record_at(&self, at_ns: u64, event: Orchestration) {
        self.orchestrator.truth.record_at(at_ns, event.into());
    }

    /// Lets go of the worker and the client.
    async fn leave(mut self) {
        self.abandon().await;
        if let Some(voice) = self.voice.take().and_then(Arc::into_inner) {
            voice.end().await;
        }
        let closed = async { while !matches!(self.socket.receive().await, Received::End(_)) {} };
        // A client that does not answer is left.
        tokio::time::timeout(CLOSING, closed).await.ok();
        let (truth, connection) = (self.orchestrator.truth.clone(), self.connection);
        drop(self);
        truth.record(Orchestration::ConnectionClosed { connection }.into());
    }
}

async fn next(playing: &mut Option<Utterance>) -> Heard {
    match playing {
        Some(utterance) => utterance.next().await,
        None => std::future::pending().await,
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
