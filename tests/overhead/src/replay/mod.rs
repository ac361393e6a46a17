//! `replay`: records that one CPU takes in a second, from a capture file and as they come live.
//!
//! The records are those of a voice system that exists nowhere: what its processes send and receive is
//! made here, the same in each run, and goes through the core as the kernel side would tell it. What
//! the core then says may be kept is the capture, as it is for `voxprobe record`.

mod grpc;
mod redis;
mod scene;
mod speech;
mod websocket;

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use probe_core::metrics::{Limits, Metrics};
use probe_core::model::ModelSettings;
use probe_core::pipeline::{Pipeline, Tap};
use probe_core::profile::Profile;
use probe_core::record::{Chunk, Record};
use probe_user::capture::{Header, Writer};
use rustix::time::{ClockId, clock_gettime};

use crate::machine;
use crate::sample::spread;
use scene::Scene;

/// Streams, sessions or connections at the same time.
const STREAMS: usize = 300;
/// Nanoseconds of a frame of audio.
const FRAME_NS: u64 = 20_000_000;
/// Frames of each stream in a capture, 30 s: its replay takes long against the 10 ms in which the kernel
/// tells the CPU time of a process that has ended.
const CAPTURED_FRAMES: u32 = 1500;
/// Frames of each stream that the core takes live.
const LIVE_FRAMES: u32 = 150;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The agent, whose `replay` is measured
    #[arg(long)]
    voxprobe: PathBuf,
    /// Times that everything is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
}

/// What is said on the connections.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Grpc,
    WebSocket,
    Deflate,
    Redis,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Grpc, Self::WebSocket, Self::Deflate, Self::Redis];

    /// Whether its capture is one of its own: of a WebSocket connection it holds what was read, and
    /// nothing tells how that was compressed.
    fn is_captured(self) -> bool {
        !matches!(self, Self::Deflate)
    }

    fn begin(self, scene: &mut Scene) -> Box<dyn Traffic> {
        match self {
            Self::Grpc => Box::new(grpc::Grpc::begin(scene)),
            Self::WebSocket => Box::new(websocket::WebSocket::begin(scene, false)),
            Self::Deflate => Box::new(websocket::WebSocket::begin(scene, true)),
            Self::Redis => Box::new(redis::Redis::begin(scene)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Grpc => "gRPC audio",
            Self::WebSocket => "gRPC to WebSocket",
            Self::Deflate => "the same, deflate",
            Self::Redis => "Redis",
        })
    }
}

/// What goes on for as long as it is watched.
trait Traffic {
    /// The next frame of all streams.
    fn step(&mut self, scene: &mut Scene);
}

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let directory = tempfile::tempdir().context("make a temporary directory")?;
    println!("{}", machine::facts()?);
    println!(
        "{STREAMS} streams; million records a second of one CPU, median (best) of {}",
        arguments.repetitions
    );
    println!("{:<18} {:>17} {:>17}", "", "replay", "live");
    for kind in Kind::ALL {
        let capture = directory.path().join("bench.vxcap");
        let captured = kind.is_captured().then(|| record(kind, &capture));
        let captured = captured.transpose()?;
        let (mut replayed, mut live) = (Vec::new(), Vec::new());
        for _ in 0..arguments.repetitions {
            if let Some(records) = captured {
                let cpu = replay(&arguments.voxprobe, &capture)?;
                replayed.push(records as f64 / cpu.as_secs_f64());
            }
            live.push(rate(kind));
        }
        let replayed = captured.map_or_else(|| "as above".to_owned(), |_| line(&replayed));
        println!("{kind:<18} {replayed:>17} {:>17}", line(&live));
    }
    Ok(())
}

/// Median and best of some rates, in millions.
fn line(rates: &[f64]) -> String {
    let best = rates.iter().copied().fold(0.0, f64::max);
    let median = spread(rates).map_or(0.0, |spread| spread.median);
    format!("{:.2} ({:.2})", median / 1e6, best / 1e6)
}

fn pipeline() -> Pipeline {
    let profile = Arc::new(Profile::builtin());
    let metrics = Metrics::new(Limits::default());
    Pipeline::new(profile, ModelSettings::default(), metrics)
}

/// Writes the capture; the records in it.
fn record(kind: Kind, capture: &Path) -> Result<u64> {
    let header = Header {
        profile: Profile::BUILTIN.to_owned(),
        prebuffer_ms: ModelSettings::default().prebuffer_ms,
        max_session_labels: Limits::default().sessions as u64,
        ..Header::default()
    };
    let mut file = CaptureFile {
        writer: Writer::create(capture, &header).context("create a capture")?,
        failed: None,
    };
    let (mut pipeline, mut scene) = (pipeline(), Scene::new());
    let mut traffic = kind.begin(&mut scene);
    for _ in 0..CAPTURED_FRAMES {
        traffic.step(&mut scene);
        for record in scene.take() {
            pipeline.handle(record, Some(&mut file));
        }
    }
    if let Some(error) = file.failed {
        return Err(error).context("write a capture");
    }
    let records = file.writer.records();
    file.writer.finish().context("finish a capture")?;
    Ok(records)
}

