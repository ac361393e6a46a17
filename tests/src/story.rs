//! The main story: clients stream, the probe comes, and more clients come after it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use probe_core::record::{Address, Direction};
use voicelab::truth::{Event, Line};

use crate::capture::Capture;
use crate::exposition::Exposition;
use crate::http2;
use crate::lab::Lab;
use crate::peer::{Client, Kind, Server};
use crate::probe::{self, Probe, SETTLE};

/// Sessions of the clients that connect after the probe is attached begin with this.
const LATE: &str = "late";

/// The model that only they use.
pub const LATE_MODEL: &str = "tone-large";

/// Clients that stream when the probe comes, and as many that come later.
const CLIENTS: usize = 8;

/// Frames that must have been sent before the probe starts, over all early clients.
const EARLY_FRAMES: usize = 200;

/// How long the clients may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(90);

/// Smallest length of a message with audio, in bytes: 1920 and a few of other fields.
const AUDIO_MESSAGE_BYTES: u32 = 1920;

/// Everything a run of the story left behind.
pub struct Story {
    /// The agent's last metrics, when everybody was silent.
    pub metrics: Exposition,
    /// What the worker says it did.
    pub truth: Vec<Line>,
    /// The capture that was recorded meanwhile.
    pub capture: PathBuf,
    _lab: Lab,
}

impl Story {
    /// Tells the story with a worker of this kind and clients of the same family. `None` where the
    /// interpreter is missing; that is said.
    pub fn tell(kind: Kind) -> Option<Self> {
        let lab = Lab::new();
        let capture = lab.path("story.vxcap");
        let worker = Server::start(&lab, kind, &[])?;
        let sessions = CLIENTS.to_string();
        let own = ["--sessions", &sessions, "--connection-per-session"];
        let client = |more: &[&str]| match kind {
            Kind::GrpcAio | Kind::GrpcSync => {
                Client::grpc_aio(&lab, &worker, &[&own, more].concat())
            }
            Kind::Tonic | Kind::Stamper => {
                Some(Client::tonic(&lab, &worker, &[&own, more].concat()))
            }
        };
        let early = client(&[
            "--session-prefix",
            "early",
            "--models",
            "tone-small",
            "--text-length",
            "220",
        ])?;
        worker.wait_for_frames(EARLY_FRAMES);

        let file = capture.to_string_lossy().into_owned();
        let probe = Probe::watch(&lab, &[worker.pid()], &["--record", &file]);
        let late = client(&[
            "--session-prefix",
            LATE,
            "--models",
            LATE_MODEL,
            "--controls",
            "--utterances",
            "3",
        ])?;
        late.finish(CLIENT_LIMIT);
        early.finish(CLIENT_LIMIT);
        // The last records are on their way.
        let active = |scrape: &Exposition| {
            let ends = scrape.sum("worker_synthesis_duration_ms_count", LATE_STREAMS);
            ends >= (CLIENTS * 3) as f64 && scrape.sum("worker_sessions_active", &[]) == 0.0
        };
        probe.scrape_until(SETTLE, active);
        let metrics = probe.stop();
        let truth = worker.terminate().truth;
        Some(Self {
            metrics,
            truth,
            capture,
            _lab: lab,
        })
    }

    /// Part of the bytes sent that the kernel side left where they were.
    pub fn unread_share(&self) -> f64 {
        let bytes = |name, label| self.metrics.sum(name, &[label]);
        let unread = bytes("voxprobe_stream_gap_bytes_total", ("reason", "unread"));
        unread / bytes("voxprobe_stream_bytes_total", ("direction", "sent"))
    }

    /// Frames with audio that the worker handed over for each late session.
    pub fn frames_by_late_session(&self) -> BTreeMap<String, u64> {
        let mut frames = BTreeMap::new();
        for line in &self.truth {
            if let Event::Frame { session, bytes, .. } = &line.event
                && session.starts_with(LATE)
                && *bytes > 0
            {
                *frames.entry(session.clone()).or_default() += 1;
            }
        }
        frames
    }

    /// Synthesize calls of the late sessions.
    pub fn late_requests(&self) -> usize {
        let is_late = |line: &&Line| match &line.event {
            Event::StreamStart { session, .. } => session.starts_with(LATE),
            _ => false,
        };
        self.truth.iter().filter(is_late).count()
    }

    /// Control commands by name; only late sessions send any.
    pub fn commands(&self) -> BTreeMap<String, u64> {
        let mut commands = BTreeMap::new();
        for line in &self.truth {
            if let Event::ControlReceived { command, .. } = &line.event {
                *commands.entry(command.clone()).or_default() += 1;
            }
        }
        commands
    }

