//! The voice systems, and what they do: sessions with several models that come and go, speech with
//! commands and resets in mixed order, and somebody who lists, loads and unloads models.

use std::time::Duration;

use fastrand::Rng;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Kind, Server};
use voicelab::truth::Line;

/// From the start of the client to the first attachment: its sessions are under way.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// Longer than anybody attaches: the client is ended before.
const CLIENT_SECONDS: &str = "3600";

/// What the processes have written down by then: they write every half second.
const WRITTEN: Duration = Duration::from_millis(1_100);

/// A worker with its client.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    worker: Kind,
    /// Whether the client is Python's grpc.aio; else it is tonic.
    pub(crate) is_grpc_core: bool,
}

/// One that runs.
pub(crate) struct Running {
    pub(crate) lab: Lab,
    pub(crate) worker: Server,
    client: Client,
}

/// What its processes say they did.
pub(crate) struct Account {
    pub(crate) worker: Vec<Line>,
    pub(crate) client: Vec<Line>,
    /// Holds the captures until they are compared.
    _lab: Lab,
}

impl System {
    /// All of them.
    pub(crate) const ALL: &[Self] = &[
        Self::new("tonic", Kind::Tonic, false),
        Self::new("tonic-from-grpc-core", Kind::Tonic, true),
        Self::new("grpcio-sync", Kind::GrpcSync, true),
        Self::new("grpcio-aio", Kind::GrpcAio, true),
    ];

    const fn new(name: &'static str, worker: Kind, is_grpc_core: bool) -> Self {
        Self {
            name,
            worker,
            is_grpc_core,
        }
    }

    /// Starts it with so many streams at once, and lets it run; `None` where its interpreter is
    /// missing, which is said.
    pub(super) fn start(&self, streams: u32, random: &mut Rng) -> Option<Running> {
        let lab = Lab::new();
        // Loading takes long enough to be told from an answer, and nobody waits for a place.
        let worker = ["--load-ms", "60", "--resident-cap", "3", "--think-ms", "20"];
        let worker = Server::start(&lab, self.worker, &worker)?;
        let (streams, seed) = (streams.to_string(), random.u32(..).to_string());
        let arguments = [
            ["--sessions", &streams],
            ["--seed", &seed],
            ["--duration", CLIENT_SECONDS],
            ["--renew", "2"],
            ["--idle-ms", "400"],
            ["--text-length", "16"],
            ["--chunk-interval-ms", "60"],
            ["--models", "tone-small,tone-large"],
            ["--inspect-every-ms", "700"],
            ["--cancel-every", "7"],
            ["--pause-hold-ms", "150"],
            ["--ramp-ms", "31"],
        ];
        let arguments = [&arguments.concat()[..], &["--controls"]].concat();
        let client = if self.is_grpc_core {
            Client::grpc_aio(&lab, &worker, &arguments)?
        } else {
            Client::tonic(&lab, &worker, &arguments)
        };
        let ramp = Duration::from_millis(31) * streams.parse().unwrap_or(0);
        std::thread::sleep(UNDER_WAY + ramp);
        Some(Running {
            lab,
            worker,
            client,
        })
    }
}

impl Running {
    /// Ends it; what its processes say they did until then.
    pub(super) fn end(self) -> Account {
        std::thread::sleep(WRITTEN);
        Account {
            client: self.client.truth(),
            worker: self.worker.truth(),
            _lab: self.lab,
        }
    }
}
