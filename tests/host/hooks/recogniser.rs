//! A recogniser's library: counts, durations and failures, of threads, children and recursion.

use std::path::{Path, PathBuf};
use std::process::Command;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::process::Process;
use probe_tests::skip::{program, unprivileged};

use super::{ask, config, files, python, wait_active, watch};

/// Hooks of every kind, and two that cannot be set.
const HOOKS: &str = r#"
[[hook]]
name = "asr"
preset = "asr"
library = '/recogniser\.so$'
symbol = "recognise"
timeouts = [-110]
model = "openai/whisper-small"

[[hook]]
name = "descend"
library = '/recogniser\.so$'
symbol = "descend"
kind = "latency"
returns = "i64"

[[hook]]
name = "model"
library = '/recogniser\.so$'
symbol = "open_model"
kind = "latency"
returns = "pointer"

[[hook]]
name = "tick"
library = '/recogniser\.so$'
symbol = "private_tick"
kind = "counter"
role = "orchestrator"

[[hook]]
name = "not for it"
library = '/recogniser\.so$'
symbol = "tick"
kind = "counter"
role = "worker"

[[hook]]
name = "no symbol"
library = '/recogniser\.so$'
symbol = "no_such_function"
kind = "counter"
"#;

struct Recogniser {
    peer: Process,
}

/// Builds the library; says so where there is no compiler.
fn library(lab: &Lab) -> Option<PathBuf> {
    let path = lab.path("recogniser.so");
    let output = Command::new(program("cc")?)
        .args(["-O1", "-shared", "-fPIC", "-o"])
        .arg(&path)
        .arg(artifacts::peers().join("recogniser.c"))
        .output()
        .expect("run the compiler");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(path)
}

impl Recogniser {
    fn start(lab: &Lab, library: &Path, mark: &str) -> Option<Self> {
        let library = library.to_str().expect("a path");
        let mut command = python(&program("python3")?, "recogniser.py", &[library], mark);
        let peer = Process::start(&mut command, &lab.fresh("recogniser.err"));
        Some(Self { peer })
    }

    /// Tells it to do something; gives how long its calls took, in milliseconds.
    fn ask(&mut self, command: &str) -> Vec<f64> {
        let answer = ask(&mut self.peer, command);
        let took = answer["took_ns"].as_array().expect("times");
        took.iter()
            .map(|ns| ns.as_f64().expect("a time") / 1e6)
            .collect()
    }
}

fn calls(scrape: &Exposition, hook: &str) -> u64 {
    scrape.sum("voxprobe_hook_calls_total", &[("hook", hook)]) as u64
}

/// Waits until this many calls of a hook are counted, and no more.
#[track_caller]
fn assert_calls(probe: &Probe, hook: &str, expected: u64) -> Exposition {
    let scrape = probe.scrape_until(SETTLE, |scrape| calls(scrape, hook) >= expected);
    assert_eq!(calls(&scrape, hook), expected, "calls of {hook}");
    scrape
}

#[test]
fn calls_are_counted_and_timed_as_the_process_sees_them() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(library) = library(&lab) else { return };
    let probe = watch(&lab, "recognises", HOOKS, &[]);
    let Some(mut peer) = Recogniser::start(&lab, &library, "recognises") else {
        return;
    };
    peer.ask("load");
    for hook in ["asr", "descend", "model", "tick"] {
        wait_active(&probe, hook, 1);
    }

    let mut took = peer.ask("recognise 5 0 60 7 2 -1 130 3 1 -110 1 -2");
    took.extend(peer.ask("threads 8 40"));
    let asked_ms = f64::from(5 + 60 + 2 + 130 + 1 + 1 + 8 * 40);
    assert_calls(&probe, "asr", took.len() as u64);
    let model = [("model", "openai/whisper-small")];
    let requests = |scrape: &Exposition| scrape.sum("orchestrator_asr_requests_total", &model);
    // A scrape reads one metric after the other.
    let scrape = probe.scrape_until(SETTLE, |scrape| requests(scrape) as usize >= took.len());
    let requests = requests(&scrape);
    assert_eq!(requests as usize, took.len());
    let latency = |part: &str| scrape.sum(&format!("orchestrator_asr_latency_ms_{part}"), &model);
    assert_eq!(latency("count"), requests);
    let bounds = asked_ms..=took.iter().sum::<f64>();
    assert!(bounds.contains(&latency("sum")), "{} ms", latency("sum"));
    for (kind, expected) in [("timeout", 1.0), ("model_error", 2.0)] {
        let labels = [("error_type", kind)];
        let errors = scrape.sum("orchestrator_asr_errors_total", &labels);
        assert_eq!(errors, expected, "{kind}");
    }

    // A child that is gone before anybody could look at it.
    for _ in 0..3 {
        peer.ask("fork");
    }
    assert_calls(&probe, "asr", took.len() as u64 + 3);
    peer.ask("descend 20");
    assert_calls(&probe, "descend", 21);
    peer.ask("models 0x10 0 0x7fff00000000");
    let scrape = assert_calls(&probe, "model", 3);
    let failed = |hook| scrape.sum("voxprobe_hook_errors_total", &[("hook", hook)]);
    assert_eq!((failed("model"), failed("asr")), (1.0, 3.0));
    peer.ask("ticks 500");
    let scrape = assert_calls(&probe, "tick", 500);
    assert_eq!(calls(&scrape, "not for it"), 0);
    assert_lossless(&probe.stop());
}

