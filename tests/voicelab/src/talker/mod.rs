//! The talker: drives sessions of an orchestrator over WebSocket as its clients do, well and badly.

mod gate;
mod plan;
mod session;

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::sync::Semaphore;

use self::gate::Gate;
use self::plan::{Style, Way};
use crate::orchestrator::Switch;
use crate::serving;
use crate::truth::Truth;

/// A talker's settings.
#[derive(Clone, Debug, clap::Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// The orchestrator, `HOST:PORT`
    #[arg(long)]
    target: String,
    /// Sessions in all
    #[arg(long, default_value_t = 1)]
    sessions: u64,
    /// Sessions at the same time
    #[arg(long, default_value_t = 64)]
    concurrent: usize,
    /// Utterances per session, one after the other
    #[arg(long, default_value_t = 1)]
    utterances: u64,
    /// Text messages in one utterance
    #[arg(long, default_value_t = 2)]
    texts: usize,
    /// Characters in one text message
    #[arg(long, default_value_t = 8)]
    text_length: usize,
    /// Silence from the start of a session until it speaks, in milliseconds
    #[arg(long, default_value_t = 0)]
    silence_ms: u64,
    /// Time between text messages, in milliseconds
    #[arg(long, default_value_t = 60)]
    text_interval_ms: u64,
    /// Interrupts utterances: STOP, PAUSE and RESUME, another utterance, in turn
    #[arg(long)]
    interrupt: bool,
    /// Speaks into the microphone in the middle of every third utterance
    #[arg(long)]
    speech: bool,
    /// How sessions end, in turn
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "client-close"
    )]
    ends: Vec<Way>,
    /// Utterances (from 0), in order, before each of which every session waits for a line on stdin:
    /// `waiting` is printed when all of them do and nothing plays
    #[arg(long, value_delimiter = ',')]
    wait_before: Vec<u64>,
    /// Every how many utterances a message that is none comes first (0: never)
    #[arg(long, default_value_t = 0)]
    malformed_every: u64,
    /// Models the sessions ask for, in turn; without any, the orchestrator's
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Fault socket of the orchestrator, for the ends that it must be asked for
    #[arg(long)]
    fault_socket: Option<PathBuf>,
    /// Offers permessage-deflate
    #[arg(long, value_enum, default_value_t = Switch::On)]
    deflate: Switch,
    /// Says with each connection that it belongs to a trace
    #[arg(long)]
    traceparent: Option<String>,
    /// Silence after which an utterance counts as over, in milliseconds
    #[arg(long, default_value_t = 400)]
    quiet_ms: u64,
    /// Time between the starts of two sessions, in milliseconds
    #[arg(long, default_value_t = 7)]
    ramp_ms: u64,
    /// Give up after this many seconds
    #[arg(long, default_value_t = 600)]
    give_up: u64,
    /// Where every pseudo-random choice starts
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File for what was done, one JSON object per line
    #[arg(long)]
    truth: Option<PathBuf>,
}

/// What all sessions share.
pub(crate) struct Talker {
    pub(crate) settings: Args,
    pub(crate) style: Style,
    pub(crate) server: SocketAddr,
    pub(crate) truth: Truth,
    /// By the utterance that is behind it.
    pub(crate) gates: BTreeMap<u64, Gate>,
}

/// Runs the sessions to their end and prints the counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.wait_before.is_empty() || args.sessions <= args.concurrent as u64,
        "all sessions can only wait for each other at the same time: raise --concurrent"
    );
    let truth = Truth::start(args.truth.as_deref())?;
    let server = args
        .target
        .to_socket_addrs()
        .with_context(|| format!("look up {}", args.target))?
        .next()
        .with_context(|| format!("{} has no address", args.target))?;
    let gates = args.wait_before.iter();
    let gates = gates.map(|utterance| (*utterance, Gate::new(args.sessions)));
    let gates = gates.collect();
    let talker = Arc::new(Talker {
        settings: args.clone(),
        style: Style {
            texts: args.texts,
            text_length: args.text_length,
            interrupt: args.interrupt,
            speech: args.speech,
            seed: args.seed,
        },
        server,
        truth: truth.clone(),
        gates,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let limit = Duration::from_secs(args.give_up);
    let ran = runtime.block_on(async {
        tokio::time::timeout(limit, drive(&talker))
            .await
            .context("the sessions did not end in time")?
    });
    drop(runtime);
    let summary = truth.finish()?;
    ran?;
    serving::print_summary(&summary)
}

async fn drive(talker: &Arc<Talker>) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(talker.settings.concurrent.max(1)));
    let mut sessions = tokio::task::JoinSet::new();
    for connection in 1..=talker.settings.sessions {
        let place = Arc::clone(&places).acquire_owned().await;
        let talker = Arc::clone(talker);
        let ramp = Duration::from_millis(talker.settings.ramp_ms);
        sessions.spawn(async move {
            let _place = place;
            session::hold(&talker, connection).await
        });
        tokio::time::sleep(ramp).await;
    }
    while let Some(session) = sessions.join_next().await {
        session.context("a session panicked")??;
    }
    Ok(())
}
