//! WebSocket connections through the whole pipeline, live and from a capture.

use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::record::{Chunk, Joined, Opened, Side};
use crate::{
    flow::Origin,
    interpret::{ClientEvent, ClientWhat, Command, MessageKind},
    metrics::Limits,
    record::Direction,
};

const ORCHESTRATOR: Tgid = Tgid(7);

/// What must not be in a capture: audio, text, and what the upgrade's request says.
const SECRETS: [&str; 4] = ["UENNUENN", "speak this", "token", "cookie"];

/// A pipeline and the records that a capture of it holds, as its file has them.
struct Host {
    pipeline: Pipeline,
    capture: Copies,
    /// Bytes of each connection and direction so far.
    offsets: HashMap<(u64, bool), u64>,
    at: u64,
}

#[derive(Default)]
struct Copies(Vec<Vec<u8>>);

impl Tap for Copies {
    fn record(&mut self, record: &Record<'_>) {
        self.0.push(postcard::to_allocvec(record).unwrap());
    }
}

impl Host {
    fn new() -> Self {
        let metrics = Metrics::new(Limits::default());
        let profile = Arc::new(Profile::builtin());
        Self {
            pipeline: Pipeline::new(profile, ModelSettings::default(), metrics),
            capture: Copies::default(),
            offsets: HashMap::new(),
            at: 0,
        }
    }

    fn handle(&mut self, record: Record<'_>) {
        self.pipeline.handle(record, Some(&mut self.capture));
    }

    fn open(&mut self, id: u64, joined: Joined) {
        self.handle(Record::Process(Process {
            tgid: ORCHESTRATOR,
            at: KtimeNs(0),
            role: Role::Orchestrator,
            name: String::new(),
            adapter: String::new(),
        }));
        self.handle(Record::Opened(Opened {
            connection: ConnectionId(id),
            tgid: ORCHESTRATOR,
            at: KtimeNs(1),
            side: Some(Side::Server),
            joined,
            local: None,
            peer: None,
        }));
    }

    fn push(&mut self, id: u64, direction: Direction, bytes: &[u8]) {
        self.at += 1;
        let key = (id, direction == Direction::Sent);
        let offset = self.offsets.entry(key).or_default();
        let chunk = Chunk {
            connection: ConnectionId(id),
            direction,
            tid: 7,
            offset: *offset,
            enter: KtimeNs(self.at),
            exit: KtimeNs(self.at),
            length: bytes.len() as u32,
            bytes: bytes.into(),
            holes: vec![].into(),
        };
        *offset += bytes.len() as u64;
        self.handle(Record::Chunk(chunk));
    }

    fn upgrade(&mut self, id: u64, extensions: &str) {
        let request = b"GET /ws?token=a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Cookie: cookie\r\n\r\n";
        self.push(id, Direction::Received, request);
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             {extensions}\r\n"
        );
        self.push(id, Direction::Sent, response.as_bytes());
    }

    fn closed(&mut self, id: u64, errno: Option<i32>) {
        self.handle(Record::Closed {
            connection: ConnectionId(id),
            at: KtimeNs(self.at + 1),
            errno,
        });
    }

    /// Events, after the capture was replayed to the same ones and seen to hold no content.
    fn told(self) -> Vec<ClientEvent> {
        let mut replayed = Self::new();
        for bytes in &self.capture.0 {
            let text = String::from_utf8_lossy(bytes);
            for secret in SECRETS {
                assert!(!text.contains(secret), "{text}");
            }
            let record = postcard::from_bytes(bytes).unwrap();
            if let Record::Chunk(chunk) = &record {
                assert!(chunk.bytes.is_empty(), "{chunk:?}");
            }
            replayed.handle(record);
        }
        assert_eq!(replayed.pipeline.told, self.pipeline.told);
        assert_eq!(
            replayed.series("voxprobe_connections{"),
            self.series("voxprobe_connections{")
        );
        self.pipeline.told
    }

    /// What is exported about connections.
    fn series(&self, name: &str) -> Vec<String> {
        let families = self.pipeline.metrics().registry().gather();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&families)
            .unwrap();
        let lines = text
            .lines()
            .filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
        lines.map(str::to_owned).collect()
    }
}

