//! The text-to-speech worker: a gRPC server that speaks the `tts` protocol.

mod audio;
mod call;
mod emission;
mod engine;
mod faults;
mod frame_stream;
mod models;
mod pacing;
mod service;
mod sessions;
mod storage;
mod synthesis;
mod timer;
mod weights;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio_stream::StreamExt as _;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::engine::{Behaviour, Engine};
use self::faults::Fault;
use self::models::Models;
use self::pacing::Pace;
use self::service::Service;
use self::sessions::Sessions;
use self::timer::Timer;
use self::weights::Weights;
use crate::clock::NS_PER_MS;
use crate::proto::tts_service_server::TtsServiceServer;
use crate::stamped::{Stamped, Stamps};
use crate::truth::{Event, Truth};
use crate::{fault_socket, serving};

/// How often models are checked against their time to live.
const EXPIRY_CHECK: Duration = Duration::from_millis(250);

/// How long running calls may take to end once the worker is told to.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Calls at a time on one connection: more than any load test puts on it.
const MAX_STREAMS: u32 = 4096;

/// Threads that serve: one per core of the smallest machine the tests run on.
const DEFAULT_THREADS: usize = 2;

/// A worker's settings.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Port to listen on, on IPv6 and IPv4; 0 takes a free one
    #[arg(long, default_value_t = 7001)]
    port: u16,
    /// Adapter name, as it appears on a real worker's command line
    #[arg(long, default_value = "tone")]
    adapter: String,
    /// How audio is handed out
    #[arg(long, value_enum, default_value_t = Pace::Paced)]
    mode: Pace,
    /// Time one run of the model takes, in milliseconds, a quarter more or less
    #[arg(long, default_value_t = 40)]
    think_ms: u64,
    /// Audio that one character becomes, in milliseconds
    #[arg(long, default_value_t = 60)]
    ms_per_character: u64,
    /// Model runs at the same time; more wait in a queue (0: no limit)
    #[arg(long, default_value_t = 0)]
    inference_slots: usize,
    /// Models that can be loaded; the first is the default
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "tone-small,tone-large,tone-multi"
    )]
    models: Vec<String>,
    /// Models loaded before the port opens
    #[arg(long, value_delimiter = ',')]
    preload: Vec<String>,
    /// Time to load a model, in milliseconds
    #[arg(long, default_value_t = 200)]
    load_ms: u64,
    /// Folder of models: weights are read from `<folder>/<model>/model.safetensors` over that time
    #[arg(long)]
    model_root: Option<PathBuf>,
    /// Most models resident at a time; loading another evicts the least recently used
    #[arg(long, default_value_t = 2)]
    resident_cap: usize,
    /// Time after which an unused model leaves, in milliseconds (0: never)
    #[arg(long, default_value_t = 0)]
    model_ttl_ms: u64,
    /// Most sessions at a time
    #[arg(long, default_value_t = 1000)]
    max_sessions: u16,
    /// Where every pseudo-random choice starts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for what was done, one JSON object per line
    #[arg(long)]
    truth: Option<PathBuf>,
    /// Unix socket that switches faults (see `voicelab fault`)
    #[arg(long)]
    fault_socket: Option<PathBuf>,
    /// Threads that serve
    #[arg(long, default_value_t = DEFAULT_THREADS)]
    threads: usize,
}

/// Runs a worker until SIGTERM or SIGINT, then prints its counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let truth = Truth::start(args.truth.as_deref())?;
    let engine = Arc::new(engine(args, truth.clone())?);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.threads.max(1))
        .enable_all()
        .build()
        .context("start the runtime")?;
    let served = runtime.block_on(serve(args, engine));
    // Ends the calls that still run, so that their ends are recorded.
    runtime.shutdown_timeout(SHUTDOWN);
    if let Some(path) = &args.fault_socket {
        std::fs::remove_file(path).ok();
    }
    let summary = truth.finish()?;
    served?;
    serving::print_summary(&summary)
}

fn engine(args: &Args, truth: Truth) -> anyhow::Result<Engine> {
    let behaviour = Behaviour {
        pace: args.mode,
        think_ns: args.think_ms.saturating_mul(NS_PER_MS),
        ms_per_character: args.ms_per_character,
        load_ns: args.load_ms.saturating_mul(NS_PER_MS),
        seed: args.seed,
    };
    let ttl_ns = args.model_ttl_ms.saturating_mul(NS_PER_MS);
    let models = Models::new(args.models.clone(), args.resident_cap, ttl_ns);
    let sessions = Sessions::new(usize::from(args.max_sessions));
    let slots = match args.inference_slots {
        0 => Semaphore::MAX_PERMITS,
        slots => slots.min(Semaphore::MAX_PERMITS),
    };
    let inference = Semaphore::new(slots);
    Ok(Engine::new(
        behaviour,
        models,
        Weights {
            root: args.model_root.clone(),
        },
        sessions,
        inference,
        Timer::start()?,
        truth,
    ))
}

async fn serve(args: &Args, engine: Arc<Engine>) -> anyhow::Result<()> {
    for model in &args.preload {
        engine
            .load(model)
            .await
            .with_context(|| format!("preload model {model}"))?;
    }
    if let Some(path) = &args.fault_socket {
        let listener = fault_socket::open(path)?;
        let (truth, obeying) = (engine.truth.clone(), Arc::clone(&engine));
        tokio::spawn(fault_socket::serve(listener, truth, move |fault: Fault| {
            obeying.obey(&fault);
        }));
    }
    let expiring = Arc::clone(&engine);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EXPIRY_CHECK).await;
            expiring.expire_models().await;
        }
    });
    let listener = serving::listen(args.port)?;
    listener
        .set_nonblocking(true)
        .context("make the port non-blocking")?;
    let signalled = serving::signalled()?;
    let port = listener
        .local_addr()
        .context("read the listening address")?
        .port();
    let adapter = args.adapter.clone();
    engine.truth.record(Event::Listening {
        port,
        pid: std::process::id(),
        adapter,
    });
    let incoming = {
        let listener = tokio::net::TcpListener::from_std(listener.try_clone()?)
            .context("hand the port to the runtime")?;
        TcpIncoming::from(listener).with_nodelay(Some(true))
    };
    let incoming =
        incoming.map(|socket| Ok::<_, std::io::Error>(Stamped::new(socket?, Stamps::new())));
    let service = TtsServiceServer::new(Service::new(engine, i32::from(args.max_sessions)));
    let serving = Server::builder()
        .max_concurrent_streams(Some(MAX_STREAMS))
        .add_service(service)
        .serve_with_incoming(incoming);
    serving::announce(&listener)?;
    drop(listener);
    tokio::select! {
        served = serving => served.context("serve"),
        () = signalled => Ok(()),
    }
}
