//! The real webrtcvad: what a process heard is what is exported.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::{Probe, SETTLE, assert_lossless, replay};
use probe_tests::process::Process;
use probe_tests::skip::{program, skip, unprivileged};
use serde_json::Value;

use super::{ask, files, python, wait_active, watch};

const HOOK: &str = "[[hook]]\nname = \"vad\"\npreset = \"webrtcvad\"\n";

/// An interpreter that has webrtcvad; says so if there is none.
fn interpreter() -> Option<PathBuf> {
    let python = artifacts::python();
    if python.is_none() {
        skip("no Python with webrtcvad: run `cargo xtask setup`");
    }
    python
}

fn start(lab: &Lab, interpreter: &Path, mark: &str) -> Process {
    let mut command = python(interpreter, "vad.py", &[], mark);
    Process::start(&mut command, &lab.fresh("vad.err"))
}

/// What peers heard, over all their answers.
#[derive(Default)]
struct Heard {
    results: u64,
    starts: u64,
    ends: u64,
    /// Bounds of the sum of the starts' detection latencies, in milliseconds.
    least_ms: f64,
    most_ms: f64,
}

impl Heard {
    fn add(&mut self, answer: &Value) {
        self.results += answer["results"].as_u64().expect("results");
        for event in answer["events"].as_array().expect("events") {
            if event["speech"].as_bool().expect("speech") {
                self.starts += 1;
                self.least_ms += event["least_ns"].as_f64().expect("a time") / 1e6;
                self.most_ms += event["most_ns"].as_f64().expect("a time") / 1e6;
            } else {
                self.ends += 1;
            }
        }
    }

    /// Waits until all results are exported, then compares everything.
    #[track_caller]
    fn assert_exported(&self, probe: &Probe) -> Exposition {
        let counted = |scrape: &Exposition| scrape.sum("voxprobe_hook_calls_total", &[]) as u64;
        let scrape = probe.scrape_until(SETTLE, |scrape| counted(scrape) >= self.results);
        assert_eq!(counted(&scrape), self.results, "calls");
        let events = |event| {
            let labels = [("event_type", event)];
            scrape.sum("orchestrator_vad_events_total", &labels) as u64
        };
        assert_eq!(events("speech_start"), self.starts, "starts");
        assert_eq!(events("speech_end"), self.ends, "ends");
        let latency = |part: &str| {
            let name = format!("orchestrator_vad_detection_latency_ms_{part}");
            scrape.sum(&name, &[])
        };
        assert_eq!(latency("count") as u64, self.starts);
        let (sum, bounds) = (latency("sum"), self.least_ms..=self.most_ms);
        assert!(bounds.contains(&sum), "{sum} ms of latency, not {bounds:?}");
        scrape
    }
}

#[test]
fn speech_is_told_as_the_process_heard_it() {
    let (false, Some(interpreter)) = (unprivileged(), interpreter()) else {
        return;
    };
    let lab = Lab::new();
    let capture = lab.path("vad.vxcap");
    let record = ["--record", capture.to_str().expect("a path")];
    let probe = watch(&lab, "hears-speech", HOOK, &record);
    // The library is loaded after the probe is attached, and the process watched.
    let mut peer = start(&lab, &interpreter, "hears-speech");
    let waiting = |scrape: &Exposition| {
        files(scrape, "vad", "waiting") == 1.0
            && scrape.sum("voxprobe_watched_processes", &[("role", "orchestrator")]) == 1.0
    };
    assert!(waiting(&probe.scrape_until(SETTLE, waiting)));
    ask(&mut peer, "load");
    wait_active(&probe, "vad", 1);

    let mut heard = Heard::default();
    // Two listeners at once; runs that are too short for a start, and for an end.
    ask(&mut peer, "new a b");
    heard.add(&ask(
        &mut peer,
        "feed a=s20v30s40v1s10v40s9v20s40 b=v12s60v20s25v20s60",
    ));
    // One that ends while somebody speaks; the next may get its memory.
    heard.add(&ask(&mut peer, "feed a=s5v20"));
    ask(&mut peer, "new a");
    heard.add(&ask(&mut peer, "feed a=v25s40"));
    assert!(heard.starts >= 5 && heard.ends >= 4, "speech was heard");
    let scrape = heard.assert_exported(&probe);
    let duration = "voxprobe_hook_duration_seconds_count";
    assert_eq!(scrape.sum(duration, &[]) as u64, heard.results);

    // A frame that the detector refuses is an error, and says nothing about speech.
    assert_eq!(ask(&mut peer, "wrong a")["refused"], true);
    heard.results += 1;
    let scrape = heard.assert_exported(&probe);
    assert_eq!(scrape.sum("voxprobe_hook_errors_total", &[]), 1.0);

    peer.tell("quit");
    wait_active(&probe, "vad", 0);
    let last = probe.stop();
    assert_lossless(&last);
    let told = |scrape: &Exposition| {
        scrape.lines(|name| name.contains("_vad_") || name.starts_with("voxprobe_hook_calls"))
    };
    assert_eq!(
        told(&replay(&capture)),
        told(&last),
        "replay of the capture"
    );
}

