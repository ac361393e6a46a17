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
    /// With --duration: a session ends after this many utterances, and another one begins in its place
    #[arg(long, requires = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    renew: Option<u64>,
    /// Longest pause before an utterance, in milliseconds
    #[arg(long, default_value_t = 0)]
    idle_ms: u64,
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
    /// With --duration: do so again and again, this many milliseconds apart
    #[arg(long, requires = "duration")]
    inspect_every_ms: Option<u64>,
    /// How long a pause lasts, in milliseconds
    #[arg(long, default_value_t = 300)]
    pause_hold_ms: u64,
    /// Let go of every Nth call of a session while it plays (0: never)
    #[arg(long, default_value_t = 0)]
    cancel_every: u64,
    /// Models the sessions ask for, in turn; without any, the worker's default
    #[arg(long, value_delimiter = ',')]
    models: Vec<String>,
    /// HTTP/2 window of the connection and of each call, in bytes; without it the library's
    #[arg(long)]
    window_bytes: Option<u32>,
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
        idle: Duration::from_millis(args.idle_ms),
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
        Some(connect(&args.target, args.window_bytes).await?)
    };
    let counter = Arc::new(AtomicU64::new(0));
    let mut sessions = tokio::task::JoinSet::new();
    if args.inspect || args.inspect_every_ms.is_some() {
        let channel = match &shared {
            Some(channel) => channel.clone(),
            None => connect(&args.target, args.window_bytes).await?,
        };
        let calls = Calls::new(channel, String::new(), truth.clone(), Arc::clone(&counter));
        calls.inspect_models().await;
        if let Some(pause) = args.inspect_every_ms {
            sessions.spawn(inspect(calls, until, Duration::from_millis(pause)));
        }
    }
    for number in 0..args.sessions {
        let channel = match &shared {
            Some(channel) => channel.clone(),
            None => connect(&args.target, args.window_bytes).await?,
        };
        let name = format!("{}-{number}", args.session_prefix);
        let calls = Calls::new(channel, name, truth.clone(), Arc::clone(&counter));
        let place = Place {
            number,
            models: (!args.unannounced).then(|| args.models.clone()),
            style,
            until,
            renew: args.renew,
            pause_hold: Duration::from_millis(args.pause_hold_ms),
        };
        sessions.spawn(place.fill(calls));
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

/// Lists, loads and unloads models until the time is over.
async fn inspect(calls: Calls, until: Until, pause: Duration) -> u64 {
    loop {
        tokio::time::sleep(pause).await;
        if !until.allows(0) {
            return 0;
        }
        calls.inspect_models().await;
    }
}

/// A place for one session at a time.
struct Place {
    number: u64,
    /// Models that its sessions ask for, in turn; without, they are not started at all.
    models: Option<Vec<String>>,
    style: Style,
    until: Until,
    /// Utterances after which another session takes the place.
    renew: Option<u64>,
    pause_hold: Duration,
}

impl Place {
    /// Runs its sessions, the first under the calls' own name. Gives the missing frames.
    async fn fill(self, mut calls: Calls) -> u64 {
        let name = calls.session.clone();
        let (mut gaps, mut index) = (0, 0);
        for session in 0.. {
            if session > 0 {
                calls.session = format!("{name}-{session}");
            }
            let Some(missing) = self.hold(&calls, session, &mut index).await else {
                return gaps;
            };
            gaps += missing;
            if self.renew.is_none() || !self.until.allows(index) {
                return gaps;
            }
        }
        gaps
    }

    /// Runs one session; `index` counts the place's utterances. `None` where it was refused.
    async fn hold(&self, calls: &Calls, session: u64, index: &mut u64) -> Option<u64> {
        if let Some(models) = &self.models {
            let turn = (self.number + session) as usize;
            let model = models.get(turn % models.len().max(1));
            if !calls.start_session(model.map_or("", String::as_str)).await {
                return None;
            }
        }
        let (mut gaps, first) = (0, *index);
        while self.until.allows(*index) && self.renew.is_none_or(|most| *index - first < most) {
            let utterance = plan::utterance(&self.style, self.number, *index);
            tokio::time::sleep(utterance.pause).await;
            gaps += listening::speak(calls, &utterance, self.pause_hold).await;
            *index += 1;
        }
        if self.models.is_some() {
            calls.end_session().await;
        }
        Some(gaps)
    }
}

async fn connect(target: &str, window_bytes: Option<u32>) -> anyhow::Result<Channel> {
    Endpoint::from_shared(format!("http://{target}"))
        .with_context(|| format!("read the target {target}"))?
        .tcp_nodelay(true)
        .initial_stream_window_size(window_bytes)
        .initial_connection_window_size(window_bytes)
        .connect()
        .await
        .with_context(|| format!("connect to {target}"))
}
