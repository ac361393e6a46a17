//! Garbage on every watched port: counted, bounded, and no other connection is affected.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use probe_tests::account;
use probe_tests::exposition::Exposition;
use probe_tests::garbage::{self, Garbage};
use probe_tests::lab::Lab;
use probe_tests::orchestra::{self, Front, Orchestrator, Talker};
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::process::Process;
use probe_tests::redis::Redis;
use probe_tests::skip::unprivileged;
use voicelab::truth::{Event, measures};

/// How long the clients beside the garbage may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(90);

/// Resident bytes that garbage may cost at most: a sixteenth of what one deflate bomb blows up to. It
/// costs about half a million.
const MOST_GROWTH_BYTES: f64 = 16e6;

/// Compressed messages among the garbage that are complete and cannot be read.
const UNREADABLE: f64 = 2.0;

fn here(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// A probe, and what it held before the garbage.
struct Bounded {
    probe: Probe,
    before: f64,
}

impl Bounded {
    fn new(probe: Probe) -> Self {
        let before = resident(&probe.scrape());
        Self { probe, before }
    }

    /// Sends one piece, and asserts that it is counted.
    #[track_caller]
    fn assert_counted(&self, garbage: &Garbage, to: SocketAddr) {
        let Garbage { name, problem, .. } = *garbage;
        let count = |scrape: &Exposition| {
            let opened = scrape.sum("voxprobe_records_total", &[("kind", "opened")]);
            let problems = problem
                .map(|problem| scrape.sum("voxprobe_wire_problems_total", &[("problem", problem)]));
            (opened, problems)
        };
        let before = count(&self.probe.scrape());
        garbage.send(to);
        let counted = |scrape: &Exposition| {
            let now = count(scrape);
            now.0 > before.0 && (problem.is_none() || now.1 > before.1)
        };
        let scrape = self.probe.scrape_until(SETTLE, counted);
        let found = scrape.by_label("voxprobe_wire_problems_total", "problem");
        assert!(counted(&scrape), "{name}: no {problem:?} among {found:?}");
    }

    /// Ends the probe, which must be well: its last metrics.
    #[track_caller]
    #[allow(clippy::print_stdout, reason = "the figure that the test measures")]
    fn stop(self) -> Exposition {
        let last = self.probe.stop();
        let grown = resident(&last) - self.before;
        println!("garbage: {:.1} MB more resident", grown / 1e6);
        assert!(grown < MOST_GROWTH_BYTES, "{grown} bytes more");
        assert_lossless(&last);
        last
    }
}

fn resident(scrape: &Exposition) -> f64 {
    let resident = scrape.sum("voxprobe_resident_memory_bytes", &[]);
    assert!(resident > 0.0);
    resident
}

#[test]
fn garbage_for_a_worker_leaves_its_other_connections_exact() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &[]);
    let bounded = Bounded::new(Probe::watch(&lab, &[worker.pid()], &[]));
    let arguments = [
        "--sessions",
        "4",
        "--utterances",
        "2",
        "--connection-per-session",
    ];
    let client = Client::tonic(&lab, &worker, &arguments);
    let misplaced = garbage::resp().into_iter().map(Garbage::misplaced);
    let all = [garbage::noise(), garbage::grpc(), misplaced.collect()].concat();
    for garbage in all {
        bounded.assert_counted(&garbage, here(worker.port));
    }
    client.finish(CLIENT_LIMIT);
    let ended = |scrape: &Exposition| scrape.sum("worker_synthesis_duration_ms_count", &[]) >= 8.0;
    bounded.probe.scrape_until(SETTLE, ended);
    let last = bounded.stop();
    let truth = worker.terminate().truth;
    let frames = truth
        .iter()
        .filter(|line| matches!(&line.event, Event::Frame { bytes, .. } if *bytes > 0));
    assert_eq!(
        last.sum("worker_audio_frames_emitted_total", &[]),
        frames.count() as f64
    );
}

