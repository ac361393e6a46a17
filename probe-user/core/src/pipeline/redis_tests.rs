//! Redis connections through the whole pipeline.

use super::*;
use crate::{
    metrics::Limits,
    record::{Address, Chunk, Direction, Joined, Opened, Side},
};

const SERVER: Tgid = Tgid(1);
const CLIENT: Tgid = Tgid(2);

/// A pipeline with its records' copies, as a capture would hold them.
struct Host {
    pipeline: Pipeline,
    capture: Copies,
}

#[derive(Default)]
struct Copies(Vec<Record<'static>>);

impl Tap for Copies {
    fn record(&mut self, record: &Record<'_>) {
        let bytes = postcard::to_allocvec(record).unwrap();
        let bytes: &'static [u8] = bytes.leak();
        self.0.push(postcard::from_bytes(bytes).unwrap());
    }
}

impl Host {
    fn new() -> Self {
        let metrics = Metrics::new(Limits::default());
        let profile = Arc::new(Profile::builtin());
        Self {
            pipeline: Pipeline::new(profile, ModelSettings::default(), metrics),
            capture: Copies::default(),
        }
    }

    /// Both a server and a client are watched.
    fn watching() -> Self {
        let mut host = Self::new();
        for (tgid, role) in [(SERVER, Role::Redis), (CLIENT, Role::Orchestrator)] {
            host.handle(Record::Process(Process {
                tgid,
                at: KtimeNs(0),
                role,
                name: String::new(),
                adapter: String::new(),
            }));
        }
        host
    }

    fn handle(&mut self, record: Record<'_>) {
        self.pipeline.handle(record, Some(&mut self.capture));
    }

    fn open(&mut self, id: u64, side: Side, local: Option<&str>, peer: &str) {
        self.join(id, side, Joined::FromStart, local, peer);
    }

    fn join(&mut self, id: u64, side: Side, joined: Joined, local: Option<&str>, peer: &str) {
        let address = |text: &str| Address::Inet(text.parse().unwrap());
        self.handle(Record::Opened(Opened {
            connection: ConnectionId(id),
            tgid: if side == Side::Server { SERVER } else { CLIENT },
            at: KtimeNs(id),
            side: Some(side),
            joined,
            local: local.map(address),
            peer: Some(address(peer)),
        }));
    }

    fn push(&mut self, id: u64, direction: Direction, offset: u64, at: u64, bytes: &str) {
        self.handle(Record::Chunk(Chunk {
            connection: ConnectionId(id),
            direction,
            tid: 1,
            offset,
            enter: KtimeNs(at),
            exit: KtimeNs(at),
            length: bytes.len() as u32,
            bytes: bytes.as_bytes().into(),
            holes: vec![].into(),
        }));
    }

    /// One `SET` and its error at an end.
    fn exchange(&mut self, id: u64, side: Side) {
        self.exchange_again(id, side, 0, 0);
    }

    /// The same after `before` others, so many milliseconds later.
    fn exchange_again(&mut self, id: u64, side: Side, before: u64, ms: u64) {
        use Direction::{Received, Sent};
        let (asks, answers) = match side {
            Side::Client => (Sent, Received),
            Side::Server => (Received, Sent),
        };
        let request = "*3\r\n$3\r\nSET\r\n$10\r\nsecret-key\r\n$12\r\nsecret-value\r\n";
        let answer = "-ERR secret remark\r\n";
        let (asked, answered) = (request.len() as u64, answer.len() as u64);
        self.push(id, asks, before * asked, (ms + 1) * 1_000_000, request);
        self.push(id, answers, before * answered, (ms + 3) * 1_000_000, answer);
    }

    /// Series of the guide's Redis metrics and of what could not be read.
    fn metrics(&self) -> String {
        let families = self.pipeline.metrics().registry().gather();
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&families)
            .unwrap();
        let lines = text.lines().filter(|line| {
            line.starts_with("redis_") || line.starts_with("voxprobe_wire_problems_total")
        });
        lines.fold(String::new(), |all, line| all + line + "\n")
    }

    fn counts(&self, commands: u64) -> bool {
        let expected = format!("redis_command_latency_ms_count{{command=\"SET\"}} {commands}\n");
        self.metrics().contains(&expected)
    }

    fn tick(&mut self) {
        let at = KtimeNs(4_000_000);
        self.handle(Record::Tick { at });
    }
}