struct CaptureFile {
    writer: Writer,
    failed: Option<std::io::Error>,
}

impl Tap for CaptureFile {
    fn record(&mut self, record: &Record<'_>) {
        if let Err(error) = self.writer.record(record) {
            self.failed.get_or_insert(error);
        }
    }
}

/// CPU time of one replay, from its start to its end.
fn replay(voxprobe: &Path, capture: &Path) -> Result<Duration> {
    let before = cpu_of_children()?;
    let mut command = Command::new(voxprobe);
    command.arg("replay").arg(capture).stdout(Stdio::null());
    let status = command.status().context("start voxprobe")?;
    ensure!(status.success(), "voxprobe replay ended with {status}");
    Ok(cpu_of_children()?.saturating_sub(before))
}

/// CPU time, user and system, of the processes that this one has waited for.
fn cpu_of_children() -> Result<Duration> {
    let stat = procfs::process::Process::myself()
        .and_then(|process| process.stat())
        .context("read the CPU time of children")?;
    let ticks = (stat.cutime + stat.cstime) as f64;
    Ok(Duration::from_secs_f64(
        ticks / procfs::ticks_per_second() as f64,
    ))
}

/// Records a second that the core takes as the kernel side tells them, with all their bytes.
fn rate(kind: Kind) -> f64 {
    let (mut pipeline, mut scene) = (pipeline(), Scene::new());
    let mut traffic = kind.begin(&mut scene);
    let (mut count, mut cpu) = (0, Duration::ZERO);
    for _ in 0..LIVE_FRAMES {
        traffic.step(&mut scene);
        let records = scene.take();
        let before = cpu_of_thread();
        for record in &records {
            pipeline.handle(lent(record), None);
        }
        cpu += cpu_of_thread().saturating_sub(before);
        count += records.len();
    }
    count as f64 / cpu.as_secs_f64()
}

/// The record with its bytes lent, as they lie in the ring.
fn lent<'a>(record: &'a Record<'static>) -> Record<'a> {
    match record {
        Record::Chunk(chunk) => Record::Chunk(Chunk {
            bytes: Cow::Borrowed(&chunk.bytes),
            holes: chunk.holes.clone(),
            ..*chunk
        }),
        other => other.clone(),
    }
}

fn cpu_of_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the metrics say after some frames of a kind.
    fn metrics(kind: Kind, frames: u32) -> String {
        let (mut pipeline, mut scene) = (pipeline(), Scene::new());
        let mut traffic = kind.begin(&mut scene);
        for _ in 0..frames {
            traffic.step(&mut scene);
            for record in scene.take() {
                pipeline.handle(record, None);
            }
        }
        let text = probe_user::export::encode(pipeline.metrics().registry());
        String::from_utf8(text.expect("metrics can be written")).expect("they are text")
    }

    /// The sum of a metric's series.
    fn sum(metrics: &str, name: &str) -> usize {
        crate::http::sum(metrics, name).unwrap_or_default() as usize
    }

    #[test]
    fn every_frame_of_the_worker_counts_and_is_in_time() {
        let metrics = metrics(Kind::Grpc, 320);
        let silent = (0..STREAMS).map(|index| index * grpc::BEGINNING_FRAMES / STREAMS);
        let silent: usize = silent.sum();
        let frames = 320 * STREAMS - silent;
        assert_eq!(sum(&metrics, "worker_audio_frames_emitted_total"), frames);
        assert_eq!(sum(&metrics, "worker_audio_underruns_total"), 0);
        assert_eq!(sum(&metrics, "voxprobe_wire_problems_total"), 0);
    }

    #[test]
    fn every_message_to_a_client_is_read() {
        for kind in [Kind::WebSocket, Kind::Deflate] {
            let metrics = metrics(kind, 10);
            let sent = sum(&metrics, "orchestrator_websocket_messages_sent_total");
            let received = sum(&metrics, "orchestrator_websocket_messages_received_total");
            // Each client says one thing, beside its wish to upgrade, and is told one beside the audio.
            assert_eq!(sent, 11 * STREAMS, "{kind}");
            assert_eq!(received, 2 * STREAMS, "{kind}");
            assert_eq!(sum(&metrics, "voxprobe_wire_problems_total"), 0, "{kind}");
        }
    }

    #[test]
    fn every_command_has_its_answer() {
        let metrics = metrics(Kind::Redis, 20);
        let commands = sum(&metrics, "redis_command_latency_ms_count");
        assert_eq!(commands, 2 * 20 * STREAMS);
    }
}
