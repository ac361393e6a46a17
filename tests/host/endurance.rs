//! Thousands of short sessions one after the other: the agent's memory stays flat, every label stays
//! within its bound, and the counters are what the processes say themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::Server;
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::redis::Redis;
use probe_tests::skip::unprivileged;
use voicelab::truth::{Event, Line, Reading, measures};

/// Name of the worker.
const WORKER: &str = "w";

/// Sessions after which the agent holds everything that it keeps: of those that are over some 4,000.
const WARM: f64 = 5_000.0;

/// Bytes per session after those that would be a leak, on average; a label's value, a map's entry or a
/// vector's has more.
const LEAK: f64 = 200.0;

/// Bytes that the allocator's own state may differ by between two moments.
const NOISE: f64 = 1_048_576.0;

/// Models that sessions ask for in turn, more than the label `model_id` has values …
const MODELS: usize = 140;
/// … which are so many.
const MODEL_VALUES: usize = 128;

/// Live values of `session_id`, as configured: fewer than there are sessions at the same time.
const SESSION_VALUES: usize = 50;

/// Values of any other label of the guide's metrics: closed lists, bounds of buckets, the one worker.
const OTHER_VALUES: usize = 32;

/// Beyond a bound; not known.
const BESIDE: [&str; 2] = ["other", "unknown"];

/// How sessions end, in turn.
const ENDS: &str = "client-close,client-eof,client-reset,server-close,session-end,protocol-error";

/// Between two looks at the agent.
const LOOK: Duration = Duration::from_millis(500);

/// How long all sessions may take.
const LIMIT: Duration = Duration::from_mins(8);

/// Sessions in all: twice as many after the warm-up as before its end.
const SESSIONS: u32 = 15_000;

#[test]
#[allow(clippy::print_stdout, reason = "the figures that the test measures")]
fn short_sessions_leave_nothing_behind() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    let models: Vec<String> = (0..MODELS).map(|number| format!("m{number}")).collect();
    let models = models.join(",");
    let resident = MODELS.to_string();
    let worker = Server::tonic(
        &lab,
        &[
            &["--mode", "burst", "--think-ms", "1", "--load-ms", "1"][..],
            &["--models", &models, "--resident-cap", &resident],
        ]
        .concat(),
    );
    let config = lab.write("voxprobe.toml", settings(&lab, &redis.port));
    let mut command = std::process::Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    let probe = Probe::start(&lab, command);
    probe.wait_watching(1);
    let registry = format!("127.0.0.1:{}", redis.port);
    let workers = [(WORKER, &worker)];
    let orchestrator =
        Orchestrator::start(&lab, Front::Voicelab, &workers, &["--redis", &registry])
            .expect("it needs no interpreter");
    let served = [("role", "orchestrator")];
    probe.scrape_until(SETTLE, |scrape| {
        scrape.sum("voxprobe_watched_processes", &served) >= 1.0
    });

    let count = SESSIONS.to_string();
    let arguments = [
        &["--sessions", &count, "--concurrent", "64", "--ramp-ms", "1"][..],
        &["--models", &models, "--texts", "1", "--text-length", "6"],
        &["--quiet-ms", "40", "--interrupt", "--ends", ENDS],
        &["--silence-ms", "10"],
    ];
    let talker = Talker::start(&lab, &orchestrator, &arguments.concat());
    let mut book = Book::default();
    let started = Instant::now();
    std::thread::scope(|scope| {
        let talking = scope.spawn(|| talker.finish(LIMIT));
        while !talking.is_finished() {
            std::thread::sleep(LOOK);
            book.look(&probe);
        }
    });
    let took = started.elapsed();
    let all = f64::from(SESSIONS);
    let ended = |scrape: &Exposition| scrape.sum(ENDED, &[]) >= all;
    probe.scrape_until(SETTLE, ended);
    book.look(&probe);

    let said = orchestrator.terminate().truth;
    // Of what a broken connection to the worker takes with it, both ends' own accounts would differ.
    assert_eq!(failed_calls(&said), 0, "calls that failed");
    let truths = [("orchestrator", said), (WORKER, worker.terminate().truth)];
    let last = probe.stop();
    assert_lossless(&last);
    println!(
        "{all} sessions in {:.0} s; {}",
        took.as_secs_f64(),
        book.told()
    );
    println!("series: {}", families(&book.last));
    assert_labels(&book.last);
    assert_truth(&book.last, &truths);
    book.assert_flat(all);
}

const ENDED: &str = "orchestrator_sessions_ended_total";

/// The agent's settings; everything else has its default. Only processes of the test's folder are
/// targets.
fn settings(lab: &Lab, redis_port: &str) -> String {
    let folder = lab.folder().display();
    format!(
        "[labels]\nsessions = {SESSION_VALUES}\n\n\
         [[target]]\nrole = \"worker\"\ncmdline = 'voicelab worker .*{folder}/'\nname = \"{WORKER}\"\n\n\
         [[target]]\nrole = \"orchestrator\"\ncmdline = 'voicelab orchestrator .*{folder}/'\n\n\
         [[target]]\nrole = \"redis\"\ncmdline = 'redis-server .*:{redis_port}'\n"
    )
}

/// Calls to the worker that ended with an error.
fn failed_calls(said: &[Line]) -> usize {
    let failed = |line: &&Line| matches!(line.event, Event::CallEnd { status, .. } if status != 0);
    said.iter().filter(failed).count()
}

