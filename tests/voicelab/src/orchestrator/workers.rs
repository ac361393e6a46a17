//! The workers behind an orchestrator: one long-lived gRPC channel each, shared by its sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::proto::tts_service_client::TtsServiceClient;
use crate::stamped::{Stamped, Stamps};

/// Calls let go of that a channel remembers for a second each: more than are let go of in one. What
/// still comes for a call that is forgotten is an error, and 1024 of those in a connection's life end
/// it with `ENHANCE_YOUR_CALM` (`h2`).
const RESET_CALLS: usize = 4096;

/// A worker on the command line, `NAME=HOST:PORT` or `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WorkerAddress {
    /// Name in registrations and in the truth.
    pub(crate) name: String,
    /// `HOST:PORT`.
    pub(crate) address: String,
}

impl std::str::FromStr for WorkerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, address) = text.split_once('=').unwrap_or((text, text));
        if name.is_empty() || !address.contains(':') {
            return Err("expected NAME=HOST:PORT or HOST:PORT".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            address: address.to_owned(),
        })
    }
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) address: String,
    /// Times of the channel's system calls.
    pub(crate) stamps: Arc<Stamps>,
    channel: Mutex<Option<Channel>>,
}

impl Worker {
    fn new(worker: &WorkerAddress) -> Arc<Self> {
        Arc::new(Self {
            name: worker.name.clone(),
            address: worker.address.clone(),
            stamps: Stamps::new(),
            channel: Mutex::new(None),
        })
    }

    /// The stub on the worker's channel, which is opened when first needed; `None` when it cannot
    /// be: the next call tries again.
    pub(crate) async fn client(&self) -> Option<TtsServiceClient<Channel>> {
        let mut channel = self.channel.lock().await;
        if channel.is_none() {
            *channel = self.connect().await;
        }
        channel.clone().map(TtsServiceClient::new)
    }

    async fn connect(&self) -> Option<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).ok()?;
        let endpoint = endpoint.http2_max_concurrent_reset_streams(RESET_CALLS);
        let (address, stamps) = (self.address.clone(), Arc::clone(&self.stamps));
        let connector = tower::service_fn(move |_: Uri| {
            let (address, stamps) = (address.clone(), Arc::clone(&stamps));
            async move {
                let socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                Ok::<_, std::io::Error>(TokioIo::new(Stamped::new(socket, stamps)))
            }
        });
        endpoint.connect_with_connector(connector).await.ok()
    }
}

/// All workers, taken in turn.
pub(crate) struct Workers {
    workers: Vec<Arc<Worker>>,
    turn: AtomicUsize,
}

impl Workers {
    /// The workers of the command line.
    pub(crate) fn new(workers: &[WorkerAddress]) -> Self {
        Self {
            workers: workers.iter().map(Worker::new).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Every worker.
    pub(crate) fn all(&self) -> &[Arc<Worker>] {
        &self.workers
    }

    /// The worker of that name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Worker>> {
        let found = self.workers.iter().find(|worker| worker.name == name);
        found.cloned()
    }

    /// The next worker in turn; `None` where there are none.
    pub(crate) fn next(&self) -> Option<Arc<Worker>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(self.workers.len())?;
        self.workers.get(at).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_addresses_have_a_name_or_are_their_own() {
        let named: WorkerAddress = "tone@0=localhost:7001".parse().unwrap();
        assert_eq!(
            (&*named.name, &*named.address),
            ("tone@0", "localhost:7001")
        );
        let bare: WorkerAddress = "localhost:7001".parse().unwrap();
        assert_eq!(bare.name, bare.address);
        assert!("localhost".parse::<WorkerAddress>().is_err());
    }

    #[test]
    fn workers_take_turns_and_none_is_none() {
        let workers = Workers::new(&["a=h:1".parse().unwrap(), "b=h:2".parse().unwrap()]);
        let names: Vec<String> = (0..3)
            .map(|_| workers.next().unwrap().name.clone())
            .collect();
        assert_eq!(names, ["a", "b", "a"]);
        assert!(Workers::new(&[]).next().is_none());
    }
}