#[test]
fn capture_of_redis_replays_to_the_same_metrics_and_holds_no_content() {
    let mut live = Host::watching();
    live.open(11, Side::Client, Some("10.0.0.1:5000"), "10.0.0.2:6379");
    live.exchange(11, Side::Client);
    live.push(11, Direction::Received, 20, 3_500_000, "garbage secret");
    live.tick();
    let metrics = live.metrics();
    assert!(live.counts(1), "{metrics}");
    assert!(
        metrics.contains("redis_connections_active 1\n"),
        "{metrics}"
    );
    let error = "redis_command_errors_total{command=\"SET\",error_type=\"ERR\"} 1\n";
    assert!(metrics.contains(error), "{metrics}");
    assert!(metrics.contains("problem=\"bad_value\"} 1\n"), "{metrics}");
    let mut replayed = Host::new();
    for record in std::mem::take(&mut live.capture.0) {
        if let Record::Chunk(chunk) = &record {
            let text = String::from_utf8_lossy(&chunk.bytes);
            assert!(!text.contains("secret"), "{text}");
        }
        replayed.handle(record);
    }
    let metrics_of_redis = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("redis_"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        metrics_of_redis(&replayed.metrics()),
        metrics_of_redis(&metrics)
    );
}

#[test]
fn connection_seen_at_both_ends_counts_at_the_clients() {
    let mut host = Host::watching();
    host.open(11, Side::Client, Some("10.0.0.1:5000"), "10.0.0.2:6379");
    host.open(12, Side::Server, Some("10.0.0.2:6379"), "10.0.0.1:5000");
    host.exchange(11, Side::Client);
    host.exchange(12, Side::Server);
    host.tick();
    let metrics = host.metrics();
    assert!(host.counts(1), "{metrics}");
    assert!(
        metrics.contains("redis_connections_active 1\n"),
        "{metrics}"
    );
}

#[test]
fn client_found_before_its_server_accepted_counts_at_the_server_until_it_can_be_timed() {
    let mut host = Host::watching();
    let (client, server) = ("10.0.0.1:5000", "10.0.0.2:7000");
    host.join(11, Side::Client, Joined::Late, Some(client), server);
    host.open(12, Side::Server, Some(server), client);
    let mut both = |before, ms| {
        host.exchange_again(11, Side::Client, before, ms);
        host.exchange_again(12, Side::Server, before, ms);
        host.tick();
        host.metrics()
    };
    both(0, 0);
    both(1, 10);
    // A second of silence later the client's end is timed.
    let metrics = both(2, 2_000);
    assert!(host.counts(3), "{metrics}");
    assert!(
        metrics.contains("redis_connections_active 1\n"),
        "{metrics}"
    );
    let of_client = host.pipeline.connections.get(&ConnectionId(11));
    assert!(of_client.is_some_and(Connection::may_pair), "it took over");
}

#[test]
fn client_that_spoke_before_its_server_accepted_goes_on_where_it_was() {
    let mut host = Host::watching();
    let (client, server) = ("10.0.0.1:5000", "10.0.0.2:7000");
    host.join(11, Side::Client, Joined::Late, Some(client), server);
    host.exchange(11, Side::Client);
    host.open(12, Side::Server, Some(server), client);
    host.exchange(12, Side::Server);
    for (before, ms) in [(1, 10), (2, 2_000)] {
        host.exchange_again(11, Side::Client, before, ms);
        host.exchange_again(12, Side::Server, before, ms);
    }
    let counts = &host.pipeline.metrics().probe;
    assert_eq!(counts.stream_gaps.with(&["lost"]).get(), 0);
    assert!(host.counts(3), "{}", host.metrics());
}

#[test]
fn client_that_is_not_watched_counts_at_the_server() {
    let mut host = Host::watching();
    host.open(11, Side::Client, Some("10.0.0.1:5000"), "10.0.0.2:6379");
    host.open(12, Side::Server, Some("10.0.0.2:6379"), "10.0.0.9:5000");
    host.exchange(12, Side::Server);
    assert!(host.counts(1), "{}", host.metrics());
}

