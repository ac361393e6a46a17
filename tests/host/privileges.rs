//! Which capabilities the agent needs, measured: by a user of its own it watches processes of another
//! user with four, and with any three of them it does not. `config/systemd` and the container's
//! manifests give these four.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, LONG_TALK, Server};
use probe_tests::probe::{self, Probe, SETTLE};
use probe_tests::skip::{kernel, program, restricted, skip, unprivileged};

/// As `setpriv` writes them.
const NEEDED: [&str; 4] = ["bpf", "perfmon", "sys_ptrace", "dac_read_search"];

/// Who runs the agent, and who runs the worker.
const AGENT: u32 = 65_533;
const WORKER: u32 = 65_534;

/// What a working agent needs to see the worker's frames, and more.
const BLIND: Duration = Duration::from_secs(3);

/// A command of the agent by [`AGENT`] with these capabilities and no other.
fn with_capabilities(setpriv: &PathBuf, agent: &PathBuf, capabilities: &[&str]) -> Command {
    let set = capabilities
        .iter()
        .fold("-all".to_owned(), |set, one| set + ",+" + one);
    let mut command = Command::new(setpriv);
    command
        .args([format!("--reuid={AGENT}"), format!("--regid={AGENT}")])
        .arg("--clear-groups")
        // As systemd's AmbientCapabilities and CapabilityBoundingSet.
        .args(["--inh-caps", "--ambient-caps", "--bounding-set"].map(|of| format!("{of}={set}")))
        .arg(agent);
    command
}

/// The agent in a place that every user may read.
fn agent_for_all(lab: &Lab) -> PathBuf {
    lab.open_to_all();
    let agent = lab.path("voxprobe");
    fs::copy(artifacts::voxprobe(), &agent).expect("copy the agent");
    agent
}

#[test]
fn four_capabilities_are_needed_and_no_more() {
    if unprivileged() || restricted() {
        return;
    }
    let Some(setpriv) = program("setpriv") else {
        return;
    };
    let lab = Lab::new();
    let agent = agent_for_all(&lab);
    let worker = Server::tonic_as(&lab, WORKER, &[]);
    // Older than the agent: its socket is found through the worker's descriptors.
    let _talk = Client::tonic(&lab, &worker, &LONG_TALK);
    worker.wait_for_frames(10);
    let pid = worker.pid().to_string();
    let watch = |capabilities: &[&str]| {
        let mut command = with_capabilities(&setpriv, &agent, capabilities);
        command.args(["run", "--pid", &pid]);
        command
    };
    let frames = |probe: &Probe, limit| {
        let sum = |scrape: &Exposition| scrape.sum("worker_audio_frames_emitted_total", &[]);
        sum(&probe.scrape_until(limit, |scrape| sum(scrape) > 0.0))
    };

    let probe = Probe::start(&lab, watch(&NEEDED));
    assert!(frames(&probe, SETTLE) > 0.0, "{}", probe.log());
    probe.stop();

    // Without this one the programs run, and the worker's descriptors cannot be looked at.
    let probe = Probe::start(&lab, watch(&["bpf", "perfmon", "dac_read_search"]));
    assert_eq!(frames(&probe, BLIND), 0.0);
    probe.stop();
    // Without any other no program can be loaded or attached.
    for without in ["bpf", "perfmon", "dac_read_search"] {
        let left: Vec<&str> = NEEDED.into_iter().filter(|one| *one != without).collect();
        let mut command = watch(&left);
        let output = probe::run(command.args(["--listen", "127.0.0.1:0"]));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "without {without}: {said}");
        assert!(said.contains("no permission"), "without {without}: {said}");
    }
}

/// A hook at a function of the C library, which every process maps.
const HOOK: &str = "[[hook]]\nname = \"clock\"\nlibrary = '/libc\\.so\\.6$'\nsymbol = \"clock_gettime\"\n\
                    kind = \"counter\"\n";

/// Whether this kernel asks for `CAP_SYS_ADMIN` where a uprobe is set: "perf: Revert to requiring
/// `CAP_SYS_ADMIN` for uprobes", Linux 6.16. Older series have it from some stable release on.
fn asks_for_the_administrator() -> bool {
    let (major, minor) = kernel();
    let asks = (major, minor) >= (6, 16);
    if !asks {
        skip(&format!(
            "Linux {major}.{minor} may let CAP_PERFMON set uprobes"
        ));
    }
    asks
}

#[test]
fn library_hooks_need_a_fifth_capability_and_without_it_the_rest_runs() {
    if unprivileged() || restricted() || !asks_for_the_administrator() {
        return;
    }
    let Some(setpriv) = program("setpriv") else {
        return;
    };
    let lab = Lab::new();
    let agent = agent_for_all(&lab);
    let worker = Server::tonic_as(&lab, WORKER, &[]);
    let _talk = Client::tonic(&lab, &worker, &LONG_TALK);
    let config = lab.write("hook.toml", HOOK);
    let pid = worker.pid().to_string();
    let hooks = |scrape: &Exposition, state| {
        scrape.sum("voxprobe_hooks", &[("name", "clock"), ("state", state)])
    };
    let with = |capabilities: &[&str], state| {
        let mut command = with_capabilities(&setpriv, &agent, capabilities);
        command
            .args(["run", "--pid", &pid, "--config"])
            .arg(&config);
        let probe = Probe::start(&lab, command);
        let done = |scrape: &Exposition| {
            hooks(scrape, state) > 0.0 && scrape.sum("worker_audio_frames_emitted_total", &[]) > 0.0
        };
        let seen = probe.scrape_until(SETTLE, done);
        assert!(done(&seen), "{state}: {}", probe.log());
        assert_eq!(hooks(&seen, "active") > 0.0, state == "active");
        let log = probe.log();
        probe.stop();
        log
    };
    let log = with(&NEEDED, "failed");
    assert!(log.contains("run voxprobe with CAP_SYS_ADMIN"), "{log}");
    with(&[&NEEDED[..], &["sys_admin"]].concat(), "active");
}

/// Capabilities that the kernel says a thread has, by the numbers of `linux/capability.h`.
fn capabilities(status: &str, set: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(set));
    u64::from_str_radix(line.expect("a set").trim(), 16).expect("hexadecimal")
}

#[test]
fn agent_that_runs_as_root_keeps_what_it_needs() {
    /// `DAC_READ_SEARCH` 2, `SYS_PTRACE` 19, PERFMON 38, BPF 39, `CHECKPOINT_RESTORE` 40.
    const KEPT: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39 | 1 << 40;
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &[]);
    let probe = Probe::watch(&lab, &[worker.pid()], &[]);
    let threads = fs::read_dir(format!("/proc/{}/task", probe.pid())).expect("threads");
    let mut seen = 0;
    for thread in threads {
        let file = thread.expect("a thread").path().join("status");
        let status = fs::read_to_string(file).expect("its status");
        for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
            let has = capabilities(&status, set);
            assert_eq!(has & !KEPT, 0, "{set} {has:x}");
        }
        assert_eq!(capabilities(&status, "CapInh:"), 0);
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        seen += 1;
    }
    assert!(seen > 1, "the agent's thread is one of them");
    probe.stop();
}
