//! A live voice system with a voxprobe that was there first, and what it is made to do.

mod config;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::Server;
use probe_tests::probe::Probe;
use probe_tests::redis::Redis;
use rustix::time::{ClockId, clock_gettime};

use self::config::WORKERS;
use super::account::Account;
use super::measured::Series;
use super::truth::{Row, Truth, steady_gauges};

/// Between two looks at the metrics while the system works.
const LOOK: Duration = Duration::from_millis(250);

/// How long the processes must not have changed a gauge for it to be compared: the agent publishes
/// every half second, and truth and metrics are not read at the same instant.
const STEADY_NS: u64 = 900_000_000;

/// From the last thing done until it is in the metrics.
const SETTLE: Duration = Duration::from_millis(1_500);

/// How long one talker may take.
const TALKER_LIMIT: Duration = Duration::from_mins(3);

/// A voice system and what it does.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    front: Front,
    deflate: bool,
    /// Arguments of the orchestrator.
    orchestrator: &'static [&'static str],
    /// Arguments of each talker, one after the other.
    talkers: &'static [&'static [&'static str]],
    /// Faults of the orchestrator, each before the talker of that number.
    faults: &'static [(usize, &'static str)],
}

/// Sessions that are open for some seconds while nothing happens, for the gauges; then they time out.
const STEADY: &[&str] = &[
    "--sessions",
    "3",
    "--ends",
    "idle-timeout",
    "--models",
    "tone-small",
];
/// Utterances that are heard out.
const SMOOTH: &[&str] = &[
    "--sessions",
    "8",
    "--utterances",
    "2",
    "--models",
    "tone-small,tone-large",
];
/// Utterances that are interrupted in each way.
const INTERRUPTED: &[&str] = &[
    "--sessions",
    "6",
    "--utterances",
    "4",
    "--text-length",
    "24",
    "--interrupt",
];
/// Speech into the microphone, one session at a time: a library hook tells which process hears, and
/// not which session.
const SPOKEN: &[&str] = &[
    "--sessions",
    "3",
    "--utterances",
    "3",
    "--text-length",
    "24",
    "--speech",
    "--concurrent",
    "1",
];
/// Every end that leaves the server running, and messages that are none.
const ENDS: &[&str] = &[
    "--sessions",
    "14",
    "--malformed-every",
    "3",
    "--ends",
    "client-close,client-eof,client-reset,server-close,session-end,protocol-error,idle-timeout",
];

impl Scene {
    /// All scenes.
    pub(crate) const ALL: &[Self] = &[
        Self {
            name: "deflate",
            about: "voicelab, permessage-deflate on, an interruption is PAUSE and STOP",
            front: Front::Voicelab,
            deflate: true,
            orchestrator: &["--idle-timeout-ms", "4000", "--asr"],
            talkers: &[STEADY, SMOOTH, INTERRUPTED, SPOKEN, ENDS],
            faults: &[
                (1, "redis-error"),
                (1, "drop 3"),
                (4, "error SYNTHESIS_FAILED"),
            ],
        },
        Self {
            name: "plain",
            about: "voicelab, permessage-deflate off, an interruption is RST_STREAM",
            front: Front::Voicelab,
            deflate: false,
            orchestrator: &["--barge-in", "reset", "--idle-timeout-ms", "4000"],
            talkers: &[STEADY, SMOOTH, INTERRUPTED, ENDS],
            faults: &[(2, "slow 15")],
        },
        Self::python("websockets", Front::Websockets, true),
        Self::python("websockets-plain", Front::Websockets, false),
        Self::python("websockets-uvloop", Front::WebsocketsUvloop, true),
        Self::python("aiohttp", Front::Aiohttp, true),
        Self::python("uvicorn", Front::Uvicorn, true),
    ];

    const fn python(name: &'static str, front: Front, deflate: bool) -> Self {
        Self {
            name,
            about: "the Python orchestrator on this server",
            front,
            deflate,
            orchestrator: &["--idle-timeout-ms", "4000"],
            talkers: &[STEADY, SMOOTH, INTERRUPTED, ENDS],
            faults: &[],
        }
    }

