//! Unary calls, stamped at the system calls of their connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::Request;
use tonic::transport::server::Connected;

use super::engine::Engine;
use crate::clock::monotonic_ns;
use crate::stamped::{Stamped, Stamps};
use crate::truth::Event;

/// The connection that a call came on.
#[derive(Clone)]
pub(crate) struct Origin {
    peer: Option<SocketAddr>,
    stamps: Arc<Stamps>,
}

impl Connected for Stamped {
    type ConnectInfo = Origin;

    fn connect_info(&self) -> Origin {
        Origin {
            peer: self.peer(),
            stamps: self.stamps(),
        }
    }
}

/// A unary call that is being answered.
pub(super) struct Call<'engine> {
    engine: &'engine Engine,
    method: String,
    /// The other end of its connection.
    pub(super) peer: String,
    stamps: Option<Arc<Stamps>>,
}

impl<'engine> Call<'engine> {
    /// Records that a call's request was received.
    pub(super) fn received<T>(
        engine: &'engine Engine,
        method: &str,
        request: &Request<T>,
        session: Option<&str>,
        model: Option<&str>,
    ) -> Self {
        let origin = request.extensions().get::<Origin>();
        let call = Self {
            engine,
            method: method.to_owned(),
            peer: peer(request),
            stamps: origin.map(|origin| Arc::clone(&origin.stamps)),
        };
        call.record_received(Event::Request {
            method: call.method.clone(),
            peer: call.peer.clone(),
            stream: None,
            session: session.map(str::to_owned),
            model: model.map(str::to_owned),
        });
        call
    }

    /// Records what the request means, at the receive that brought it.
    pub(super) fn record_received(&self, event: Event) {
        let read_ns = self.stamps.as_ref().map(|stamps| stamps.read_ns());
        let at_ns = read_ns.unwrap_or_else(monotonic_ns);
        self.engine.truth.record_at(at_ns, event);
    }

    /// Records the answer and gives the `success` and `message` fields that carry it.
    pub(super) fn answer(&self, outcome: Result<(), String>) -> (bool, String) {
        let success = outcome.is_ok();
        let (method, peer) = (self.method.clone(), self.peer.clone());
        self.record_answered(Event::Response {
            method,
            peer,
            success,
        });
        (success, outcome.err().unwrap_or_default())
    }

    /// Records what the answer means, at the send that carries it: the next one.
    pub(super) fn record_answered(&self, event: Event) {
        let (truth, handed_ns) = (self.engine.truth.clone(), monotonic_ns());
        let Some(stamps) = self.stamps.clone() else {
            truth.record_at(handed_ns, event);
            return;
        };
        tokio::spawn(async move {
            let sent_ns = stamps.written_since(handed_ns).await;
            truth.record_at(sent_ns, event);
        });
    }
}

/// The other end of a call's connection, `ip:port`, IPv4 written as such.
pub(super) fn peer<T>(request: &Request<T>) -> String {
    let origin = request.extensions().get::<Origin>();
    let address = origin.and_then(|origin| origin.peer);
    address.map_or_else(String::new, |mut address| {
        address.set_ip(address.ip().to_canonical());
        address.to_string()
    })
}
