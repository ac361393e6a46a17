//! The agent's log: every line is what `config/log.schema.json` says, and none tells personal data.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use probe_tests::artifacts;
use probe_tests::authority::Authority;
use probe_tests::collector::{Collector, Protocol};
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE};
use probe_tests::process::eventually;
use probe_tests::redis::Redis;
use probe_tests::skip::unprivileged;

use crate::kubernetes::tools::Tools;
use crate::rules::config;

/// What must not be written: it is in the worker's name, in the program's, in the path of the configuration and
/// of everything beside it (certificates of the collector and of the endpoint), in the names of sessions and of
/// models, and in keys of Redis.
const PLANTED: [&str; 8] = [
    "jane.doe+tts@mail.example.org",
    "bob@example.com",
    "123-45-6789",
    "acme-voices",
    "987-65-4321",
    "carol@example.net",
    "dave@example.org",
    "eve@example.edu",
];

/// What is written in its place.
const REPLACED: [&str; 3] = ["[EMAIL]", "[SSN]", "/voicepacks/[REDACTED]"];

/// Starts the agent with everything planted, has it say as much as it can, and gives its log.
fn planted_log(format: &str) -> String {
    let lab = Lab::new();
    lab.open_to_all();
    let folder = planted_folder(&lab);
    let model = format!("voice-of-{}", PLANTED[6]);
    let named = Server::tonic(&lab, &["--models", &model]);
    let behind = [(PLANTED[7], &named)];
    let redis = Redis::start(&lab);
    let registry = redis
        .as_ref()
        .map(|redis| format!("127.0.0.1:{}", redis.port));
    let mut arguments = vec!["--model", &model];
    arguments.extend(registry.iter().flat_map(|address| ["--redis", address]));
    let orchestrator = Orchestrator::start(&lab, Front::Voicelab, &behind, &arguments);
    let orchestrator = orchestrator.expect("it needs no interpreter");
    // It is not the authority that the agent trusts: every trace is refused, and that is told.
    let collector = Collector::secure(Protocol::Grpc, &Authority::new());
    fs::write(folder.join("authority.pem"), Authority::new().pem()).expect("write");
    let traces = collector.settings() + "ca_file = \"authority.pem\"\n";
    let settings = |more: &str| {
        format!(
            "[traces]\nenabled = true\ninterval = \"500ms\"\n{traces}\
             [slo]\nfirst_audio = \"1ms\"\n\
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
        "\"trace_id\":\"",
        "traces are not exported",
        "invalid peer certificate",
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
    tells_nothing(&log);
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
    tells_nothing(&log);
    assert!(log.contains("[EMAIL] [SSN]"), "{log}");
}

/// A folder in which everything that an error names is planted.
fn planted_folder(lab: &Lab) -> PathBuf {
    let folder = lab.path("voicepacks/acme-voices/123-45-6789/ref");
    fs::create_dir_all(&folder).expect("make a folder");
    folder
}

#[test]
fn endpoint_whose_certificate_goes_wrong_tells_no_more_either() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let folder = planted_folder(&lab);
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("write");
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let certified = certified.expect("a certificate");
    write("cert.pem", &certified.cert.pem());
    write("key.pem", &certified.signing_key.serialize_pem());
    let web = "tls_server_config: { cert_file: cert.pem, key_file: key.pem }\n";
    write("web.yml", web);
    write("voxprobe.toml", "[http]\nweb_config = \"web.yml\"\n");
    let mut command = Command::new(artifacts::voxprobe());
    command.args(["--log-level", "debug", "run", "--config"]);
    command.arg(folder.join("voxprobe.toml"));
    let probe = Probe::serve(&lab, command);
    // It looks at its files when somebody comes, who does not speak TLS here.
    let refused = |times: usize| {
        let log = || probe.log();
        let told = || {
            probe.get("/metrics");
            log().matches("web configuration refused").count() >= times
        };
        assert!(eventually(SETTLE * 2, told), "{}", log());
    };
    write("cert.pem", "none\n");
    refused(1);
    write(
        "web.yml",
        &format!("{web}basic_auth_users: {{ {}: none }}\n", PLANTED[1]),
    );
    write("cert.pem", &certified.cert.pem());
    refused(2);
    let log = probe.log();
    assert!(log.contains("no TLS handshake"), "{log}");
    assert!(
        log.contains("the password of [EMAIL] is no bcrypt hash"),
        "{log}"
    );
    tells_nothing(&log);
}

#[test]
fn line_that_an_error_ends_with_tells_no_more_either() {
    let lab = Lab::new();
    let folder = planted_folder(&lab);
    let file = folder
        .join("bob@example.com.toml")
        .to_string_lossy()
        .into_owned();
    for arguments in [
        &["run", "--config", &file][..],
        &["replay", &file],
        &["replay", "/tmp/bob@example.com/987-65-4321"],
        // What clap says of arguments.
        &["run", "--listen", "bob@example.com"],
    ] {
        ends_with_nothing_told(arguments);
    }
    for wrong in [
        "\"bob@example.com\" = 1\n",
        "[log]\nlevel = \"bob@example.com\"\n",
        "[[target]]\nrole = \"worker\"\ncmdline = \'987-65-4321(\'\n",
        "[http]\nweb_config = \"web.yml\"\n",
        "[traces]\nenabled = true\nendpoint = \"https://bob@example.com:4317\"\n",
        "[traces]\nenabled = true\nendpoint = \"https://localhost\"\nca_file = \"ca.pem\"\n",
    ] {
        fs::write(&file, wrong).expect("write the configuration");
        ends_with_nothing_told(&["run", "--listen", "127.0.0.1:0", "--config", &file]);
    }
}

/// The agent refuses these arguments in one line that is redacted.
#[track_caller]
fn ends_with_nothing_told(arguments: &[&str]) {
    let output = Command::new(artifacts::voxprobe()).args(arguments).output();
    let output = output.expect("run the agent");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    assert!(said.starts_with("voxprobe: "), "{said}");
    tells_nothing(&said);
    let replaced = REPLACED.iter().any(|replaced| said.contains(replaced));
    assert!(replaced, "{arguments:?}: {said}");
}

#[track_caller]
fn tells_nothing(said: &str) {
    for planted in PLANTED {
        assert!(!said.contains(planted), "{planted} is told: {said}");
    }
}