#[test]
fn client_whose_address_is_unknown_stands_for_one_connection_of_the_server() {
    let mut host = Host::watching();
    host.open(11, Side::Client, None, "10.0.0.2:6379");
    host.open(12, Side::Server, Some("0.0.0.0:6379"), "10.0.0.1:5000");
    host.open(13, Side::Server, Some("0.0.0.0:6379"), "10.0.0.1:5001");
    for (id, side) in [(11, Side::Client), (12, Side::Server), (13, Side::Server)] {
        host.exchange(id, side);
    }
    assert!(host.counts(2), "{}", host.metrics());
}

#[test]
fn connection_of_which_both_ends_are_gone_counts_at_the_clients() {
    let mut host = Host::watching();
    // The server's port is known by another connection.
    host.open(11, Side::Server, Some("10.0.0.2:7000"), "10.0.0.1:4999");
    host.open(12, Side::Client, None, "10.0.0.2:7000");
    host.open(13, Side::Client, None, "10.0.0.9:7001");
    let mut accept = |id, peer: &str| {
        host.handle(Record::Opened(Opened {
            connection: ConnectionId(id),
            tgid: SERVER,
            at: KtimeNs(id),
            side: Some(Side::Server),
            joined: Joined::FromStart,
            local: None,
            peer: Some(Address::Inet(peer.parse().unwrap())),
        }));
    };
    accept(14, "10.0.0.1:5000");
    accept(15, "10.0.0.1:5001");
    for (id, side) in [(12, Side::Client), (14, Side::Server), (15, Side::Server)] {
        host.exchange(id, side);
    }
    // The one that goes elsewhere is nobody's other end here.
    assert!(host.counts(2), "{}", host.metrics());
}

#[test]
fn refused_connection_to_redis_is_an_error_of_an_unknown_command() {
    let mut host = Host::watching();
    host.open(11, Side::Client, None, "10.0.0.2:6379");
    host.handle(Record::Closed {
        connection: ConnectionId(11),
        at: KtimeNs(20),
        errno: Some(111),
    });
    let error =
        "redis_command_errors_total{command=\"unknown\",error_type=\"connection_error\"} 1\n";
    assert!(host.metrics().contains(error), "{}", host.metrics());
}

/// A worker's registration at either end.
const REGISTRATION: &str = "*4\r\n$5\r\nSETEX\r\n$10\r\nworker:tts\r\n$2\r\n30\r\n$17\r\n\
                            {\"addr\":\"h:7001\"}\r\n";

#[test]
fn registration_is_told_with_who_said_so_and_a_replay_tells_none() {
    let mut host = Host::watching();
    host.open(11, Side::Client, Some("10.0.0.1:5000"), "10.0.0.2:6379");
    host.open(12, Side::Server, Some("10.0.0.2:6379"), "10.0.0.9:5000");
    host.push(11, Direction::Sent, 0, 1_000_000, REGISTRATION);
    host.push(12, Direction::Received, 0, 1_000_000, REGISTRATION);
    let registered = |by, peer: Option<&str>| Registered {
        name: "tts".to_owned(),
        address: Some("h:7001".to_owned()),
        by,
        peer: peer.map(|text| Address::Inet(text.parse().unwrap())),
    };
    let told: Vec<_> = std::iter::from_fn(|| host.pipeline.poll_registered()).collect();
    let expected = [
        registered(Some(CLIENT), None),
        registered(None, Some("10.0.0.9:5000")),
    ];
    assert_eq!(told, expected);
    let mut replayed = Host::new();
    for record in std::mem::take(&mut host.capture.0) {
        if let Record::Chunk(chunk) = &record {
            let text = String::from_utf8_lossy(&chunk.bytes);
            assert!(!text.contains("tts") && !text.contains("7001"), "{text}");
        }
        replayed.handle(record);
    }
    assert_eq!(replayed.pipeline.poll_registered(), None);
}

#[test]
fn registrations_that_nobody_polls_are_bounded() {
    let mut host = Host::watching();
    host.open(11, Side::Client, Some("10.0.0.1:5000"), "10.0.0.2:6379");
    let many = REGISTRATION.repeat(100);
    for index in 0..20 {
        let offset = index * many.len() as u64;
        host.push(11, Direction::Sent, offset, 1_000_000 + index, &many);
    }
    let told = std::iter::from_fn(|| host.pipeline.poll_registered()).count();
    assert_eq!(told, 1024);
}
