//! The voice system that is watched: a worker with sessions of its own and a stand-in GPU, an
//! orchestrator with clients in front of it, and Redis.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::{Client, Server};
use probe_tests::probe::Probe;
use probe_tests::process::eventually;
use probe_tests::redis::Redis;

use super::{FAULT_MS, SOON};

/// Label `worker`.
pub(super) const WORKER: &str = "tts-lab@0";

/// Bytes of the GPU's 80 GiB that the worker uses where nothing is wrong, and where it is full.
pub(super) const GPU_MEMORY: u64 = 3 << 30;
pub(super) const FULL_GPU_MEMORY: u64 = 79 << 30;

/// How long sessions begin utterances, in seconds: more than the whole test.
const TALK_SECONDS: &str = "300";

/// Clients of the orchestrator: short sessions, three at a time, who interrupt.
const TALKER: [&str; 7] = [
    "--sessions",
    "1000",
    "--concurrent",
    "3",
    "--utterances",
    "3",
    "--interrupt",
];

/// How long a client's message waits where the orchestrator is slow: beyond the objectives of first audio
/// (300 ms) and of an interruption (50 ms).
pub(super) const SLOW: &str = "slow 400";

/// Milliseconds for which frames are held back after each other: from just audible to a broken stream.
const STALLS: [&str; 4] = ["100", "200", "700", "1400"];

/// Between two frames that are held back: more than each is.
const BETWEEN_STALLS: Duration = Duration::from_millis(1500);

/// Between two Redis commands.
const BETWEEN_COMMANDS: Duration = Duration::from_millis(100);

/// Pairs of commands on one connection.
const COMMANDS_OF_CONNECTION: usize = 20;

/// `SET key value` and `GET key`, as clients write them (RESP).
const COMMANDS: &[u8] =
    b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n";

/// Everything that is watched, and the agent.
pub(super) struct Voice {
    /// The agent.
    pub(super) probe: Probe,
    worker: Option<Server>,
    fault_socket: PathBuf,
    _talk: Client,
    _talker: Talker,
    orchestrator: Orchestrator,
    _asking: Asking,
    _redis: Redis,
}

impl Voice {
    /// Starts all of it, with so many bytes of GPU memory in use by the worker. `None` where there is no Redis
    /// server: that is said.
    pub(super) fn start(lab: &Lab, gpu_memory: u64) -> Option<Self> {
        let redis = Redis::start(lab)?;
        let fault_socket = lab.path("faults.sock");
        let faults = fault_socket.to_string_lossy().into_owned();
        let worker = Server::tonic(lab, &["--load-ms", "20", "--fault-socket", &faults]);
        let of_worker = [(WORKER, &worker)];
        let registry = format!("127.0.0.1:{}", redis.port);
        let arguments = ["--redis", &registry];
        let orchestrator = Orchestrator::start(lab, Front::Voicelab, &of_worker, &arguments)?;
        let settings = lab.write(
            "voxprobe.toml",
            settings(worker.pid(), orchestrator.pid(), &redis),
        );
        let scenario = lab.write("nvml.toml", gpu(worker.pid(), gpu_memory));
        let mut command = Command::new(artifacts::voxprobe());
        command
            .args(["run", "--config"])
            .arg(settings)
            .arg("--nvml-lib")
            .arg(artifacts::fake_nvml())
            .env("FAKE_NVML_SCENARIO", scenario);
        let probe = Probe::start(lab, command);
        probe.wait_watching(1);
        let talk = [
            "--sessions",
            "4",
            "--duration",
            TALK_SECONDS,
            "--text-length",
            "80",
            "--inspect",
        ];
        Some(Self {
            probe,
            _talk: Client::tonic(lab, &worker, &talk),
            _talker: Talker::start(lab, &orchestrator, &TALKER),
            orchestrator,
            _asking: Asking::start(&redis),
            worker: Some(worker),
            fault_socket,
            _redis: redis,
        })
    }