    /// Plays it; `None` where this host lacks a part, which is said.
    pub(crate) fn play(&self) -> Option<Account> {
        let lab = Lab::new();
        let redis = Redis::start(&lab)?;
        let capture = lab.path("scene.vxcap");
        let probe = watch(&lab, &redis, &capture);
        let workers: Vec<_> = WORKERS
            .iter()
            .map(|(name, adapter, mode)| {
                (
                    *name,
                    Server::tonic(&lab, &["--adapter", adapter, "--mode", mode]),
                )
            })
            .collect();
        probe.wait_watching(WORKERS.len());
        let redis_address = format!("127.0.0.1:{}", redis.port);
        let mut arguments = vec!["--redis", &redis_address];
        let hooks = artifacts::vad_hook().to_string_lossy().into_owned();
        if self.front == Front::Voicelab {
            arguments.extend(["--vad-lib", &hooks]);
        }
        arguments.extend(self.orchestrator);
        if !self.deflate {
            arguments.extend(self.front.without_deflate());
        }
        let named: Vec<_> = workers
            .iter()
            .map(|(name, server)| (*name, server))
            .collect();
        let orchestrator = Orchestrator::start(&lab, self.front, &named, &arguments)?;
        // A client that connects before its server is watched would be joined late.
        let served = [("role", "orchestrator")];
        probe.scrape_until(SETTLE, |scrape| {
            scrape.sum("voxprobe_watched_processes", &served) >= 1.0
        });
        let mut watch = Watch::default();
        for (number, arguments) in self.talkers.iter().enumerate() {
            for (_, fault) in self.faults.iter().filter(|(before, _)| *before == number) {
                orchestrator.fault(fault);
            }
            let seed = number.to_string();
            let talker = Talker::start(
                &lab,
                &orchestrator,
                &[arguments, &["--seed", &seed][..]].concat(),
            );
            watch.while_talking(&probe, talker);
        }
        watch.look_for(&probe, SETTLE);
        let mut truths = vec![Truth::new("orchestrator", orchestrator.terminate().truth)];
        for (name, worker) in workers {
            truths.push(Truth::new(name, worker.terminate().truth));
        }
        watch.look_for(&probe, SETTLE);
        let last = probe.stop();
        watch.series.take(&last);
        let (gauges, true_gauges) = watch.steady(&truths);
        let losses = last.by_label("voxprobe_kernel_losses_total", "reason");
        let gpu = config::gpu_rows;
        Some(Account {
            series: watch.series,
            gauges,
            capture,
            truth: truths.iter().flat_map(Truth::rows).collect(),
            true_gauges: true_gauges.into_iter().chain(gpu()).collect(),
            lost: losses.values().sum(),
            _lab: lab,
        })
    }
}

/// Starts the agent, before anybody else.
fn watch(lab: &Lab, redis: &Redis, capture: &Path) -> Probe {
    let config = lab.write("voxprobe.toml", config::agent(&redis.port));
    lab.write("nvml.toml", config::GPU);
    let mut command = Command::new(artifacts::voxprobe());
    command.env("FAKE_NVML_SCENARIO", lab.path("nvml.toml"));
    command.args(["run", "--config"]).arg(config);
    command.arg("--nvml-lib").arg(artifacts::fake_nvml());
    command.arg("--record").arg(capture);
    Probe::start(lab, command)
}

/// Metrics over time.
#[derive(Default)]
struct Watch {
    series: Series,
    looks: Vec<(u64, Exposition)>,
}

impl Watch {
    fn look(&mut self, probe: &Probe) {
        let at_ns = monotonic_ns();
        let scrape = probe.scrape();
        self.series.take(&scrape);
        self.looks.push((at_ns, scrape));
    }

    fn look_for(&mut self, probe: &Probe, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            std::thread::sleep(LOOK);
            self.look(probe);
        }
    }

    fn while_talking(&mut self, probe: &Probe, talker: Talker) {
        std::thread::scope(|scope| {
            let talking = scope.spawn(|| talker.finish(TALKER_LIMIT));
            while !talking.is_finished() {
                std::thread::sleep(LOOK);
                self.look(probe);
            }
        });
    }

    /// The look at which most was going on of those when no process changed a gauge, with what the
    /// processes say of that time.
    fn steady(&self, truths: &[Truth]) -> (Series, Vec<Row>) {
        let mut best = (-1.0, Series::default(), Vec::new());
        for (at_ns, scrape) in &self.looks {
            let from_ns = at_ns.saturating_sub(STEADY_NS);
            let Some(rows) = steady_gauges(truths, from_ns, *at_ns + LOOK.as_nanos() as u64) else {
                continue;
            };
            let active = scrape.sum("orchestrator_sessions_active", &[]);
            if active > best.0 {
                let mut series = Series::default();
                series.take(scrape);
                best = (active, series, rows);
            }
        }
        (best.1, best.2)
    }
}

pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32).as_nanos() as u64
}
