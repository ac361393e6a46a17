//! A live voice system with a voxprobe that was there first, and what it is made to do.

mod cast;
mod config;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;
use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::Probe;
use probe_tests::process::Process;
use probe_tests::redis::Redis;
use rustix::time::{ClockId, clock_gettime};

use self::cast::Cast;
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

/// Which program is the orchestrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// `voicelab orchestrator`.
    Voicelab,
    /// `ws_orchestrator.py` on this server.
    Python(&'static str),
}

/// A voice system and what it does.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    front: Front,
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
/// Speech into the microphone.
const SPOKEN: &[&str] = &[
    "--sessions",
    "3",
    "--utterances",
    "3",
    "--text-length",
    "24",
    "--speech",
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
            orchestrator: &["--deflate", "on", "--idle-timeout-ms", "4000"],
            talkers: &[STEADY, SMOOTH, INTERRUPTED, SPOKEN, ENDS],
            faults: &[
                (1, "redis-error"),
                (2, "drop 3"),
                (4, "error SYNTHESIS_FAILED"),
            ],
        },
        Self {
            name: "plain",
            about: "voicelab, permessage-deflate off, an interruption is RST_STREAM",
            front: Front::Voicelab,
            orchestrator: &[
                "--deflate",
                "off",
                "--barge-in",
                "reset",
                "--idle-timeout-ms",
                "4000",
            ],
            talkers: &[STEADY, SMOOTH, INTERRUPTED, ENDS],
            faults: &[(2, "slow 15")],
        },
    ];

    /// Plays it; `None` where this host lacks a part, which is said.
    pub(crate) fn play(&self) -> Result<Option<Account>> {
        let lab = Lab::new();
        let Some(redis) = Redis::start(&lab) else {
            return Ok(None);
        };
        let capture = lab.path("scene.vxcap");
        let config = lab.write("voxprobe.toml", config::agent(&redis.port));
        lab.write("nvml.toml", config::GPU);
        let mut command = Command::new(artifacts::voxprobe());
        command.env("FAKE_NVML_SCENARIO", lab.path("nvml.toml"));
        command.args(["run", "--config"]).arg(config);
        command.arg("--nvml-lib").arg(artifacts::fake_nvml());
        command.arg("--record").arg(&capture);
        let probe = Probe::start(&lab, command);
        let Some(cast) = Cast::start(self, &lab, &redis, &probe)? else {
            return Ok(None);
        };
        let mut watch = Watch::default();
        for (number, arguments) in self.talkers.iter().enumerate() {
            for (_, fault) in self.faults.iter().filter(|(before, _)| *before == number) {
                cast.fault(fault)?;
            }
            let mut talker = cast.talker(arguments, number);
            watch.until_ended(&probe, &mut talker)?;
        }
        watch.look_for(&probe, SETTLE);
        let sources = cast.end()?;
        watch.look_for(&probe, SETTLE);
        let last = probe.stop();
        watch.series.take(&last);
        let truths = sources
            .iter()
            .map(|source| Truth::read(&source.name, &source.path))
            .collect::<Result<Vec<_>>>()?;
        let (gauges, true_gauges) = watch.steady(&truths);
        let losses = last.by_label("voxprobe_kernel_losses_total", "reason");
        Ok(Some(Account {
            series: watch.series,
            gauges,
            capture,
            truth: truths
                .iter()
                .flat_map(Truth::rows)
                .chain(config::gpu_rows())
                .collect(),
            true_gauges: true_gauges.into_iter().chain(config::gpu_rows()).collect(),
            lost: losses.values().sum(),
            _lab: lab,
        }))
    }
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

    fn until_ended(&mut self, probe: &Probe, talker: &mut Process) -> Result<()> {
        let end = Instant::now() + TALKER_LIMIT;
        while talker.is_running() {
            anyhow::ensure!(Instant::now() < end, "a talker does not end");
            std::thread::sleep(LOOK);
            self.look(probe);
        }
        let status = talker.wait(Duration::ZERO);
        anyhow::ensure!(status.success(), "a talker ended with {status}");
        Ok(())
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

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32).as_nanos() as u64
}