/// The agent's memory over time, and its last metrics.
#[derive(Default)]
struct Book {
    /// Sessions that had ended, and bytes that the agent had allocated.
    looks: Vec<(f64, f64)>,
    /// Values of `session_id` at most.
    most_sessions: usize,
    last: Exposition,
}

impl Book {
    fn look(&mut self, probe: &Probe) {
        let scrape = probe.scrape();
        self.looks
            .push((scrape.sum(ENDED, &[]), anonymous_bytes(probe.pid())));
        let values = values(&scrape);
        let sessions = values
            .get(&(LEAVING, "session_id"))
            .map_or(0, BTreeSet::len);
        self.most_sessions = self.most_sessions.max(sessions);
        self.last = scrape;
    }

    /// Bytes when the first sessions were over, and the most after.
    fn memory(&self) -> (f64, f64) {
        let after = self.looks.iter().filter(|(ended, _)| *ended >= WARM);
        let bytes: Vec<f64> = after.map(|(_, bytes)| *bytes).collect();
        let first = bytes.first().copied().expect("a look after the first ones");
        (first, bytes.iter().copied().fold(0.0, f64::max))
    }

    fn told(&self) -> String {
        let step = (self.looks.len() / 12).max(1);
        let looks: Vec<String> = self
            .looks
            .iter()
            .step_by(step)
            .map(|(ended, bytes)| format!("{ended}: {:.2}", bytes / 1e6))
            .collect();
        let (warm, most) = self.memory();
        format!(
            "MB by sessions: {}; {:.2} MB after {WARM}, {:.2} MB at most; at most {} values of \
             session_id",
            looks.join(", "),
            warm / 1e6,
            most / 1e6,
            self.most_sessions
        )
    }

    #[track_caller]
    fn assert_flat(&self, all: f64) {
        assert!(self.most_sessions <= SESSION_VALUES + BESIDE.len());
        let (warm, most) = self.memory();
        let allowed = (LEAK * (all - WARM)).max(NOISE);
        assert!(most - warm <= allowed, "{}", self.told());
    }
}

/// Bytes that a process has of its own: no file's, and not the ring that it shares with the kernel.
fn anonymous_bytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.and_then(|kib| kib.parse().ok()).expect("a size");
    kib * 1024.0
}

/// Values of each label of each of the guide's metrics, but for those that stand for many.
fn values(scrape: &Exposition) -> BTreeMap<(&str, &str), BTreeSet<&str>> {
    let mut values: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let guide = |name: &str| !name.starts_with("voxprobe_");
    for sample in scrape.samples().iter().filter(|sample| guide(&sample.name)) {
        for (label, value) in &sample.labels {
            if !BESIDE.contains(&value.as_str()) {
                let label = (sample.name.as_str(), label.as_str());
                values.entry(label).or_default().insert(value);
            }
        }
    }
    values
}

/// How many series there are, and in which families the most of them.
fn families(scrape: &Exposition) -> String {
    let mut families: BTreeMap<&str, usize> = BTreeMap::new();
    for sample in scrape.samples() {
        *families.entry(sample.name.as_str()).or_default() += 1;
    }
    let mut most: Vec<_> = families.into_iter().collect();
    most.sort_by_key(|(_, series)| std::cmp::Reverse(*series));
    most.truncate(6);
    format!("{} in all, most {most:?}", scrape.samples().len())
}

#[track_caller]
fn assert_labels(scrape: &Exposition) {
    for ((metric, label), values) in values(scrape) {
        let most = match label {
            "session_id" => SESSION_VALUES,
            "model_id" => MODEL_VALUES,
            _ => OTHER_VALUES,
        };
        assert!(
            values.len() <= most,
            "{metric}: {label} has {} values",
            values.len()
        );
    }
    let overflow = scrape.sum("voxprobe_series_overflow_total", &[]);
    assert!(overflow > 0.0, "models beyond the bound are counted");
}

/// Labels whose values beyond a bound are one: series are compared without them.
const BOUNDED: [&str; 2] = ["model_id", "session_id"];

/// A counter whose series leave with their session.
const LEAVING: &str = "worker_audio_frames_emitted_total";

/// What the processes say otherwise. Clients that leave in the middle of a burst have frames dropped that
/// the orchestrator's library had received and the orchestrator itself never saw; and that a model was
/// loaded nothing says without `models.roots`.
const UNCOMPARED: [&str; 3] = [
    LEAVING,
    "worker_audio_frame_drops_total",
    "worker_model_manager_loads_total",
];

/// Compares each counter with what the processes say.
#[track_caller]
fn assert_truth(scrape: &Exposition, truths: &[(&str, Vec<Line>)]) {
    let mut expected: BTreeMap<(String, BTreeMap<String, String>), f64> = BTreeMap::new();
    for (name, lines) in truths {
        for mut row in measures(lines, name) {
            let Reading::Value(count) = row.reading else {
                continue;
            };
            let metric = row.metric;
            // Gauges are those of the processes' own end.
            if !metric.ends_with("_total") || UNCOMPARED.contains(&metric.as_str()) {
                continue;
            }
            row.labels
                .retain(|label, _| !BOUNDED.contains(&label.as_str()));
            *expected.entry((metric, row.labels)).or_default() += count;
        }
    }
    assert!(expected.len() > 10, "{expected:?}");
    let mut wrong = Vec::new();
    for ((metric, labels), count) in &expected {
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        let exported = scrape.sum(metric, &labels);
        if (exported - count).abs() >= 0.5 {
            wrong.push(format!(
                "{metric} {labels:?}: {exported}, and it was {count}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
