//! Methods inferred by the whole pipeline, live and from its capture.

use std::sync::Arc;

use probe_core::metrics::{Limits, Metrics};
use probe_core::model::ModelSettings;
use probe_core::pipeline::{Pipeline, Tap};
use probe_core::profile::Profile;
use probe_core::record::{
    Chunk, ConnectionId, Direction, Joined, KtimeNs, Opened, Process, Record, Role, Side, Tgid,
};

const WORKER: Tgid = Tgid(7);
const CONNECTION: ConnectionId = ConnectionId(1);

/// Holds copies of what a capture would.
#[derive(Default)]
struct Copies(Vec<Vec<u8>>);

impl Tap for Copies {
    fn record(&mut self, record: &Record<'_>) {
        self.0
            .push(postcard::to_allocvec(record).expect("records can be written"));
    }
}

fn pipeline() -> Pipeline {
    let profile = Arc::new(Profile::builtin());
    Pipeline::new(
        profile,
        ModelSettings::default(),
        Metrics::new(Limits::default()),
    )
}

/// Series of what was inferred and of what it made countable.
fn series(pipeline: &Pipeline) -> Vec<String> {
    let families = pipeline.metrics().registry().gather();
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .expect("metrics can be written");
    text.lines()
        .filter(|line| {
            line.starts_with("voxprobe_inferred_methods_total")
                || line.starts_with("worker_audio_frames_emitted_total")
                || line.starts_with("worker_synthesis_requests_total")
        })
        .map(str::to_owned)
        .collect()
}

/// A DATA frame with one audio message of a session.
fn audio(sequence: u8) -> Vec<u8> {
    let mut body = b"\x0a\x09session-1\x12\x80\x0f".to_vec();
    body.extend([0xa5; 1920]);
    body.extend([0x18, 0x80, 0xf7, 0x02, 0x20, 0x14, 0x28, sequence]);
    let mut bytes = (body.len() as u32 + 5).to_be_bytes()[1..].to_vec();
    bytes.extend([0, 0, 0, 0, 0, 9, 0]);
    bytes.extend((body.len() as u32).to_be_bytes());
    bytes.extend(body);
    bytes
}

fn run(pipeline: &mut Pipeline, tap: &mut Copies) {
    let at = KtimeNs(1);
    let process = Record::Process(Process {
        tgid: WORKER,
        at,
        role: Role::Worker,
        name: "tts@0".into(),
        adapter: "test".into(),
    });
    let opened = Record::Opened(Opened {
        connection: CONNECTION,
        tgid: WORKER,
        at,
        side: Some(Side::Server),
        joined: Joined::Late,
        local: None,
        peer: None,
    });
    pipeline.handle(process, Some(tap));
    pipeline.handle(opened, Some(tap));
    let mut offset = 0;
    for sequence in 1..=10 {
        let bytes = audio(sequence);
        let at = KtimeNs(u64::from(sequence) * 20_000_000);
        let length = bytes.len() as u32;
        let chunk = Record::Chunk(Chunk {
            connection: CONNECTION,
            direction: Direction::Sent,
            tid: 7,
            offset,
            enter: at,
            exit: at,
            length,
            bytes: bytes.into(),
            holes: Vec::new().into(),
        });
        offset += u64::from(length);
        pipeline.handle(chunk, Some(tap));
    }
    let at = KtimeNs(1_000_000_000);
    pipeline.handle(Record::Tick { at }, Some(tap));
}

#[test]
fn stream_that_predates_the_probe_is_counted_once_named_and_its_capture_replays_alike() {
    let (mut live, mut capture) = (pipeline(), Copies::default());
    run(&mut live, &mut capture);
    let found = series(&live);
    let has = |text: &str| found.iter().any(|line| line == text);
    assert!(
        has("voxprobe_inferred_methods_total{state=\"inferred\"} 1"),
        "{found:?}"
    );
    // The first push proves the framing, the next three name the method; the others are counted.
    let frames = found
        .iter()
        .find_map(|line| line.strip_prefix("worker_audio_frames_emitted_total{"))
        .and_then(|line| line.split(' ').next_back())
        .and_then(|value| value.parse::<u32>().ok());
    assert!(
        frames.is_some_and(|frames| (5..10).contains(&frames)),
        "{found:?}"
    );
    let mut replayed = pipeline();
    for bytes in &capture.0 {
        let record = postcard::from_bytes(bytes).expect("a record as written");
        replayed.handle(record, None);
    }
    assert_eq!(series(&replayed), found);
}