#[test]
fn garbage_for_an_orchestrator_leaves_its_other_connections_exact() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "5"]);
    let orchestrator = Orchestrator::start(&lab, Front::Voicelab, &[("tone@0", &worker)], &[])
        .expect("it needs no interpreter");
    let bounded = Bounded::new(orchestra::watch(&lab, &[orchestrator.pid()], ""));
    let talk = ["--sessions", "4", "--utterances", "4", "--interrupt"];
    let talker = Talker::start(&lab, &orchestrator, &talk);
    let sees_sockets = bounded.probe.sees_sockets();
    for garbage in [garbage::noise(), garbage::websocket("/ws")].concat() {
        // A socket that moves no byte does not show itself.
        if garbage.name != "nothing" || !sees_sockets {
            bounded.assert_counted(&garbage, here(orchestrator.port));
        }
    }
    talker.finish(CLIENT_LIMIT);
    let said = account::known(
        &measures(&orchestrator.terminate().truth, "tone@0"),
        "orchestrator_",
    );
    let unreadable = "message_type=\"unknown\"";
    let seen = |scrape: &Exposition| {
        account::without(&account::exported(scrape, "orchestrator_"), unreadable)
    };
    let probe = &bounded.probe;
    probe.scrape_until(SETTLE, |scrape| seen(scrape) == said);
    let last = bounded.stop();
    assert_eq!(seen(&last), said);
    // The orchestrator refuses what cannot be inflated: to the probe it is a message all the same.
    let received = "orchestrator_websocket_messages_received_total";
    let unread = last.sum(received, &[("message_type", "unknown")]);
    assert_eq!(unread, UNREADABLE);
}

/// Problems of a kind that were counted.
fn problems(scrape: &Exposition) -> BTreeMap<String, u64> {
    let mut problems = scrape.by_label("voxprobe_wire_problems_total", "problem");
    problems.retain(|_, count| *count > 0);
    problems
}

#[test]
fn garbage_for_redis_and_its_clients_leaves_other_connections_exact() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    let replies = garbage::redis_replies();
    let servers = replies.clone().into_iter().map(Garbage::serve);
    let mut command = Command::new(env!("CARGO_BIN_EXE_socket-peer"));
    command.arg("ask_redis");
    command.args(servers.map(|address| address.to_string()));
    let mut client = Process::start(&mut command, &lab.path("client.err"));
    assert_eq!(client.line(CLIENT_LIMIT), "ready");
    let port = &redis.port;
    let server = format!("[[target]]\nrole = \"redis\"\ncmdline = 'redis-server .*:{port}'\n");
    let bounded = Bounded::new(orchestra::watch(&lab, &[client.pid()], &server));
    redis.cli(&["CONFIG", "RESETSTAT"]);

    for garbage in garbage::redis_requests() {
        bounded.assert_counted(&garbage, here(port.parse().expect("a port")));
        redis.cli(&["SET", "a", "b"]);
    }
    let before = problems(&bounded.probe.scrape());
    client.tell("go");
    redis.cli(&["HGETALL", "a"]);
    // The servers hang up one after the other.
    client.line(CLIENT_LIMIT);
    let mut expected = before;
    for problem in replies.iter().filter_map(|reply| reply.problem) {
        *expected.entry(problem.to_owned()).or_default() += 1;
    }
    let seen = |scrape: &Exposition| problems(scrape) == expected;
    bounded.probe.scrape_until(SETTLE, seen);
    let served = redis.calls();
    let last = bounded.stop();
    assert_eq!(problems(&last), expected);
    for (command, errors) in [("SET", 0.0), ("HGETALL", 1.0)] {
        let labels = [("command", command)];
        let counted = last.sum("redis_command_latency_ms_count", &labels);
        assert_eq!(counted, served[command] as f64, "{command}");
        let failed = last.sum("redis_command_errors_total", &labels);
        assert_eq!(failed, errors, "{command}");
    }
}
