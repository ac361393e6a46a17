//! Traces of a live voice system at a collector, beside what its processes say they did.

mod trust;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use probe_tests::collector::{Collected, Collector, Mood, Protocol};
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::Server;
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::process::eventually;
use probe_tests::skip::unprivileged;
use rustix::time::{ClockId, clock_gettime};
use voicelab::truth::{Event, Line, Orchestration};

/// How long talkers may take.
const TALK: Duration = Duration::from_mins(1);

/// A trace is told 2.5 s after its utterance is over; the longest pause before it is sent again is 15 s.
const EXPORTED: Duration = Duration::from_secs(30);

/// How far a span's ends may be from the voice system's own stamps. Those of orchestrator and worker are
/// taken around the same system calls; the worker's are taken where it hands a message to its transport.
const WITHIN_NS: u64 = 5_000_000;

/// The example of W3C Trace Context, 3.2.3.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Spans of an utterance that both ends of are watched, with the span above.
const TREE: [(&str, Option<&str>); 6] = [
    ("synthesize_request", None),
    ("grpc_call_worker", Some("synthesize_request")),
    ("Synthesize", Some("grpc_call_worker")),
    ("model_inference", Some("Synthesize")),
    ("audio_framing", Some("Synthesize")),
    ("audio_processing", Some("synthesize_request")),
];

/// A worker, an orchestrator and the agent on both.
struct Scene {
    worker: Server,
    orchestrator: Orchestrator,
    probe: Probe,
}

impl Scene {
    fn start(lab: &Lab, traces: &str, orchestrator: &[&str]) -> Self {
        let worker = Server::tonic(lab, &["--load-ms", "20"]);
        let workers = [("tts-lab@0", &worker)];
        let orchestrator = Orchestrator::start(lab, Front::Voicelab, &workers, orchestrator)
            .expect("it needs no interpreter");
        let settings = format!(
            "[traces]\nenabled = true\ninterval = \"500ms\"\n{traces}\n\
             [[target]]\nrole = \"worker\"\npid = {}\nname = \"tts-lab@0\"\n\
             [[target]]\nrole = \"orchestrator\"\npid = {}\n",
            worker.pid(),
            orchestrator.pid()
        );
        let config = lab.write("traces.toml", settings);
        let mut command = std::process::Command::new(probe_tests::artifacts::voxprobe());
        command.args(["run", "--config"]).arg(config);
        let probe = Probe::start(lab, command);
        let watched = |scrape: &Exposition| scrape.sum("voxprobe_watched_processes", &[]) >= 2.0;
        assert!(
            watched(&probe.scrape_until(SETTLE, watched)),
            "{}",
            probe.log()
        );
        Self {
            worker,
            orchestrator,
            probe,
        }
    }

    /// Clients speak to their end; gives when, as Unix time in nanoseconds less monotonic time.
    fn talk(&self, lab: &Lab, arguments: &[&str]) -> u64 {
        Talker::start(lab, &self.orchestrator, arguments).finish(TALK);
        let monotonic = clock_gettime(ClockId::Monotonic);
        let monotonic = monotonic.tv_sec as u64 * 1_000_000_000 + monotonic.tv_nsec as u64;
        let unix = SystemTime::now().duration_since(UNIX_EPOCH);
        unix.expect("after 1970").as_nanos() as u64 - monotonic
    }
}

fn wait_for(collector: &Collector, spans: usize) -> Vec<Collected> {
    eventually(EXPORTED, || collector.spans().len() >= spans);
    let collected = collector.spans();
    let names: Vec<_> = collected.iter().map(|it| it.span.name.clone()).collect();
    assert_eq!(collected.len(), spans, "{names:?}");
    collected
}

fn named<'a>(spans: &'a [Collected], name: &str) -> &'a Collected {
    let found = spans.iter().find(|it| it.span.name == name);
    found.unwrap_or_else(|| panic!("no span is called {name}"))
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

#[track_caller]
fn assert_tree(spans: &[Collected]) {
    for (name, above) in TREE {
        let span = &named(spans, name).span;
        let expected = above.map_or(Vec::new(), |above| named(spans, above).span.span_id.clone());
        assert_eq!(span.parent_span_id, expected, "{name}");
        assert_eq!(span.trace_id, spans[0].span.trace_id, "{name}");
        assert!(span.links.is_empty(), "{name}");
    }
}

