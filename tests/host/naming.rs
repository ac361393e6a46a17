//! What workers are called: by their registrations in a real Redis, by ports that open late, and
//! after a restart.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{self, Probe, assert_lossless};
use probe_tests::process::Process;
use probe_tests::skip::unprivileged;

use probe_tests::redis::{Redis, free_port};

/// How soon a name must show.
const SOON: Duration = Duration::from_secs(10);

/// How long a client may take.
const CLIENT_LIMIT: Duration = Duration::from_mins(1);

const FRAMES: &str = "worker_audio_frames_emitted_total";

/// A worker that registers itself when it is told to; `%d` is the length of its value.
const SELF_REGISTRATION: &str = r#"
read go
exec 3<>/dev/tcp/127.0.0.1/PORT
json='{"name":"itself","addr":"grpc://container:7001"}'
printf '*4\r\n$5\r\nSETEX\r\n$13\r\nworker:itself\r\n$2\r\n30\r\n$%d\r\n%s\r\n' ${#json} "$json" >&3
read answer <&3
echo "$answer"
read end
"#;

/// Names of the workers that are watched.
fn workers(scrape: &Exposition) -> BTreeSet<String> {
    let active = scrape.series("worker_sessions_active", &[]);
    active
        .filter_map(|sample| sample.labels.get("worker").cloned())
        .collect()
}

#[track_caller]
fn assert_workers(probe: &Probe, expected: &[&str]) {
    let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
    let last = probe.scrape_until(SOON, |scrape| workers(scrape) == expected);
    assert_eq!(workers(&last), expected, "{}", probe.log());
}

fn start(lab: &Lab, config: &Path, arguments: &[&str]) -> Probe {
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    command.args(arguments);
    Probe::start(lab, command)
}

fn target(adapter: &str, name: &str) -> String {
    let name = if name.is_empty() {
        String::new()
    } else {
        format!("name = \"{name}\"\n")
    };
    format!(
        "[[target]]\nrole = \"worker\"\ncmdline = 'voicelab worker .*--adapter {adapter}'\n{name}"
    )
}

fn register(redis: &Redis, name: &str, address: &str) {
    let json = format!("{{\"name\":\"{name}\",\"metrics\":{{}},\"addr\":\"{address}\"}}");
    let said = redis.cli(&["SETEX", &format!("worker:{name}"), "30", &json]);
    assert_eq!(said.trim(), "OK");
}

#[test]
fn registration_at_a_watched_server_names_the_worker_that_listens_there() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    let worker = |adapter| Server::tonic(&lab, &["--adapter", adapter, "--load-ms", "20"]);
    let (first, second, fixed) = (worker("one"), worker("two"), worker("three"));
    let targets = [
        target("one", ""),
        target("two", ""),
        target("three", "fixed"),
        format!(
            "[[target]]\nrole = \"redis\"\ncmdline = 'redis-server .*:{}'\n",
            redis.port
        ),
    ];
    let config = lab.write("voxprobe.toml", targets.concat());
    let capture = lab.path("names.vxcap");
    let file = capture.display().to_string();
    let probe = start(&lab, &config, &["--record", &file]);
    let (one, two) = (
        format!("voicelab:{}", first.port),
        format!("voicelab:{}", second.port),
    );
    assert_workers(&probe, &[&one, &two, "fixed"]);
    Client::tonic(&lab, &first, &["--text-length", "10"]).finish(CLIENT_LIMIT);
    let counted = [("worker", one.as_str())];
    let before = probe.scrape_until(SOON, |scrape| scrape.sum(FRAMES, &counted) >= 30.0);
    assert_eq!(before.sum(FRAMES, &counted), 30.0);

    // Another host's worker, whose port is the same.
    register(
        &redis,
        "remote",
        &format!("grpc://192.0.2.1:{}", first.port),
    );
    register(
        &redis,
        "tts-a@0",
        &format!("grpc://localhost:{}", first.port),
    );
    assert_workers(&probe, &["tts-a@0", &two, "fixed"]);
    register(&redis, "other", &format!("grpc://127.0.0.1:{}", first.port));
    register(
        &redis,
        "ignored",
        &format!("grpc://127.0.0.1:{}", fixed.port),
    );
    register(&redis, "tts-a@0", &format!("grpc://[::1]:{}", second.port));
    let suffixed = format!("tts-a@0:{}", second.port);
    assert_workers(&probe, &["tts-a@0", &suffixed, "fixed"]);

    let listened = Client::tonic(&lab, &first, &["--text-length", "10"]).finish(CLIENT_LIMIT);
    assert_eq!(listened.summary.frames, 30);
    let named = [("worker", "tts-a@0")];
    probe.scrape_until(SOON, |scrape| scrape.sum(FRAMES, &named) >= 30.0);
    let last = probe.stop();
    assert_eq!(last.sum(FRAMES, &named), 30.0, "counted anew, and once");
    assert_eq!(last.sum(FRAMES, &[]), 30.0);
    assert_lossless(&last);
    let replayed = probe::replay(&capture);
    assert_eq!(workers(&replayed), workers(&last));
    assert_eq!(replayed.sum(FRAMES, &named), 30.0);
}

#[test]
fn worker_that_registers_itself_has_its_name_wherever_it_listens() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    // The server is not watched: the worker is told from its own connection.
    let script = SELF_REGISTRATION.replace("PORT", &redis.port);
    let script = lab.write("registrant.sh", script);
    let mut command = Command::new("bash");
    let mut registrant = Process::start(command.arg(&script), &lab.path("registrant.err"));
    let probe = Probe::watch(&lab, &[registrant.pid()], &[]);
    assert_workers(&probe, &["bash"]);
    registrant.tell("go");
    assert_eq!(registrant.line(SOON).trim(), "+OK");
    assert_workers(&probe, &["itself"]);
    assert_lossless(&probe.stop());
}

#[test]
fn worker_that_binds_late_is_named_by_its_port_at_its_first_connection() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let config = lab.write("voxprobe.toml", target("late", ""));
    let probe = start(&lab, &config, &[]);
    // It asks for any free port, so that its arguments do not tell.
    let worker = Server::tonic(&lab, &["--adapter", "late", "--load-ms", "20"]);
    probe.wait_watching(1);
    let client = Client::tonic(&lab, &worker, &["--text-length", "10"]).finish(CLIENT_LIMIT);
    assert_eq!(client.summary.frames, 30);
    let name = format!("voicelab:{}", worker.port);
    assert_workers(&probe, &[&name]);
    let last = probe.stop();
    assert_eq!(last.sum(FRAMES, &[("worker", &name)]), 30.0);
    assert_eq!(last.sum(FRAMES, &[]), 30.0);
}

#[test]
fn killed_and_restarted_worker_has_its_plain_name_again() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let port = free_port();
    let config = lab.write("voxprobe.toml", target("again", ""));
    let probe = start(&lab, &config, &[]);
    let run = || {
        let mut command = Command::new(artifacts::voicelab());
        command.args(["worker", "--adapter", "again", "--port", &port]);
        let worker = Process::start(&mut command, &lab.fresh("worker.err"));
        assert_eq!(worker.line(SOON), format!("listening {port}"));
        worker
    };
    let name = format!("voicelab:{port}");
    for _ in 0..3 {
        let worker = run();
        assert_workers(&probe, &[&name]);
        // Killed and waited for; the next one starts within milliseconds.
        drop(worker);
    }
    let _last = run();
    // The process before has a moment to be found gone.
    std::thread::sleep(Duration::from_secs(1));
    assert_workers(&probe, &[&name]);
    assert!(!probe.log().contains('#'), "{}", probe.log());
    probe.stop();
}