fn frame(direction: Direction, first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let key = [1, 2, 3, 4];
    let mut bytes = vec![first, payload.len() as u8];
    if direction == Direction::Received {
        bytes[1] |= 0x80;
        bytes.extend(key);
        let masked = payload.iter().zip(key.iter().cycle());
        bytes.extend(masked.map(|(byte, key)| byte ^ key));
    } else {
        bytes.extend(payload);
    }
    bytes
}

const SAYS: [(Direction, &str); 6] = [
    (
        Direction::Sent,
        r#"{"type":"session_start","session_id":"ws-1"}"#,
    ),
    (
        Direction::Received,
        r#"{"type":"text","text":"speak this","is_final":true}"#,
    ),
    (
        Direction::Sent,
        r#"{"type":"audio","pcm":"UENNUENNUENN","frame_ms":20,"sequence":1}"#,
    ),
    (
        Direction::Received,
        r#"{"type":"control","command":"PAUSE"}"#,
    ),
    (
        Direction::Sent,
        r#"{"type":"error","message":"speak this","code":"INTERNAL_ERROR"}"#,
    ),
    (
        Direction::Sent,
        r#"{"type":"session_end","session_id":"ws-1","reason":"done"}"#,
    ),
];

const KINDS: [MessageKind; 6] = [
    MessageKind::SessionStarted,
    MessageKind::TextChunk,
    MessageKind::AudioFrame,
    MessageKind::Control,
    MessageKind::Error,
    MessageKind::SessionEnded,
];

fn kinds(told: &[ClientEvent]) -> Vec<MessageKind> {
    let kind = |event: &ClientEvent| match &event.what {
        ClientWhat::Message { kind, .. } => Some(*kind),
        _ => None,
    };
    told.iter().filter_map(kind).collect()
}

fn end(told: &[ClientEvent]) -> Option<ConnectionEnd> {
    match told.last()?.what {
        ClientWhat::Ended(end) => Some(end),
        _ => None,
    }
}

fn converse(host: &mut Host, id: u64, compressed: bool) {
    let mut windows = [0, 1].map(|_| Compress::new(Compression::default(), false));
    for (direction, json) in SAYS {
        let bytes = if compressed {
            let mut payload = Vec::with_capacity(1024);
            windows[direction.index()]
                .compress_vec(json.as_bytes(), &mut payload, FlushCompress::Sync)
                .unwrap();
            payload.truncate(payload.len() - 4);
            frame(direction, 0xc1, &payload)
        } else {
            frame(direction, 0x81, json.as_bytes())
        };
        host.push(id, direction, &bytes);
    }
}

#[test]
fn session_is_told_and_its_capture_replays_alike_without_content() {
    for extensions in ["", "Sec-WebSocket-Extensions: permessage-deflate\r\n"] {
        let mut host = Host::new();
        host.open(1, Joined::FromStart);
        host.upgrade(1, extensions);
        converse(&mut host, 1, !extensions.is_empty());
        let close = frame(Direction::Received, 0x88, b"\x03\xe8speak this");
        host.push(1, Direction::Received, &close);
        let open = "voxprobe_connections{joined=\"from_start\",protocol=\"websocket\"} 1";
        assert_eq!(host.series("voxprobe_connections{"), [open]);
        host.closed(1, None);
        let told = host.told();
        assert!(told.iter().all(|event| event.process == ORCHESTRATOR));
        let requested = Some(KtimeNs(1));
        assert_eq!(told[0].what, ClientWhat::Upgraded { requested });
        assert_eq!(kinds(&told), KINDS);
        let fields = |index: usize| match &told[index].what {
            ClientWhat::Message { fields, .. } => fields.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(fields(1).session.unwrap().as_str(), "ws-1");
        assert_eq!(fields(2).is_final, Some(true));
        assert_eq!(
            (fields(3).sequence, fields(3).duration_ms),
            (Some(1), Some(20))
        );
        assert_eq!(fields(4).command, Some(Command::Pause));
        assert_eq!(fields(5).code.unwrap().as_str(), "INTERNAL_ERROR");
        assert_eq!(fields(6).reason.unwrap().as_str(), "done");
        let closing = ClientWhat::Closing {
            by: Origin::Client,
            code: Some(1000),
            keep_alive_timeout: false,
        };
        assert_eq!(told[7].what, closing);
        assert_eq!(end(&told), Some(ConnectionEnd::LocallyClosed));
    }
}

#[test]
fn session_older_than_the_probe_is_told_and_replays_alike() {
    for compressed in [false, true] {
        let mut host = Host::new();
        host.open(1, Joined::Late);
        converse(&mut host, 1, compressed);
        host.closed(1, Some(104));
        let told = host.told();
        assert_eq!(told[0].what, ClientWhat::Upgraded { requested: None });
        let mut kinds = kinds(&told);
        let mut expected = if compressed {
            vec![MessageKind::Unknown; KINDS.len()]
        } else {
            KINDS.to_vec()
        };
        kinds.sort_unstable();
        expected.sort_unstable();
        assert_eq!(kinds, expected);
        assert_eq!(end(&told), Some(ConnectionEnd::Reset));
    }
}

#[test]
fn each_way_to_end_is_told_apart() {
    let ended = |record: &dyn Fn(KtimeNs) -> Record<'static>| {
        let mut host = Host::new();
        host.open(1, Joined::FromStart);
        host.upgrade(1, "");
        host.handle(record(KtimeNs(9)));
        host.closed(1, None);
        end(&host.told())
    };
    let connection = ConnectionId(1);
    let half_closed = |direction| {
        ended(&|at| Record::HalfClosed {
            connection,
            direction,
            at,
        })
    };
    assert_eq!(
        half_closed(Direction::Received),
        Some(ConnectionEnd::PeerClosed)
    );
    assert_eq!(
        half_closed(Direction::Sent),
        Some(ConnectionEnd::LocallyClosed)
    );
    let errno = Some(32);
    let reset = ended(&|at| Record::Closed {
        connection,
        at,
        errno,
    });
    assert_eq!(reset, Some(ConnectionEnd::Reset));
    let tgid = ORCHESTRATOR;
    let process = ended(&|at| Record::ProcessEnded { tgid, at });
    assert_eq!(process, Some(ConnectionEnd::ProcessEnded));
}

