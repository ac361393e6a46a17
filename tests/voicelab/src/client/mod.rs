//! The client: drives sessions against a worker as an orchestrator does.

mod calls;
mod listening;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use self::calls::Calls;
use self::plan::Style;
use crate::serving;
use crate::truth::Truth;

/// A client's settings.
#[derive(Debug, clap::Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Args {
    /// The worker, `HOST:PORT`
    #[arg(long)]
    target: String,
    /// Sessions at the same time
    #[arg(long, default_value_t = 1)]
    sessions: u64,
    /// Synthesize calls per session, one after the other
    #[arg(long, default_value_t = 1)]
    utterances: u64,
    /// Begin utterances for this many seconds instead; those that run then are heard out
    #[arg(long, conflicts_with = "utterances")]
    duration: Option<f64>,
    /// Characters in one utterance
    #[arg(long, default_value_t = 40)]
    text_length: usize,
    /// Characters in one text chunk
    #[arg(long, default_value_t = 12)]
    chunk_length: usize,
    /// Time between text chunks, in milliseconds, a third more or less
    #[arg(long, default_value_t = 150)]
    chunk_interval_ms: u64,
    /// All sessions share one connection (the default)
    #[arg(long, conflicts_with = "connection_per_session")]
    one_connection: bool,
    /// Each session has a connection of its own
    #[arg(long)]
    connection_per_session: bool,
    /// Use PAUSE, RESUME, STOP and RELOAD, in turn over a session's utterances
    #[arg(long)]
    controls: bool,
    /// Synthesize without starting the sessions first, which a worker refuses
    #[arg(long)]
    unannounced: bool,
    /// First list the models, load and unload the last of them, and ask for the capabilities
    #[arg(long)]
    inspect: bool,
    /// How long a pause lasts, in milliseconds
    #[arg(long, default_value_t = 300)]
    pause_hold_ms: u64,
    /// Let go of every Nth call of a session while it plays (0: never)
    #[arg(long, default_value_t = 0)]
    cancel_every: u64,
    /// Models the sessions ask for, in turn; without any, the worker's default
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// Session names begin with this
    #[arg(long, default_value = "lab")]
    session_prefix: String,
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

/// Runs the sessions to their end and prints the counts.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let truth = Truth::start(args.truth.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let limit = Duration::from_secs(args.give_up);
    let ran = runtime.block_on(async {
        tokio::time::timeout(limit, drive(args, &truth))
            .await
            .context("the sessions did not end in time")?
    });
    drop(runtime);
    let mut summary = truth.finish()?;
    summary.sequence_gaps = ran?;
    serving::print_summary(&summary)
}

async fn drive(args: &Args, truth: &Truth) -> anyhow::Result<u64> {
    let style = Style {
        text_length: args.text_length,
        chunk_length: args.chunk_length,
        chunk_interval: Duration::from_millis(args.chunk_interval_ms),
        controls: args.controls,
        cancel_every: args.cancel_every,
        seed: args.seed,
    };
    let until = match args.duration {
        Some(seconds) => Until::Time(
            Instant::now() + Duration::try_from_secs_f64(seconds).context("read --duration")?,
        ),
        None => Until::Count(args.utterances),
    };
    let shared = if args.connection_per_session {
        None
    } else {
        Some(connect(&args.target).await?)
    };
    let counter = Arc::new(AtomicU64::new(0));
    if args.inspect {
        let channel = match &shared {
            Some(channel) => channel.clone(),
            None => connect(&args.target).await?,
        };
        let calls = Calls::new(channel, String::new(), truth.clone(), Arc::clone(&counter));
        calls.inspect_models().await;
    }
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..args.sessions {
        let channel = match &shared {
            Some(channel) => channel.clone(),
            None => connect(&args.target).await?,
        };
        let name = format!("{}-{number}", args.session_prefix);
        let calls = Calls::new(channel, name, truth.clone(), Arc::clone(&counter));
        let model = match args.models.len() {
            0 => String::new(),
            models => args.models[number as usize % models].clone(),
        };
        let pause_hold = Duration::from_millis(args.pause_hold_ms);
        let model = (!args.unannounced).then_some(model);
        sessions.spawn(hold_session(calls, number, model, style, until, pause_hold));
        tokio::time::sleep(Duration::from_millis(args.ramp_ms)).await;
    }
    let mut gaps = 0;
    while let Some(session) = sessions.join_next().await {
        gaps += session.context("a session panicked")?;
    }
    Ok(gaps)
}

#[derive(Clone, Copy)]
enum Until {
    Count(u64),
    Time(Instant),
}

impl Until {
    fn allows(self, index: u64) -> bool {
        match self {
            Self::Count(utterances) => index < utterances,
            Self::Time(end) => Instant::now() < end,
        }
    }
}

/// Runs one session, started with `model` unless there is none. Gives the missing frames.
async fn hold_session(
    calls: Calls,
    number: u64,
    model: Option<String>,
    style: Style,
    until: Until,
    pause_hold: Duration,
) -> u64 {
    let mut gaps = 0;
    if let Some(model) = &model
        && !calls.start_session(model).await
    {
        return gaps;
    }
    let mut index = 0;
    while until.allows(index) {
        let utterance = plan::utterance(&style, number, index);
        gaps += listening::speak(&calls, &utterance, pause_hold).await;
        index += 1;
    }
    if model.is_some() {
        calls.end_session().await;
    }
    gaps
}

async fn connect(target: &str) -> anyhow::Result<Channel> {
    Endpoint::from_shared(format!("http://{target}"))
        .with_context(|| format!("read the target {target}"))?
        .tcp_nodelay(true)
        .connect()
        .await
        .with_context(|| format!("connect to {target}"))
}