/// Monotonic times of what the voice system says it did.
struct Times {
    text_received: u64,
    text_at_worker: u64,
    frames_at_worker: Vec<u64>,
    frames_received: Vec<u64>,
    audio_sent: Vec<u64>,
}

impl Times {
    fn of(orchestrator: &[Line], worker: &[Line]) -> Self {
        let times = |lines: &[Line], is: &dyn Fn(&Event) -> bool| -> Vec<u64> {
            let of = lines.iter().filter(|line| is(&line.event));
            of.map(|line| line.t_ns).collect()
        };
        let first = |times: Vec<u64>| *times.first().expect("it happened");
        let message = |event: &Event, wanted: &str, sent: bool| match event {
            Event::Orchestration(Orchestration::MessageReceived { kind, .. }) => {
                !sent && kind == wanted
            }
            Event::Orchestration(Orchestration::MessageSent { kind, .. }) => sent && kind == wanted,
            _ => false,
        };
        Self {
            text_received: first(times(orchestrator, &|it| message(it, "TextChunk", false))),
            text_at_worker: first(times(worker, &|it| matches!(it, Event::Text { .. }))),
            frames_at_worker: times(
                worker,
                &|it| matches!(it, Event::Frame { bytes, .. } if *bytes > 0),
            ),
            frames_received: times(orchestrator, &|it| {
                matches!(
                    it,
                    Event::Orchestration(Orchestration::AudioReceived { .. })
                )
            }),
            audio_sent: times(orchestrator, &|it| message(it, "AudioFrame", true)),
        }
    }
}

fn assert_utterance_at(lab: &Lab, collector: &Collector, traces: &str) {
    let traces = format!("{traces}headers = {{ authorization = \"Bearer lab\" }}");
    let scene = Scene::start(lab, &traces, &[]);
    let wall = scene.talk(
        lab,
        &["--sessions", "1", "--texts", "2", "--text-length", "24"],
    );
    let spans = wait_for(collector, TREE.len());
    assert_tree(&spans);
    let Scene {
        worker,
        orchestrator,
        probe,
    } = scene;
    let times = Times::of(&orchestrator.terminate().truth, &worker.terminate().truth);
    assert_times(&spans, &times, wall);
    assert_facts(&spans, &times);
    for it in &spans {
        assert_eq!(it.authorization.as_deref(), Some("Bearer lab"));
    }
    let last = probe.stop();
    assert_lossless(&last);
    let exported = last.sum("voxprobe_trace_spans_exported_total", &[]);
    assert_eq!(exported, TREE.len() as f64);
    assert_eq!(last.sum("voxprobe_trace_spans_dropped_total", &[]), 0.0);
    assert_eq!(
        last.sum("voxprobe_traces_total", &[("decision", "rate")]),
        1.0
    );
    assert_eq!(last.sum("voxprobe_traces_total", &[]), 1.0);
}

#[allow(clippy::print_stdout, reason = "the figures that the test compares")]
fn assert_times(spans: &[Collected], times: &Times, wall: u64) {
    let first = |times: &[u64]| *times.first().expect("it happened");
    let last = |times: &[u64]| *times.last().expect("it happened");
    let frames = &times.frames_at_worker;
    let expected = [
        (
            "synthesize_request",
            times.text_received,
            last(&times.audio_sent),
        ),
        ("model_inference", times.text_at_worker, first(frames)),
        ("audio_framing", first(frames), last(frames)),
        (
            "audio_processing",
            first(&times.frames_received),
            first(&times.audio_sent),
        ),
    ];
    for (name, start, end) in expected {
        let span = &named(spans, name).span;
        let off = [
            span.start_time_unix_nano.abs_diff(start + wall),
            span.end_time_unix_nano.abs_diff(end + wall),
        ];
        println!("{name}: off by {} and {} µs", off[0] / 1000, off[1] / 1000);
        assert!(
            off.iter().all(|off| *off <= WITHIN_NS),
            "{name}: {off:?} ns off"
        );
    }
    // Each is within the one above, but for the network between the two ends.
    for (name, above) in TREE {
        let (span, above) = (
            &named(spans, name).span,
            above.map(|above| named(spans, above)),
        );
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano,
            "{name}"
        );
        if let Some(Collected { span: above, .. }) = above {
            assert!(
                above.start_time_unix_nano <= span.start_time_unix_nano,
                "{name}"
            );
        }
    }
    let root = &named(spans, "synthesize_request").span;
    let [heard] = root.events.as_slice() else {
        panic!("{:?}", root.events);
    };
    assert_eq!(heard.name, "first_audio");
    let off = heard
        .time_unix_nano
        .abs_diff(first(&times.audio_sent) + wall);
    assert!(off <= WITHIN_NS, "{off} ns off");
}