#[test]
fn copies_in_other_places_are_hooked_until_their_processes_end() {
    let (false, Some(interpreter)) = (unprivileged(), interpreter()) else {
        return;
    };
    let Some(unshare) = program("unshare") else {
        return;
    };
    let lab = Lab::new();
    let mut plain = start(&lab, &interpreter, "hears-copies");
    let library = ask(&mut plain, "load")["library"].clone();
    let library = PathBuf::from(library.as_str().expect("a path"));

    // A copy that is deleted once it is loaded.
    let file = library.file_name().expect("a name");
    let folder = lab.path("copy");
    fs::create_dir(&folder).expect("make a folder");
    fs::copy(&library, folder.join(file)).expect("copy the library");
    let mut deleted = start(&lab, &interpreter, "hears-copies");
    let load = format!("load {}", folder.display());
    let loaded = ask(&mut deleted, &load)["library"].clone();
    assert_eq!(loaded.as_str().map(Path::new), Some(&*folder.join(file)));
    fs::remove_dir_all(&folder).expect("remove the copy");

    // A copy that only a mount namespace of its own shows, as in a container.
    let hidden = lab.path("hidden");
    fs::create_dir(&hidden).expect("make a folder");
    let script = format!(
        "mount -t tmpfs tmpfs {hidden} && cp {library} {hidden} && exec \"$@\"",
        hidden = hidden.display(),
        library = library.display(),
    );
    let inner = python(&interpreter, "vad.py", &[], "hears-copies");
    let mut command = Command::new(unshare);
    command.args(["--mount", "sh", "-c", &script, "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let mut contained = Process::start(&mut command, &lab.fresh("contained.err"));
    let loaded = ask(&mut contained, &format!("load {}", hidden.display()));
    assert_eq!(
        loaded["library"].as_str().map(Path::new),
        Some(&*hidden.join(file))
    );
    assert!(!hidden.join(file).exists(), "not in this namespace");

    let probe = watch(&lab, "hears-copies", HOOK, &[]);
    wait_active(&probe, "vad", 3);
    let mut heard = Heard::default();
    for (peer, pattern) in [
        (&mut plain, "feed a=s10v20s40"),
        (&mut deleted, "feed a=s5v20s10v20s40v10"),
        (&mut contained, "feed a=v30s30"),
    ] {
        ask(peer, "new a");
        heard.add(&ask(peer, pattern));
    }
    heard.assert_exported(&probe);

    // Another process with a file that is hooked already changes nothing, and ends alone.
    let mut second = start(&lab, &interpreter, "hears-copies");
    ask(&mut second, "load");
    drop(second);
    drop(contained);
    wait_active(&probe, "vad", 2);
    heard.add(&ask(&mut plain, "feed a=s20v20s40"));
    heard.assert_exported(&probe);
    drop(deleted);
    drop(plain);
    let scrape = wait_active(&probe, "vad", 0);
    assert_eq!(files(&scrape, "vad", "waiting"), 1.0);
    assert_lossless(&probe.stop());
}

#[test]
fn containers_of_one_image_layer_are_counted_once_each() {
    let (false, Some(interpreter)) = (unprivileged(), interpreter()) else {
        return;
    };
    let Some(unshare) = program("unshare") else {
        return;
    };
    let lab = Lab::new();
    let mut plain = start(&lab, &interpreter, "elsewhere");
    let library = ask(&mut plain, "load")["library"].clone();
    let library = PathBuf::from(library.as_str().expect("a path"));
    let layer = lab.path("layer");
    fs::create_dir(&layer).expect("make a folder");
    let copy = layer.join(library.file_name().expect("a name"));
    fs::copy(&library, copy).expect("copy the library");

    let probe = watch(&lab, "hears-layers", HOOK, &[]);
    // The kernel has the layer's file once; each overlay shows it under a device of its own.
    let mut peers = ["one", "two"].map(|name| {
        let (work, merged) = (lab.path(&format!("{name}-work")), lab.path(name));
        fs::create_dir(&work).expect("make a folder");
        fs::create_dir(&merged).expect("make a folder");
        let script = format!(
            "mount -t tmpfs tmpfs {work} && mkdir {work}/u {work}/w && mount -t overlay overlay -o \
             lowerdir={layer},upperdir={work}/u,workdir={work}/w {merged} && exec \"$@\"",
            work = work.display(),
            layer = layer.display(),
            merged = merged.display(),
        );
        let inner = python(&interpreter, "vad.py", &[], "hears-layers");
        let mut command = Command::new(&unshare);
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command.arg(inner.get_program()).args(inner.get_args());
        let mut peer = Process::start(&mut command, &lab.fresh("layers.err"));
        ask(&mut peer, &format!("load {}", merged.display()));
        peer
    });
    wait_active(&probe, "vad", 2);
    let mut heard = Heard::default();
    for peer in &mut peers {
        ask(peer, "new a");
        heard.add(&ask(peer, "feed a=s10v20s40"));
    }
    assert_eq!((heard.starts, heard.ends), (2, 2));
    heard.assert_exported(&probe);
    assert_lossless(&probe.stop());
}

#[test]
fn listener_older_than_the_probe_is_told_from_its_first_change() {
    let (false, Some(interpreter)) = (unprivileged(), interpreter()) else {
        return;
    };
    let lab = Lab::new();
    let mut peer = start(&lab, &interpreter, "hears-late");
    ask(&mut peer, "load");
    ask(&mut peer, "new a");
    // Somebody speaks when the probe comes: when they began is not known.
    let before = ask(&mut peer, "feed a=s10v20");
    assert_eq!(before["events"].as_array().map(Vec::len), Some(1));
    let probe = watch(&lab, "hears-late", HOOK, &[]);
    wait_active(&probe, "vad", 1);
    let mut heard = Heard::default();
    heard.add(&ask(&mut peer, "feed a=v20s40v20s40"));
    assert_eq!((heard.starts, heard.ends), (1, 2));
    heard.assert_exported(&probe);
    assert_lossless(&probe.stop());
}
