//! The orchestrator: clients in front (WebSocket), workers behind (gRPC), registrations in Redis.
//! In `LiveKit` mode it has no clients of its own and holds its sessions by itself.

mod causing;
mod faults;
mod forwarding;
mod hearing;
mod interrupting;
mod listening;
mod livekit;
mod registry;
mod session;
mod speaking;
mod utterance;
mod voice;
mod workers;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tonic::metadata::{Ascii, MetadataValue};

use self::faults::{Fault, Faults};
use self::hearing::Ear;
use self::registry::Registry;
use self::workers::{Worker, WorkerAddress, Workers};
use crate::truth::{Event, Orchestration, Truth};
use crate::{fault_socket, serving, websocket};

/// How often registrations are renewed: three times before they expire.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long sessions may take to close once the program is told to end.
const LEAVE: Duration = Duration::from_secs(3);

/// Orders that wait for a session: more than are ever given at once.
const WAITING_ORDERS: usize = 256;

/// How clients reach the orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// They connect to it.
    Websocket,
    /// They do not: it holds sessions by itself.
    Livekit,
}

/// What an interruption does to the call that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum BargeIn {
    /// Control(PAUSE), then Control(STOP)
    Control,
    /// The call is let go (`RST_STREAM`)
    Reset,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// An orchestrator's settings.
#[derive(Clone, Debug, clap::Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// WebSocket port, on IPv6 and IPv4; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// How clients reach it
    #[arg(long, value_enum, default_value_t = Transport::Websocket)]
    transport: Transport,
    /// Workers, `NAME=HOST:PORT` or `HOST:PORT`, taken in turn
    #[arg(long = "worker", value_delimiter = ',', required = true)]
    workers: Vec<WorkerAddress>,
    /// Redis for registrations and affinity, `HOST:PORT`
    #[arg(long)]
    redis: Option<String>,
    /// Model of sessions that do not ask for one
    #[arg(long, default_value = "tone-small")]
    model: String,
    /// permessage-deflate: on is `yawc`, off is `tungstenite`
    #[arg(long, value_enum, default_value_t = Switch::On)]
    deflate: Switch,
    /// What an interruption does to the call that plays
    #[arg(long, value_enum, default_value_t = BargeIn::Control)]
    barge_in: BargeIn,
    /// Sessions start at the worker with their first text, not before
    #[arg(long)]
    lazy: bool,
    /// All sessions have this one name at the worker
    #[arg(long)]
    shared_session: Option<String>,
    /// Says with each Synthesize call that it belongs to a trace
    #[arg(long)]
    traceparent: Option<MetadataValue<Ascii>>,
    /// Shared object with the voice activity and recognition functions (`libvad_hook.so`)
    #[arg(long)]
    vad_lib: Option<PathBuf>,
    /// Answers speech: what is recognised at its end is spoken
    #[arg(long, requires = "vad_lib")]
    asr: bool,
    /// Model named by the recognition's counts
    #[arg(long, default_value = "openai/whisper-small")]
    asr_model: String,
    /// Ends a session after this long without a message or audio, in milliseconds (0: never)
    #[arg(long, default_value_t = 0)]
    idle_timeout_ms: u64,
    /// Time between pings, in milliseconds (0: none)
    #[arg(long, default_value_t = 20_000)]
    ping_interval_ms: u64,
    /// How long a ping may go unanswered before Close 1011, in milliseconds
    #[arg(long, default_value_t = 20_000)]
    ping_timeout_ms: u64,
    /// `LiveKit`: sessions to hold, one after the other started
    #[arg(long, default_value_t = 1)]
    sessions: u64,
    /// `LiveKit`: utterances in each
    #[arg(long, default_value_t = 1)]
    utterances: u64,
    /// `LiveKit`: the first session begins when a line comes on stdin
    #[arg(long)]
    wait: bool,
    /// `LiveKit`: every second utterance is interrupted
    #[arg(long)]
    interrupt: bool,
    /// Where every pseudo-random choice starts, names of sessions among them
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for what was done, one JSON object per line
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Unix socket that switches faults (see `voicelab fault`)
    #[arg(long)]
    fault_socket: Option<PathBuf>,
}

/// What all sessions share.
pub(crate) struct Orchestrator {
    pub(crate) settings: Args,
    pub(crate) truth: Truth,
    pub(crate) faults: Faults,
    pub(crate) ear: Option<Arc<Ear>>,
    /// Sessions that use the shared one.
    pub(crate) shared_users: tokio::sync::Mutex<u64>,
    /// Orders to single sessions.
    pub(crate) orders: broadcast::Sender<Fault>,
    /// Turns true when the program must end.
    pub(crate) leaving: watch::Sender<bool>,
    /// Connections whose sessions run.
    pub(crate) live: Mutex<BTreeSet<u64>>,
    workers: Workers,
    registry: Option<Registry>,
    calls: AtomicU64,
}

impl Orchestrator {
    /// The worker for a session: the one it was on before, else the next in turn.
    async fn choose_worker(&self, session: &str) -> Option<Arc<Worker>> {
        let Some(registry) = &self.registry else {
            return self.workers.next();
        };
        if let Some(known) = registry.affinity(session).await
            && let Some(worker) = self.workers.named(&known)
        {
            return Some(worker);
        }
        let worker = self.workers.next()?;
        registry.remember(session, &worker.name).await;
        Some(worker)
    }

