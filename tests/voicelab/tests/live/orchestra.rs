//! Orchestrators between talkers and workers: what one says it did is what the others saw.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use voicelab::truth::{Conversation, Measure, Reading, measures};

use crate::program::{Lab, Outcome, Server};

/// Starts an orchestrator in front of `worker`.
fn orchestrator(lab: &Lab, worker: &Server, args: &[&str]) -> Server {
    let worker = format!("tone@0={}", worker.target);
    let faults = lab.path("fault.sock");
    let mut all = vec![
        "--worker",
        &worker,
        "--fault-socket",
        faults.to_str().unwrap(),
    ];
    all.extend_from_slice(args);
    lab.server("orchestrator", &all)
}

fn worker(lab: &Lab) -> Server {
    lab.server("worker", &["--load-ms", "20"])
}

fn count(counts: &BTreeMap<String, u64>, key: &str) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

/// The sum of a counter's series that have these labels.
fn sum(measures: &[Measure], metric: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |measure: &&Measure| {
        let is = |(name, value): &(&str, &str)| {
            measure
                .labels
                .get(*name)
                .is_some_and(|found| found == value)
        };
        measure.metric == metric && labels.iter().all(is)
    };
    let value = |measure: &Measure| match &measure.reading {
        Reading::Value(value) => *value,
        Reading::Samples(samples) => samples.len() as f64,
    };
    measures.iter().filter(has).map(value).sum()
}

#[track_caller]
fn assert_adds_up(worker: &Outcome, orchestrator: &Outcome, talker: &Conversation) {
    let resets = orchestrator.summary.cancelled;
    let orchestrator = &orchestrator.summary.conversation;
    // A frame sent just as its call is reset is on its way for ever.
    let sent = orchestrator.audio_received..=orchestrator.audio_received + resets;
    assert!(sent.contains(&worker.summary.frames));
    let dropped: u64 = orchestrator.audio_dropped.values().sum();
    let forwarded = count(&orchestrator.sent, "AudioFrame");
    assert_eq!(orchestrator.audio_received, forwarded + dropped);
    assert_eq!(orchestrator.sent, talker.received);
    assert_eq!(orchestrator.received, talker.sent);
    assert_eq!(orchestrator.connections, talker.connections);
}

fn interrupted_talk_adds_up(deflate: &str) {
    let lab = Lab::new();
    let worker = worker(&lab);
    let orchestrator = orchestrator(&lab, &worker, &["--deflate", deflate]);
    lab.fault("drop 5");
    let args = [
        "--sessions",
        "4",
        "--utterances",
        "4",
        "--interrupt",
        "--malformed-every",
        "2",
    ];
    let talker = lab.talker(
        &orchestrator,
        &[&args[..], &["--deflate", deflate]].concat(),
    );
    let (orchestrator, worker) = (orchestrator.terminate(), worker.terminate());

    let said = &orchestrator.summary.conversation;
    let heard = &talker.summary.conversation;
    assert_adds_up(&worker, &orchestrator, heard);
    assert_eq!(orchestrator.summary.calls, worker.summary.calls);
    assert_eq!(
        orchestrator.summary.control_commands,
        worker.summary.control_commands
    );
    assert_eq!(count(&said.audio_dropped, "backpressure"), 5);
    assert_eq!(
        count(&said.errors, "internal"),
        8,
        "one for each malformed message"
    );
    // Of four utterances in turn, one is heard out, one paused, and two end before their time.
    let ended: u64 = said.utterances.values().sum();
    assert_eq!(ended, 16);
    assert!(count(&said.utterances, "interrupted") >= 7, "{said:?}");
    assert!(count(&said.interruptions, "control") >= 8, "{said:?}");

    let measures = measures(&orchestrator.truth, "tone@0");
    let first_audio = sum(&measures, "orchestrator_latency_fal_ms", &[]);
    assert_eq!(first_audio, 16.0, "every utterance was heard");
    let started = sum(&measures, "orchestrator_sessions_started_total", &[]);
    assert_eq!(started, 4.0);
    assert_eq!(sum(&measures, "orchestrator_sessions_active", &[]), 0.0);
    assert_eq!(
        sum(&measures, "orchestrator_websocket_connections_active", &[]),
        0.0
    );
    let deflated = orchestrator.truth.iter().filter(|line| {
        let line = serde_json::to_value(line).unwrap();
        line.get("deflate").is_some_and(|deflate| deflate == true)
    });
    assert_eq!(deflated.count(), if deflate == "on" { 4 } else { 0 });
}

#[test]
fn interrupted_talk_adds_up_with_deflate() {
    interrupted_talk_adds_up("on");
}

#[test]
fn interrupted_talk_adds_up_without_deflate() {
    interrupted_talk_adds_up("off");
}

