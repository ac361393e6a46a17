//! A configuration that changes while a hundred streams are under way: every change is applied, wrong
//! ones are refused, and no frame is lost or counted twice.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::skip::unprivileged;

/// Streams at the same time, and seconds of audio in each.
const STREAMS: u64 = 100;
const SECONDS: u64 = 15;

/// Reloads while they are under way: most on SIGHUP, every seventh because the file changed, which the
/// agent sees within two seconds.
const RELOADS: u64 = 20;
const BY_FILE: u64 = 7;

/// The profile that is built in, as a file.
const PROFILE: &str = include_str!("../../config/profiles/tts.toml");

/// A folder with the configuration, changed as Kubernetes changes a `ConfigMap`: the files lie behind a
/// link to a folder, and the link is replaced.
struct Mounted<'a> {
    lab: &'a Lab,
    revision: Cell<u64>,
}

impl Mounted<'_> {
    fn file(&self) -> PathBuf {
        self.lab.path("data/voxprobe.toml")
    }

    fn put(&self, configuration: &str) {
        let revision = self.revision.get() + 1;
        self.revision.set(revision);
        let folder = self.lab.path(&format!("revision-{revision}"));
        fs::create_dir(&folder).expect("make a folder");
        fs::write(folder.join("voxprobe.toml"), configuration).expect("write the configuration");
        let profile = format!("# revision {revision}\n{PROFILE}");
        fs::write(folder.join("profile.toml"), profile).expect("write the profile");
        let (link, data) = (self.lab.path("data.next"), self.lab.path("data"));
        symlink(&folder, &link).expect("make a link");
        fs::rename(&link, &data).expect("replace the link");
    }
}

/// The worker by its port, a threshold, and every other time a hook and a target that match nothing.
fn configuration(port: u16, name: &str, revision: u64) -> String {
    let more = if revision.is_multiple_of(2) {
        "[[target]]\nrole = \"orchestrator\"\nport = 1\n\
         [[hook]]\nname = \"none\"\nlibrary = '/libnone'\nsymbol = \"f\"\nkind = \"counter\"\n"
    } else {
        ""
    };
    let prebuffer = 60 + revision;
    format!(
        "profile = \"profile.toml\"\n[playout]\nprebuffer = \"{prebuffer}ms\"\n\
         [[target]]\nrole = \"worker\"\nport = {port}\nname = \"{name}\"\n{more}"
    )
}

fn reloads(scrape: &Exposition, outcome: &str) -> f64 {
    scrape.sum("voxprobe_config_reloads_total", &[("outcome", outcome)])
}

#[test]
fn twenty_reloads_during_a_hundred_streams_lose_nothing() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "20", "--ms-per-character", "100"]);
    let mounted = Mounted {
        lab: &lab,
        revision: Cell::new(0),
    };
    mounted.put(&configuration(worker.port, "tts-lab@0", 0));
    let mut command = Command::new(artifacts::voxprobe());
    command.args(["run", "--config"]).arg(mounted.file());
    let probe = Probe::start(&lab, command);
    probe.wait_watching(1);
    let (sessions, text) = (STREAMS.to_string(), (SECONDS * 10).to_string());
    let talk = [
        "--sessions",
        &sessions,
        "--text-length",
        &text,
        "--chunk-length",
        &text,
    ];
    let client = Client::tonic(&lab, &worker, &talk);
    let emitted = "worker_audio_frames_emitted_total";
    let open = |scrape: &Exposition| scrape.sum("worker_sessions_active", &[]);
    let all = probe.scrape_until(SETTLE, |scrape| open(scrape) == STREAMS as f64);
    assert_eq!(open(&all), STREAMS as f64);

    for revision in 1..=RELOADS {
        mounted.put(&configuration(worker.port, "tts-lab@0", revision));
        if !revision.is_multiple_of(BY_FILE) {
            probe.hang_up();
        }
        let applied = |scrape: &Exposition| reloads(scrape, "applied");
        let done = probe.scrape_until(SETTLE, |scrape| applied(scrape) >= revision as f64);
        assert_eq!(applied(&done), revision as f64, "{}", probe.log());
    }
    let during = probe.scrape();
    let frames = (STREAMS * SECONDS * 50) as f64;
    assert!(
        during.sum(emitted, &[]) < frames,
        "nothing was said any more"
    );
    assert_eq!(
        open(&during),
        STREAMS as f64,
        "a hundred streams to the last"
    );

    // A wrong file, meanwhile: it says why, and nothing changes.
    mounted.put("[playout]\nprebufer = \"1s\"\n");
    probe.hang_up();
    let refused = probe.scrape_until(SETTLE, |scrape| reloads(scrape, "refused") > 0.0);
    assert_eq!(reloads(&refused, "refused"), 1.0);
    let why = probe.log();
    let words = [
        "configuration refused",
        "voxprobe.toml:2",
        "did you mean `prebuffer`",
    ];
    assert!(words.iter().all(|word| why.contains(word)), "{why}");

    let client = client.finish(Duration::from_secs(90));
    assert_eq!(
        client.summary.frames as f64, frames,
        "every frame is received"
    );
    let last = probe.scrape_until(SETTLE, |scrape| scrape.sum(emitted, &[]) >= frames);
    assert_eq!(last.sum(emitted, &[("worker", "tts-lab@0")]), frames);
    let requests = last.sum("worker_synthesis_requests_total", &[]);
    assert_eq!(requests, STREAMS as f64);
    let ended = last.sum("worker_synthesis_duration_ms_count", &[]);
    assert_eq!(ended, STREAMS as f64, "each is told once");
    assert_eq!(last.sum("worker_audio_frame_drops_total", &[]), 0.0);
    assert_eq!(reloads(&last, "applied"), RELOADS as f64, "and no more");
    assert_lossless(&last);

    // What is applied has its effect: another name, and another worker.
    let second = Server::tonic(&lab, &["--load-ms", "20"]);
    let two = configuration(worker.port, "tts-renamed@0", 1)
        + &format!("[[target]]\nrole = \"worker\"\nport = {}\n", second.port);
    mounted.put(&two);
    probe.hang_up();
    probe.wait_watching(2);
    let renamed = probe.scrape_until(SETTLE, |scrape| {
        scrape
            .series("worker_sessions_active", &[("worker", "tts-renamed@0")])
            .next()
            .is_some()
    });
    let names = renamed.by_label("worker_sessions_active", "worker");
    assert!(names.contains_key("tts-renamed@0"), "{names:?}");
    assert!(!names.contains_key("tts-lab@0"), "{names:?}");
    assert_lossless(&probe.stop());
}
