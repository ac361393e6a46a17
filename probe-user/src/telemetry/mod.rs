//! Logs on stderr: the guide's schema as one JSON object a line, or text for people.
//!
//! Nothing is written before it was redacted.

mod layer;
mod limit;
mod redact;

use serde::{Deserialize, Serialize};
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _};

pub use limit::{LeftOut, Limiter};
pub use redact::redact;

/// Lines of one kind of event in a minute, where nothing else is said: two a second.
pub const EVENTS_PER_MINUTE: u32 = 120;

/// How much, and how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least level that is written.
    pub level: Level,
    /// Form of a line.
    pub format: Format,
    /// Most lines of one kind of event in a minute.
    pub events_per_minute: u32,
}

/// Log levels by the guide's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Connections, records, the kernel side's own messages.
    Debug,
    /// Processes found and gone, models, GPUs.
    Info,
    /// Something is missing or degraded; the rest runs.
    Warning,
    /// Something failed.
    Error,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object.
    Json,
    /// Time, level, message, fields.
    Text,
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warning => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }

    /// Level for the kernel side: its messages cost a helper call, so they are compiled out above
    /// debug.
    pub fn kernel(self) -> log::LevelFilter {
        match self {
            Self::Debug => log::LevelFilter::Debug,
            _ => log::LevelFilter::Off,
        }
    }
}

/// Starts logging for this process. A second call does nothing.
pub fn init(settings: Settings) {
    let subscriber = tracing_subscriber::registry()
        .with(settings.level.filter())
        .with(layer::Lines::new(settings.format));
    if tracing::subscriber::set_global_default(subscriber).is_ok()
        // Only aya's kernel-side messages come through the `log` crate.
        && let Err(error) = tracing_log::LogTracer::init()
    {
        tracing::debug!(%error, "messages of the kernel side are not shown");
    }
}