#[test]
fn each_end_of_a_session_arrives_under_its_way_and_reason() {
    let ends = [
        ("client-close", "client_close", "normal"),
        ("client-eof", "client_eof", "client_disconnect"),
        ("client-reset", "client_reset", "client_disconnect"),
        ("server-close", "server_close", "normal"),
        ("session-end", "session_end", "normal"),
        ("protocol-error", "protocol_error", "error"),
        ("keep-alive", "keep_alive", "timeout"),
        ("idle-timeout", "idle_timeout", "timeout"),
    ];
    let lab = Lab::new();
    let worker = worker(&lab);
    let pings = ["--ping-interval-ms", "600", "--ping-timeout-ms", "600"];
    let settings = [&pings[..], &["--idle-timeout-ms", "2000"]].concat();
    let orchestrator = orchestrator(&lab, &worker, &settings);
    let names = ends.map(|(name, _, _)| name).join(",");
    let talker = lab.talker(&orchestrator, &["--sessions", "8", "--ends", &names]);
    let orchestrator = orchestrator.terminate();
    worker.terminate();

    let expected = ends.map(|(_, way, _)| (way.to_owned(), 1)).into();
    assert_eq!(talker.summary.conversation.ends, expected);
    assert_eq!(orchestrator.summary.conversation.ends, expected);
    let measures = measures(&orchestrator.truth, "tone@0");
    for reason in ["normal", "client_disconnect", "timeout", "error"] {
        let labels = [("reason", reason), ("transport", "websocket")];
        let wanted = ends.iter().filter(|(_, _, wanted)| *wanted == reason);
        let ended = sum(&measures, "orchestrator_sessions_ended_total", &labels);
        assert_eq!(ended, wanted.count() as f64, "{reason}");
    }
}

#[test]
fn crash_leaves_a_whole_truth_in_which_sessions_ended_with_an_error() {
    let lab = Lab::new();
    let worker = worker(&lab);
    let orchestrator = orchestrator(&lab, &worker, &[]);
    let talker = lab.talker(&orchestrator, &["--sessions", "1", "--ends", "crash"]);
    let crashed = orchestrator.join();
    assert!(!crashed.status.success());
    assert_eq!(count(&talker.summary.conversation.ends, "crash"), 1);
    let labels = [("reason", "error"), ("model_id", "tone-small")];
    let measures = measures(&crashed.truth, "tone@0");
    assert_eq!(
        sum(&measures, "orchestrator_sessions_ended_total", &labels),
        1.0
    );
}

#[test]
fn trouble_with_workers_reaches_the_talker_and_is_counted_by_type() {
    let lab = Lab::new();
    let worker = worker(&lab);
    let orchestrator = orchestrator(&lab, &worker, &[]);
    let models = ["--models", "nowhere", "--quiet-ms", "200"];
    let talker = lab.talker(&orchestrator, &[&models[..], &["--texts", "1"]].concat());
    assert_eq!(count(&talker.summary.conversation.received, "Error"), 2);
    worker.terminate();
    lab.talker(&orchestrator, &["--texts", "1", "--quiet-ms", "200"]);
    let orchestrator = orchestrator.terminate();
    let errors = &orchestrator.summary.conversation.errors;
    // At the start of a session, and again with its text.
    assert_eq!(count(errors, "model_not_found"), 2);
    assert_eq!(count(errors, "worker_unavailable"), 2);
}

#[test]
fn reset_interruption_cancels_the_call_at_the_worker() {
    let lab = Lab::new();
    let worker = worker(&lab);
    let orchestrator = orchestrator(&lab, &worker, &["--barge-in", "reset"]);
    let args = ["--sessions", "3", "--utterances", "4", "--interrupt"];
    let talker = lab.talker(&orchestrator, &args);
    let (orchestrator, worker) = (orchestrator.terminate(), worker.terminate());
    let said = &orchestrator.summary.conversation;
    assert_eq!(said.sent, talker.summary.conversation.received);
    assert!(orchestrator.summary.cancelled >= 5, "{said:?}");
    assert_eq!(
        count(&worker.summary.stream_ends, "cancelled"),
        orchestrator.summary.cancelled
    );
    assert!(worker.summary.frames >= said.audio_received);
}

#[test]
fn speech_interrupts_and_is_answered() {
    let lab = Lab::new();
    let worker = worker(&lab);
    let library = vad_library();
    let listening = ["--vad-lib", library.to_str().unwrap(), "--asr"];
    let orchestrator = orchestrator(&lab, &worker, &listening);
    let args = ["--sessions", "1", "--utterances", "6", "--speech"];
    lab.talker(&orchestrator, &args);
    let orchestrator = orchestrator.terminate();
    worker.terminate();
    let said = &orchestrator.summary.conversation;
    assert_eq!(
        said.speech,
        BTreeMap::from([("speech_end".to_owned(), 2), ("speech_start".to_owned(), 2)])
    );
    assert_eq!(count(&said.interruptions, "vad"), 2);
    // Six utterances by text and two that answer speech.
    assert_eq!(said.utterances.values().sum::<u64>(), 8);
    let measures = measures(&orchestrator.truth, "tone@0");
    assert_eq!(sum(&measures, "orchestrator_asr_requests_total", &[]), 2.0);
    assert_eq!(sum(&measures, "orchestrator_latency_fal_ms", &[]), 6.0);
    assert_eq!(sum(&measures, "orchestrator_latency_e2e_ms", &[]), 8.0);
    assert_eq!(
        sum(&measures, "orchestrator_vad_detection_latency_ms", &[]),
        2.0
    );
}