    /// The same counts as the agent has them, in the same order and form.
    pub fn seen(&self) -> (BTreeMap<String, u64>, usize, BTreeMap<String, u64>) {
        let mut frames = self
            .metrics
            .by_label("worker_audio_frames_emitted_total", "session_id");
        frames.retain(|session, _| session.starts_with(LATE));
        let requests = self
            .metrics
            .sum("worker_synthesis_requests_total", LATE_STREAMS);
        let commands = self
            .metrics
            .by_label("worker_control_commands_total", "command");
        (frames, requests as usize, commands)
    }

    /// Jitter in nanoseconds of the late streams' frames, by the worker's own stamps and by the
    /// capture: the same intervals, those across a pause left out.
    pub fn jitter_ns(&self) -> (Vec<u64>, Vec<u64>) {
        let events = probe::replay_events(&self.capture);
        let (mut stamped, mut seen) = (Vec::new(), Vec::new());
        for (peer, streams) in self.late_streams() {
            let captured = captured_frames(&events, &peer);
            assert_eq!(captured.len(), streams.len(), "streams of {peer}");
            for (own, captured) in streams.iter().zip(&captured) {
                assert_eq!(captured.len(), own.times_ns.len(), "frames of a stream");
                stamped.extend(own.jitter(&own.times_ns));
                seen.extend(own.jitter(captured));
            }
        }
        (stamped, seen)
    }

    /// The late streams' frames as the worker stamped them, by its peer, in the streams' order.
    fn late_streams(&self) -> BTreeMap<String, Vec<Stamped>> {
        let mut peers = BTreeMap::new();
        let mut streams: BTreeMap<u64, Stamped> = BTreeMap::new();
        for Line { t_ns, event } in &self.truth {
            match event {
                Event::StreamStart {
                    stream,
                    session,
                    peer,
                    ..
                } if session.starts_with(LATE) => {
                    peers.insert(*stream, peer.clone());
                    streams.insert(*stream, Stamped::default());
                }
                Event::Frame { stream, bytes, .. } if *bytes > 0 => {
                    if let Some(of_stream) = streams.get_mut(stream) {
                        of_stream.times_ns.push(*t_ns);
                    }
                }
                Event::ControlEffective {
                    stream,
                    command,
                    last_sequence,
                    ..
                } if command == "PAUSE" => {
                    if let Some(of_stream) = streams.get_mut(stream) {
                        of_stream.paused_after.push(*last_sequence);
                    }
                }
                _ => {}
            }
        }
        let mut by_peer: BTreeMap<String, Vec<Stamped>> = BTreeMap::new();
        for (stream, stamped) in streams {
            let peer = peers.remove(&stream).unwrap_or_default();
            by_peer.entry(peer).or_default().push(stamped);
        }
        by_peer
    }
}

/// Streams of the late sessions.
const LATE_STREAMS: &[(&str, &str)] = &[("model_id", LATE_MODEL)];

/// One stream by the worker's own account.
#[derive(Default)]
struct Stamped {
    times_ns: Vec<u64>,
    paused_after: Vec<i64>,
}

impl Stamped {
    /// Distance of each interval from the frame's 20 ms.
    fn jitter<'a>(&'a self, times_ns: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
        let intervals = times_ns.windows(2).enumerate();
        intervals
            .filter(|(index, _)| !self.paused_after.contains(&(*index as i64 + 1)))
            .map(|(_, pair)| pair[1].abs_diff(pair[0]).abs_diff(20_000_000))
    }
}

/// When each frame with audio of each call on one connection was sent, in the calls' order.
fn captured_frames(events: &Capture, peer: &str) -> Vec<Vec<u64>> {
    let address = Address::Inet(peer.parse().unwrap_or_else(|e| panic!("{peer}: {e}")));
    let opened = events
        .accepted_from(&address)
        .unwrap_or_else(|| panic!("no connection from {peer} in the capture"));
    let stream = events.stream(opened.connection, Direction::Sent);
    assert_eq!(stream.discontinuity(), None, "bytes sent to {peer}");
    let calls = http2::messages(&stream, 0).into_values();
    calls
        .map(|messages| {
            let audio = messages
                .into_iter()
                .filter(|message| message.length >= AUDIO_MESSAGE_BYTES);
            audio.map(|message| message.at_ns).collect::<Vec<_>>()
        })
        .filter(|frames| !frames.is_empty())
        .collect()
}

/// A capture's records without compression.
pub fn decompressed(capture: &Path) -> Vec<u8> {
    /// Bytes before the compressed part: the format's name and version.
    const MAGIC_BYTES: usize = 8;
    let file = std::fs::read(capture).expect("read the capture");
    let mut records = Vec::new();
    let mut stream = lz4_flex::frame::FrameDecoder::new(&file[MAGIC_BYTES..]);
    std::io::Read::read_to_end(&mut stream, &mut records).expect("decompress the capture");
    records
}

/// Whether bytes occur in others.
pub fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}
