//! A live voice system with a voxprobe that was there first, and what it is made to do.

mod config;
mod script;
mod watch;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::{Client, Kind, Server};
use probe_tests::probe::Probe;
use probe_tests::redis::Redis;

use self::config::WORKERS;
use self::watch::Watch;
pub(crate) use self::watch::monotonic_ns;
use super::account::Account;
use super::truth::Truth;

/// From the last thing done until it is in the metrics; a load is told two seconds after its last
/// read.
const SETTLE: Duration = Duration::from_millis(3_500);

/// How long one program may take.
const LIMIT: Duration = Duration::from_mins(3);

/// Nobody speaks as soon as a session begins: whether the session or the text made an orchestrator ask
/// its worker could not be told.
const SILENCE: [&str; 2] = ["--silence-ms", "300"];

/// A voice system and what it does.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    front: Front,
    deflate: bool,
    workers: [Kind; 2],
    /// How each of them hands audio out.
    modes: [&'static str; 2],
    /// Arguments of the orchestrator.
    orchestrator: &'static [&'static str],
    acts: &'static [Act],
}

/// One thing that happens; the next one comes when it is over.
#[derive(Debug)]
enum Act {
    /// Clients of the orchestrator, with these arguments.
    Talk(&'static [&'static str]),
    /// A client of the first worker, past the orchestrator.
    Call(&'static [&'static str]),
    /// A fault of the orchestrator, for what comes then.
    Fault(&'static str),
}

impl Scene {
    /// Plays it; `None` where this host lacks a part, which is said.
    pub(crate) fn play(&self, lab: Lab) -> Option<Account> {
        let redis = Redis::start(&lab)?;
        let capture = lab.path("scene.vxcap");
        let models = config::models(&lab);
        let probe = watch(&lab, &redis, &models, &capture);
        let workers = self.start_workers(&lab, &models)?;
        let pids: Vec<_> = workers.iter().map(|(_, worker)| worker.pid()).collect();
        lab.write("nvml.toml", config::gpu(&pids));
        probe.wait_watching(WORKERS.len());
        let orchestrator = self.start_orchestrator(&lab, &redis, &workers)?;
        // A client that connects before its server is watched would be joined late.
        let served = [("role", "orchestrator")];
        probe.scrape_until(SETTLE, |scrape| {
            scrape.sum("voxprobe_watched_processes", &served) >= 1.0
        });
        let mut watch = Watch::default();
        for (number, act) in self.acts.iter().enumerate() {
            let seed = ["--seed", &number.to_string()];
            match act {
                Act::Talk(arguments) => {
                    let arguments = [arguments, &SILENCE[..], &seed].concat();
                    let talker = Talker::start(&lab, &orchestrator, &arguments);
                    watch.look_while(&probe, || talker.finish(LIMIT));
                }
                Act::Call(arguments) => {
                    let arguments = [arguments, &seed[..]].concat();
                    let client = Client::tonic(&lab, &workers[0].1, &arguments);
                    watch.look_while(&probe, || client.finish(LIMIT));
                }
                Act::Fault(fault) => orchestrator.fault(fault),
            }
        }
        let orchestrated = if self.front == Front::LiveKit {
            watch.look_while(&probe, || orchestrator.finish(LIMIT))
        } else {
            watch.look_for(&probe, SETTLE);
            orchestrator.terminate()
        };
        watch.look_for(&probe, SETTLE);
        let mut truths = vec![Truth::new("orchestrator", orchestrated.truth)];
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

    fn start_workers(&self, lab: &Lab, models: &Path) -> Option<Vec<(&'static str, Server)>> {
        let root = models.display().to_string();
        let start = |((kind, mode), (name, adapter)): ((Kind, &str), (_, &str))| {
            let arguments = ["--adapter", adapter, "--mode", mode, "--model-root", &root];
            Some((name, Server::start(lab, kind, &arguments)?))
        };
        let workers = self.workers.into_iter().zip(self.modes);
        workers.zip(WORKERS).map(start).collect()
    }

    fn start_orchestrator(
        &self,
        lab: &Lab,
        redis: &Redis,
        workers: &[(&str, Server)],
    ) -> Option<Orchestrator> {
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
        let workers: Vec<_> = workers
            .iter()
            .map(|(name, server)| (*name, server))
            .collect();
        Orchestrator::start(lab, self.front, &workers, &arguments)
    }
}

/// Starts the agent, before anybody else.
fn watch(lab: &Lab, redis: &Redis, models: &Path, capture: &Path) -> Probe {
    let config = lab.write(
        "voxprobe.toml",
        config::agent(&redis.port, lab.folder(), models),
    );
    lab.write("nvml.toml", config::gpu(&[]));
    let mut command = Command::new(artifacts::voxprobe());
    command.env("FAKE_NVML_SCENARIO", lab.path("nvml.toml"));
    command.args(["run", "--config"]).arg(config);
    command.arg("--nvml-lib").arg(artifacts::fake_nvml());
    command.arg("--record").arg(capture);
    Probe::start(lab, command)
}