fn assert_facts(spans: &[Collected], times: &Times) {
    let frames = times.frames_at_worker.len().to_string();
    let root = named(spans, "synthesize_request");
    assert_eq!(root.span.kind, SpanKind::Server as i32);
    assert_eq!(root.resource["service.name"], "orchestrator");
    assert_eq!(root.attributes["model_id"], "tone-small");
    assert_eq!(root.attributes["transport"], "websocket");
    assert_eq!(root.attributes["text_length"], "48");
    assert_eq!(
        root.attributes["frames_count"],
        times.audio_sent.len().to_string()
    );
    assert!(root.attributes["session_id"].starts_with("ws-"), "{root:?}");
    let fal_ms: f64 = root.attributes["fal_ms"].parse().expect("a number");
    let expected = (times.audio_sent[0] - times.text_received) as f64 / 1e6;
    assert!(
        (fal_ms - expected).abs() <= WITHIN_NS as f64 / 1e6,
        "{fal_ms} and {expected}"
    );
    let call = named(spans, "grpc_call_worker");
    assert_eq!(call.span.kind, SpanKind::Client as i32);
    assert_eq!(call.attributes["worker"], "tts-lab@0");
    let synthesis = named(spans, "Synthesize");
    assert_eq!(synthesis.span.kind, SpanKind::Server as i32);
    assert_eq!(synthesis.resource["service.name"], "tts-worker");
    assert_eq!(synthesis.resource["service.instance.id"], "tts-lab@0");
    assert_eq!(synthesis.attributes["frames_count"], frames);
    assert_eq!(synthesis.attributes["text_length"], "48");
    assert_eq!(synthesis.attributes["rpc.method"], "Synthesize");
    let all = format!("{spans:?}");
    for word in ["hello", "listen", "river", "morning", "127.0.0.1"] {
        assert!(!all.contains(word), "{word} leaves the host");
    }
}

fn assert_utterance_by(protocol: Protocol) {
    if unprivileged() {
        return;
    }
    let (lab, collector) = (Lab::new(), Collector::start(protocol));
    assert_utterance_at(&lab, &collector, &collector.settings());
}

#[test]
fn utterance_is_the_guides_tree_at_a_collector_by_grpc() {
    assert_utterance_by(Protocol::Grpc);
}

#[test]
fn utterance_is_the_guides_tree_at_a_collector_by_http() {
    assert_utterance_by(Protocol::Http);
}

#[test]
fn traceparent_of_client_and_orchestrator_names_trace_and_parents() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let collector = Collector::start(Protocol::Grpc);
    // Only what a caller samples: the rate alone would export nothing.
    let traces = collector.settings() + "sample = 0.0";
    let call = format!("00-{TRACE}-1111111111111111-01");
    let scene = Scene::start(&lab, &traces, &["--traceparent", &call]);
    let client = |flags: &str| format!("00-{TRACE}-{PARENT}-{flags}");
    let sampled = client("01");
    let one = ["--sessions", "1", "--traceparent", &sampled];
    scene.talk(&lab, &one);
    let spans = wait_for(&collector, TREE.len());
    assert!(spans.iter().all(|it| hex(&it.span.trace_id) == TRACE));
    let above = |name| hex(&named(&spans, name).span.parent_span_id);
    assert_eq!(above("synthesize_request"), PARENT);
    assert_eq!(above("Synthesize"), "1111111111111111");
    let root = hex(&named(&spans, "synthesize_request").span.span_id);
    assert_eq!(above("grpc_call_worker"), root);
    // The same without deflate, which is another library.
    scene.talk(&lab, &[&one[..], &["--deflate", "off"]].concat());
    wait_for(&collector, 2 * TREE.len());
    // A client that does not sample.
    let unsampled = client("00");
    scene.talk(&lab, &["--sessions", "1", "--traceparent", &unsampled]);
    let decided = |scrape: &Exposition| scrape.sum("voxprobe_traces_total", &[]) >= 3.0;
    scene.probe.scrape_until(EXPORTED, decided);
    let last = scene.probe.stop();
    let decisions = last.by_label("voxprobe_traces_total", "decision");
    assert_eq!(
        (decisions["parent"], decisions["unsampled"]),
        (2, 1),
        "{decisions:?}"
    );
    assert_eq!(collector.spans().len(), 2 * TREE.len());
}