#[test]
fn hook_that_cannot_be_set_is_a_state_and_the_rest_goes_on() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(library) = library(&lab) else { return };
    let Some(mut peer) = Recogniser::start(&lab, &library, "fails-one") else {
        return;
    };
    peer.ask("load");
    let probe = watch(&lab, "fails-one", HOOKS, &[]);
    let scrape = wait_active(&probe, "asr", 1);
    assert_eq!(files(&scrape, "no symbol", "failed"), 1.0);
    assert_eq!(files(&scrape, "not for it", "waiting"), 1.0);
    assert_eq!(probe.get("/readyz").map(|(status, _)| status), Some(200));
    peer.ask("recognise 1 0");
    assert_calls(&probe, "asr", 1);
    assert_lossless(&probe.stop());

    let output = Command::new(artifacts::voxprobe())
        .args(["check", "--config"])
        .arg(config(&lab, "fails-one", HOOKS))
        .output()
        .expect("run check");
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find(|line| line.starts_with("library hooks"))
        .expect("a line on library hooks");
    assert!(line.contains("failed"), "{line}");
    assert!(line.contains("asr: set at 1 library file"), "{line}");
    assert!(
        line.contains("no symbol: not at 1: the library has no such symbol"),
        "{line}"
    );
    assert!(line.contains("not for it: waiting"), "{line}");
    assert_eq!(output.status.code(), Some(1), "{text}");
}

#[test]
fn function_without_a_name_is_hooked_by_its_offset() {
    if unprivileged() {
        return;
    }
    let (Some(strip), Some(nm)) = (program("strip"), program("nm")) else {
        return;
    };
    let lab = Lab::new();
    let Some(library) = library(&lab) else { return };
    let symbols = Command::new(nm).arg(&library).output().expect("run nm");
    let symbols = String::from_utf8_lossy(&symbols.stdout).into_owned();
    // The first segments of a small library lie in the file as in memory.
    let offset = symbols
        .lines()
        .find_map(|line| line.strip_suffix(" t private_tick"))
        .and_then(|address| u64::from_str_radix(address, 16).ok())
        .expect("nm names the function");
    let stripped = Command::new(strip).arg(&library).status();
    assert!(stripped.expect("run strip").success());
    let hook = |name: &str, place: &str| {
        format!(
            "[[hook]]\nname = \"{name}\"\nlibrary = '/recogniser\\.so$'\nkind = \"counter\"\n{place}\n"
        )
    };
    let hooks = [
        hook("by offset", &format!("offset = {offset}")),
        hook("by name", "symbol = \"private_tick\""),
        hook("exported", "symbol = \"tick\""),
        hook("no code", "offset = 0"),
    ];
    let probe = watch(&lab, "offsets", &hooks.concat(), &[]);
    let Some(mut peer) = Recogniser::start(&lab, &library, "offsets") else {
        return;
    };
    peer.ask("load");
    let scrape = wait_active(&probe, "exported", 1);
    assert_eq!(files(&scrape, "by name", "failed"), 1.0);
    assert_eq!(files(&scrape, "no code", "failed"), 1.0);
    peer.ask("ticks 10");
    assert_calls(&probe, "exported", 10);
    assert_calls(&probe, "by offset", 10);
    assert_lossless(&probe.stop());
}