    /// Numbers a call; the first is 1.
    fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn obey(self: &Arc<Self>, fault: Fault) {
        self.faults.switch(&fault);
        match fault {
            Fault::Crash => {
                let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
                for connection in &*live {
                    self.truth.record(
                        Orchestration::SessionClosed {
                            connection: *connection,
                            reason: "error".to_owned(),
                            way: "crash".to_owned(),
                        }
                        .into(),
                    );
                }
                // What is lost with the file does not change that the process must go.
                drop(self.truth.finish());
                std::process::abort();
            }
            Fault::RedisError => {
                let orchestrator = Arc::clone(self);
                tokio::spawn(async move {
                    if let (Some(registry), Some(worker)) =
                        (&orchestrator.registry, orchestrator.workers.all().first())
                    {
                        registry.provoke_error(&worker.name).await;
                    }
                });
            }
            // Without sessions nobody listens.
            order @ (Fault::Close { .. } | Fault::End { .. }) => drop(self.orders.send(order)),
            Fault::Drop { .. } | Fault::Slow(_) | Fault::Error { .. } | Fault::Clear => {}
        }
    }
}

/// Runs until SIGTERM or SIGINT (`LiveKit`: until its sessions have ended), then prints the counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let truth = Truth::start(args.truth.as_deref())?;
    // One thread: what a task handed to a library is written before the next task runs.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let served = runtime.block_on(serve(args, truth.clone()));
    drop(runtime);
    if let Some(path) = &args.fault_socket {
        std::fs::remove_file(path).ok();
    }
    let summary = truth.finish()?;
    served?;
    serving::print_summary(&summary)
}

async fn serve(args: &Args, truth: Truth) -> anyhow::Result<()> {
    let registry = match &args.redis {
        Some(address) => Some(Registry::connect(address, truth.clone()).await?),
        None => None,
    };
    let ear = args.vad_lib.as_deref().map(Ear::load).transpose()?;
    let orchestrator = Arc::new(Orchestrator {
        settings: args.clone(),
        truth,
        faults: Faults::default(),
        ear,
        shared_users: tokio::sync::Mutex::new(0),
        orders: broadcast::Sender::new(WAITING_ORDERS),
        leaving: watch::Sender::new(false),
        live: Mutex::default(),
        workers: Workers::new(&args.workers),
        registry,
        calls: AtomicU64::new(0),
    });
    if let Some(path) = &args.fault_socket {
        let listener = fault_socket::open(path)?;
        let obeying = Arc::clone(&orchestrator);
        let truth = orchestrator.truth.clone();
        tokio::spawn(fault_socket::serve(listener, truth, move |fault| {
            obeying.obey(fault);
        }));
    }
    let registering = Arc::clone(&orchestrator);
    let heartbeat = tokio::spawn(async move {
        while let Some(registry) = &registering.registry {
            // A Redis that is gone is noticed by its readers.
            registry.register(registering.workers.all()).await.ok();
            tokio::time::sleep(HEARTBEAT).await;
        }
    });
    match args.transport {
        Transport::Websocket => serve_clients(&orchestrator).await?,
        Transport::Livekit => livekit::hold_sessions(&orchestrator).await?,
    }
    heartbeat.abort();
    if let Some(registry) = &orchestrator.registry {
        registry.unregister(orchestrator.workers.all()).await;
    }
    Ok(())
}

async fn serve_clients(orchestrator: &Arc<Orchestrator>) -> anyhow::Result<()> {
    let listener = serving::listen(orchestrator.settings.port)?;
    listener
        .set_nonblocking(true)
        .context("make the port non-blocking")?;
    let signalled = serving::signalled()?;
    let port = serving::announce(&listener)?;
    orchestrator.truth.record(Event::Listening {
        port,
        pid: std::process::id(),
        adapter: "orchestrator".to_owned(),
    });
    let listener = TcpListener::from_std(listener).context("hand the port to the runtime")?;
    let mut sessions = tokio::task::JoinSet::new();
    let mut connection = 0;
    tokio::pin!(signalled);
    loop {
        tokio::select! {
            () = &mut signalled => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    connection += 1;
                    sessions.spawn(hold(Arc::clone(orchestrator), socket, connection));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = sessions.join_next() => {}
        }
    }
    orchestrator.leaving.send_replace(true);
    let left = async { while sessions.join_next().await.is_some() {} };
    // Sessions that do not close in time end with the program.
    tokio::time::timeout(LEAVE, left).await.ok();
    Ok(())
}

async fn hold(orchestrator: Arc<Orchestrator>, socket: TcpStream, connection: u64) {
    let peer = socket.peer_addr().map_or_else(
        |_| String::new(),
        |mut peer| {
            peer.set_ip(peer.ip().to_canonical());
            peer.to_string()
        },
    );
    let deflate = orchestrator.settings.deflate == Switch::On;
    // What does not shake hands is no session.
    let Ok(accepted) = websocket::accept(socket, deflate).await else {
        return;
    };
    orchestrator.truth.record_at(
        accepted.answered_ns,
        Orchestration::Upgraded {
            connection,
            peer,
            requested_ns: accepted.requested_ns,
            deflate: accepted.socket.deflates(),
        }
        .into(),
    );
    session::hold(orchestrator, accepted, connection).await;
}