#[test]
fn connection_that_is_no_websocket_is_not_wanted() {
    let mut host = Host::new();
    host.open(1, Joined::FromStart);
    host.push(1, Direction::Received, b"GET / HTTP/1.1\r\n\r\n");
    host.push(1, Direction::Sent, b"HTTP/1.1 200 OK\r\n\r\nspeak this");
    host.push(1, Direction::Sent, b"speak this");
    assert_eq!(host.pipeline.poll_unwanted(), Some(ConnectionId(1)));
    assert_eq!(host.pipeline.poll_unwanted(), None, "told once");
    let other = "voxprobe_connections{joined=\"from_start\",protocol=\"other\"} 1";
    assert_eq!(host.series("voxprobe_connections{"), [other]);
    assert!(host.told().is_empty());
}

#[test]
fn end_before_the_protocol_is_told_is_a_problem_where_anything_was_said() {
    let mut host = Host::new();
    host.open(1, Joined::FromStart);
    host.closed(1, None);
    let problems = |host: &Host| host.series("voxprobe_wire_problems_total{");
    assert!(problems(&host).is_empty());
    host.open(2, Joined::FromStart);
    host.push(2, Direction::Received, b"GE");
    host.closed(2, None);
    let cut_short = "voxprobe_wire_problems_total{problem=\"cut_short\"} 1";
    assert_eq!(problems(&host), [cut_short]);
}

#[test]
fn lost_chunk_is_told_and_replays_alike() {
    let mut host = Host::new();
    host.open(1, Joined::FromStart);
    host.upgrade(1, "");
    *host.offsets.get_mut(&(1, true)).unwrap() += 50;
    converse(&mut host, 1, false);
    // What came behind the hole is held until the lost chunk is given up.
    host.at = 1_000_000_000;
    host.handle(Record::Tick {
        at: KtimeNs(host.at),
    });
    converse(&mut host, 1, false);
    host.closed(1, None);
    let told = host.told();
    let lost = ClientWhat::MessagesLost {
        origin: Origin::Server,
    };
    assert!(told.iter().any(|event| event.what == lost));
    assert_eq!(kinds(&told).len(), 2 * KINDS.len());
}

#[test]
fn capture_that_tells_of_a_connection_nobody_opened_is_no_harm() {
    let mut host = Host::new();
    host.handle(Record::WebSocket(WebSocketEvent {
        connection: ConnectionId(9),
        side: Side::Server,
        at: KtimeNs(1),
        what: crate::record::WebSocketWhat::Upgraded { requested: None },
    }));
    assert!(host.told().is_empty());
}
