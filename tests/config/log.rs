//! The agent's log: every line is what `config/log.schema.json` says, and none tells personal data.

use std::fs;
use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE};
use probe_tests::process::eventually;
use probe_tests::skip::unprivileged;

use crate::kubernetes::tools::Tools;
use crate::rules::config;

/// What must not be written: it is in the worker's name, in the program's, in the path of the
/// configuration, and in the names of sessions.
const PLANTED: [&str; 6] = [
    "jane.doe+tts@mail.example.org",
    "bob@example.com",
    "123-45-6789",
    "acme-voices",
    "987-65-4321",
    "carol@example.net",
];

/// What is written in its place.
const REPLACED: [&str; 3] = ["[EMAIL]", "[SSN]", "/voicepacks/[REDACTED]"];

/// Starts the agent with everything planted, has it say as much as it can, and gives its log.
fn planted_log(format: &str) -> String {
    let lab = Lab::new();
    lab.open_to_all();
    let folder = lab.path("voicepacks/acme-voices/123-45-6789/ref");
    fs::create_dir_all(&folder).expect("make a folder");
    let named = Server::tonic(&lab, &[]);
    let behind = [("w", &named)];
    let orchestrator = Orchestrator::start(&lab, Front::Voicelab, &behind, &[]);
    let orchestrator = orchestrator.expect("it needs no interpreter");
    let settings = |more: &str| {
        format!(
            "[slo]\nfirst_audio = \"1ms\"\n\
             [[target]]\nrole = \"orchestrator\"\npid = {}\n\
             [[target]]\nrole = \"worker\"\npid = {}\nname = \"{} 987-65-4321\"\n\
             [[target]]\nrole = \"worker\"\nexe = 'example\\.com$'\n{more}",
            orchestrator.pid(),
            named.pid(),
            PLANTED[0]
        )
    };
    let file = folder.join("voxprobe.toml");
    fs::write(&file, settings("")).expect("write the configuration");
    let mut command = Command::new(artifacts::voxprobe());
    command
        .args([
            "--log-level",
            "debug",
            "--log-format",
            format,
            "run",
            "--config",
        ])
        .arg(&file);
    // Its address is read from the log, which is not JSON.
    if format == "text" {
        return text_log(&lab, command);
    }
    let probe = Probe::start(&lab, command);
    probe.wait_watching(1);
    // A program whose name is an address.
    let program = Server::tonic_copy(&lab, PLANTED[1], &[]);
    probe.wait_watching(2);
    let talk = [
        "--sessions",
        "2",
        "--text-length",
        "10",
        "--session-prefix",
        PLANTED[5],
    ];
    Client::tonic(&lab, &program, &talk).finish(SETTLE * 6);
    Talker::start(&lab, &orchestrator, &[]).finish(SETTLE * 6);
    for event in [
        "session started",
        "session ended",
        "\"slo\":\"first_audio\"",
    ] {
        let told = || probe.log().contains(event);
        assert!(eventually(SETTLE, told), "{event}: {}", probe.log());
    }
    program.terminate();
    // Why a file is refused names its path.
    fs::write(&file, settings("[playout]\nprebufer = \"1s\"\n")).expect("write");
    probe.hang_up();
    let told = || probe.log().contains("configuration refused");
    assert!(eventually(SETTLE, told), "{}", probe.log());
    let ended = || probe.log().contains("process ended");
    assert!(eventually(SETTLE, ended), "{}", probe.log());
    let log = probe.log();
    probe.stop();
    log
}

/// The same of an agent whose configuration is wrong from the start: the line that it ends with.
fn text_log(lab: &Lab, mut command: Command) -> String {
    let log = lab.fresh("text.err");
    let mut process =
        probe_tests::process::Process::start(command.args(["--listen", "127.0.0.1:0"]), &log);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    let said = eventually(SETTLE * 2, || read().contains("process watched"));
    assert!(said && process.is_running(), "{}", read());
    read()
}

#[test]
fn no_line_tells_what_was_planted_and_every_line_follows_the_schema() {
    if unprivileged() {
        return;
    }
    let log = planted_log("json");
    for planted in PLANTED {
        assert!(!log.contains(planted), "{planted} is in the log: {log}");
    }
    for replaced in REPLACED {
        assert!(log.contains(replaced), "{replaced} is nowhere in {log}");
    }
    if let Some(tools) = Tools::find() {
        let schema = config().join("log.schema.json");
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines.len() > 10, "{log}");
        assert_eq!(tools.mismatches(&schema, &lines), [""; 0]);
        let wrong = lines[0].replace("\"level\":\"", "\"level\":\"NO");
        assert_eq!(tools.mismatches(&schema, &[&wrong]).len(), 1);
    }
}

#[test]
fn text_tells_no_more_than_json() {
    if unprivileged() {
        return;
    }
    let log = planted_log("text");
    for planted in PLANTED {
        assert!(!log.contains(planted), "{planted} is in the log: {log}");
    }
    assert!(log.contains("[EMAIL] [SSN]"), "{log}");
}

#[test]
fn line_that_an_error_ends_with_tells_no_more_either() {
    let folder = format!("/voicepacks/{}/{}", PLANTED[3], PLANTED[2]);
    let file = format!("{folder}/{}.toml", PLANTED[1]);
    for arguments in [
        &["run", "--config", &file][..],
        &["replay", &file],
        &["replay", "/tmp/bob@example.com/987-65-4321"],
        // What clap says of arguments.
        &["run", "--listen", "bob@example.com"],
    ] {
        let output = Command::new(artifacts::voxprobe()).args(arguments).output();
        let output = output.expect("run the agent");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with("voxprobe: "), "{said}");
        for planted in PLANTED {
            assert!(!said.contains(planted), "{arguments:?}: {said}");
        }
        let replaced = REPLACED.iter().any(|replaced| said.contains(replaced));
        assert!(replaced, "{arguments:?}: {said}");
    }
}