#[test]
fn missed_objective_is_exported_and_told_in_the_log_with_its_trace() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let collector = Collector::start(Protocol::Grpc);
    let traces = collector.settings() + "sample = 0.0\n[slo]\nfirst_audio = \"1ms\"";
    let scene = Scene::start(&lab, &traces, &[]);
    scene.talk(&lab, &["--sessions", "1"]);
    let spans = wait_for(&collector, TREE.len());
    let log = scene.probe.log();
    let line = log
        .lines()
        .find(|line| line.contains("\"slo\":\"first_audio\""));
    let line: serde_json::Value = serde_json::from_str(line.expect("it is told")).expect("JSON");
    assert_eq!(line["level"], "WARNING");
    assert_eq!(line["trace_id"], hex(&spans[0].span.trace_id));
    let root = named(&spans, "synthesize_request");
    assert_eq!(line["session_id"], root.attributes["session_id"]);
    assert_eq!(line["model_id"], "tone-small");
    assert_eq!(line["limit_ms"], 1);
    let fal_ms: f64 = root.attributes["fal_ms"].parse().expect("a number");
    let told = line["fal_ms"].as_f64().expect("a number");
    assert!((fal_ms - told).abs() < 0.001, "{fal_ms} and {told}");
    let told = |message: &str| {
        let lines = log.lines().filter(|line| line.contains(message));
        lines
            .filter(|line| line.contains("\"role\":\"orchestrator\""))
            .count()
    };
    assert_eq!(told("\"session started\""), 1, "{log}");
    let last = scene.probe.stop();
    assert_eq!(
        last.sum("voxprobe_traces_total", &[("decision", "violation")]),
        1.0
    );
}

#[test]
fn collector_that_is_down_or_refuses_costs_counted_spans_and_no_metric() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let collector = Collector::start(Protocol::Grpc);
    collector.set_mood(Mood::IsBusy);
    // Room for one trace that is sent again and again, and for one that waits.
    let traces = collector.settings() + "queue = 6\nbatch = 6";
    let scene = Scene::start(&lab, &traces, &[]);
    scene.talk(&lab, &["--sessions", "4", "--utterances", "3"]);
    let count = 4 * 3;
    let all = (count * TREE.len()) as f64;
    let told = |scrape: &Exposition| scrape.sum("voxprobe_traces_total", &[]) >= count as f64;
    scene.probe.scrape_until(EXPORTED, told);
    let scrape = scene.probe.scrape();
    assert_lossless(&scrape);
    assert_eq!(scrape.sum("voxprobe_traces_total", &[]), count as f64);
    let dropped = scrape.sum(
        "voxprobe_trace_spans_dropped_total",
        &[("reason", "queue_full")],
    );
    assert_eq!(dropped, all - 12.0, "one trace is being sent, one waits");
    assert_eq!(
        scrape.sum("orchestrator_latency_fal_ms_count", &[]),
        count as f64
    );
    assert!(collector.requests() > 0 && collector.spans().is_empty());
    let told = |text: &str| scene.probe.log().matches(text).count();
    assert_eq!(told("traces are not exported"), 1, "{}", scene.probe.log());
    // It comes back, then takes only a part, then refuses.
    collector.set_mood(Mood::Takes);
    wait_for(&collector, 12);
    let again = || told("traces are exported again") == 1;
    assert!(eventually(SETTLE, again), "{}", scene.probe.log());
    for (mood, taken) in [(Mood::TakesAllButOne, 5.0), (Mood::Refuses, 0.0)] {
        let exported = |scrape: &Exposition| scrape.sum("voxprobe_trace_spans_exported_total", &[]);
        let rejected = |scrape: &Exposition| {
            let reason = [("reason", "rejected")];
            scrape.sum("voxprobe_trace_spans_dropped_total", &reason)
        };
        collector.set_mood(mood);
        let before = scene.probe.scrape();
        scene.talk(&lab, &["--sessions", "1"]);
        let done = exported(&before) + rejected(&before) + 6.0;
        let holds = |scrape: &Exposition| exported(scrape) + rejected(scrape) >= done;
        let after = scene.probe.scrape_until(EXPORTED, holds);
        assert_eq!(exported(&after) - exported(&before), taken, "{mood:?}");
        assert_eq!(
            rejected(&after) - rejected(&before),
            6.0 - taken,
            "{mood:?}"
        );
    }
    scene.probe.stop();
}