#[test]
fn livekit_orchestrator_holds_sessions_without_clients() {
    let lab = Lab::new();
    let worker = worker(&lab);
    let args = [
        "--transport",
        "livekit",
        "--sessions",
        "2",
        "--utterances",
        "2",
        "--interrupt",
    ];
    let orchestrator = orchestrator(&lab, &worker, &args).join();
    let worker = worker.terminate();
    assert_eq!(
        orchestrator.summary.conversation.audio_received,
        worker.summary.frames
    );
    assert_eq!(orchestrator.summary.calls, worker.summary.calls);
    let measures = measures(&orchestrator.truth, "tone@0");
    let labels = [("transport", "livekit"), ("model_id", "tone-small")];
    assert_eq!(
        sum(&measures, "orchestrator_sessions_started_total", &labels),
        2.0
    );
    assert_eq!(sum(&measures, "orchestrator_latency_fal_ms", &[]), 4.0);
    assert_eq!(
        sum(
            &measures,
            "orchestrator_latency_barge_in_ms",
            &[("trigger", "grpc")]
        ),
        2.0
    );
}

#[test]
fn shared_session_is_started_and_ended_once() {
    let lab = Lab::new();
    let worker = worker(&lab);
    let orchestrator = orchestrator(&lab, &worker, &["--shared-session", "one"]);
    let talker = lab.talker(&orchestrator, &["--sessions", "3", "--utterances", "2"]);
    let (orchestrator, worker) = (orchestrator.terminate(), worker.terminate());
    assert_adds_up(&worker, &orchestrator, &talker.summary.conversation);
    assert_eq!(count(&worker.summary.calls, "StartSession"), 1);
    assert_eq!(count(&worker.summary.calls, "EndSession"), 1);
    assert_eq!(worker.summary.frames_by_session.len(), 1);
}

#[test]
#[allow(clippy::print_stdout, reason = "a test that cannot run here says why")]
fn redis_commands_are_those_that_the_server_counted() {
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        println!("skipped: redis-server is not installed");
        return;
    };
    let worker = worker(&lab);
    let address = format!("127.0.0.1:{}", redis.port);
    let orchestrator = orchestrator(&lab, &worker, &["--redis", &address]);
    lab.talker(&orchestrator, &["--sessions", "2"]);
    lab.fault("redis-error");
    std::thread::sleep(Duration::from_millis(200));
    let orchestrator = orchestrator.terminate();
    worker.terminate();
    assert_eq!(orchestrator.summary.conversation.redis, redis.calls());
    let measures = measures(&orchestrator.truth, "tone@0");
    let labels = [("command", "HGETALL"), ("error_type", "WRONGTYPE")];
    assert_eq!(sum(&measures, "redis_command_errors_total", &labels), 1.0);
    assert_eq!(sum(&measures, "redis_connections_active", &[]), 0.0);
}

/// The shared object that this package's tests depend on.
fn vad_library() -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_voicelab")).parent().unwrap();
    let places = [programs.join("deps"), programs.to_owned()];
    let mut found = places.iter().map(|place| place.join("libvad_hook.so"));
    found.find(|path| path.exists()).expect("the shared object")
}

/// A real Redis server; killed when dropped.
struct Redis {
    child: Child,
    port: String,
}

impl Redis {
    /// Starts one on a port of its own; `None` where it is not installed.
    fn start(lab: &Lab) -> Option<Self> {
        // The package without the service has the server under another name; it goes by its first
        // argument.
        let names = ["redis-server", "redis-check-rdb"];
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut places =
            std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
        let server = places.find(|place| place.is_file())?;
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let child = Command::new(server)
            .arg0("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", ""])
            .arg("--dir")
            .arg(lab.path(""))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let redis = Self { child, port };
        let end = Instant::now() + Duration::from_secs(10);
        while redis.cli(&["PING"]).trim() != "PONG" {
            assert!(Instant::now() < end, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis.cli(&["CONFIG", "RESETSTAT"]);
        Some(redis)
    }

    fn cli(&self, arguments: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port])
            .args(arguments)
            .output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).into(),
        )
    }

    /// Calls by command since the start, without those that ask.
    fn calls(&self) -> BTreeMap<String, u64> {
        let stats = self.cli(&["INFO", "commandstats"]);
        let read = |line: &str| {
            let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = fields
                .strip_prefix("calls=")?
                .split(',')
                .next()?
                .parse()
                .ok()?;
            let is_asking = name.starts_with("config") || name == "info" || name == "command";
            (!is_asking).then(|| (name.to_ascii_uppercase(), calls))
        };
        stats.lines().filter_map(read).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Already gone when the test went well.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