    /// Switches a fault of the worker.
    pub(super) fn fault(&self, words: &[&str]) {
        let status = Command::new(artifacts::voicelab())
            .args(["fault", "--socket"])
            .arg(&self.fault_socket)
            .args(words)
            .output()
            .expect("run voicelab");
        assert!(status.status.success(), "{words:?}: {status:?}");
    }

    /// Once everything that makes a series of its own: frames so late that their listeners hear gaps,
    /// one that is not forwarded, a session that fails, a command that Redis refuses.
    pub(super) fn trouble(&self) {
        // An utterance's first frame has nobody waiting for it: the fault may hit one.
        let gap = eventually(SOON, || {
            self.fault(&["stall", "400"]);
            std::thread::sleep(BETWEEN_STALLS);
            let scrape = self.probe.scrape();
            scrape
                .series("worker_audio_underruns_total", &[])
                .next()
                .is_some()
        });
        assert!(gap, "no gap is counted");
        for milliseconds in STALLS {
            self.fault(&["stall", milliseconds]);
            std::thread::sleep(BETWEEN_STALLS);
        }
        for fault in ["drop 1", "error SYNTHESIS_FAILED", "redis-error"] {
            self.orchestrator.fault(fault);
        }
    }

    /// Faults of every kind that the guide has an alert for, until it is called no more: frames off their time,
    /// messages that wait before the orchestrator handles them, and one session and one Redis command that fail.
    pub(super) fn fail(&self) {
        self.fault(&["jitter", FAULT_MS]);
        self.orchestrator.fault(SLOW);
        self.orchestrator.fault("error SYNTHESIS_FAILED");
        self.orchestrator.fault("redis-error");
    }

    /// The worker dies.
    pub(super) fn kill_worker(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.kill();
        }
    }
}

fn settings(worker: u32, orchestrator: u32, redis: &Redis) -> String {
    let redis = &redis.port;
    format!(
        "[diagnosis]\nenabled = true\n[gpu]\ninterval = \"200ms\"\n\
         [[hook]]\nname = \"vad\"\npreset = \"webrtcvad\"\n\
         [[target]]\nrole = \"worker\"\npid = {worker}\nname = \"{WORKER}\"\nadapter = \"tone\"\n\
         [[target]]\nrole = \"orchestrator\"\npid = {orchestrator}\n\
         [[target]]\nrole = \"redis\"\nport = {redis}\n"
    )
}

/// A GPU that the worker uses, slowed down by its power cap, with an XID error under way. Others use half a
/// GiB of it.
fn gpu(worker: u32, memory: u64) -> String {
    let used = memory + (1 << 29);
    format!(
        r#"driver = "550.54.15"
[[gpu]]
uuid = "GPU-5a1e0c1d-0000-4000-8000-000000000001"
name = "stand-in GPU"
[gpu.readings]
memory_total_bytes = 85899345920
memory_used_bytes = {used}
utilization_percent = 37
memory_utilization_percent = 12
temperature_celsius = 54
power_milliwatts = 187450
power_limit_milliwatts = 400000
sm_clock_mhz = 1215
max_sm_clock_mhz = 1410
throttle_reasons = 4
pcie_sent_kib_per_second = 20480
pcie_received_kib_per_second = 40960
[[gpu.process]]
pid = {worker}
memory_bytes = {memory}
sm_percent = 25
[[xid]]
gpu = 0
at_s = 5
code = 79
"#
    )
}

/// A client that asks Redis something ten times a second.
struct Asking {
    stop: Arc<AtomicBool>,
}

impl Asking {
    fn start(redis: &Redis) -> Self {
        let port: u16 = redis.port.parse().expect("a port");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                // New connections all the time: what is said on one that is older than the agent is
                // timed only after a silence.
                if let Ok(mut connection) = TcpStream::connect(("127.0.0.1", port)) {
                    for _ in 0..COMMANDS_OF_CONNECTION {
                        if connection.write_all(COMMANDS).is_err() {
                            break;
                        }
                        std::thread::sleep(BETWEEN_COMMANDS);
                    }
                }
                std::thread::sleep(BETWEEN_COMMANDS);
            }
        });
        Self { stop }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
