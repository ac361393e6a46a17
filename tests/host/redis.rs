//! A real Redis server with real clients: what it counted itself is what is exported.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::process::Process;
use probe_tests::redis::Redis;
use probe_tests::skip::{program, unprivileged};
use voicelab::truth::{Event, Line};

/// How long the server may take to start.
const START: Duration = Duration::from_secs(10);

/// How long what was done may take to show.
const SOON: Duration = Duration::from_secs(10);

/// How long the voice sessions beside it may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(90);

/// Runs redis-benchmark with pipelines of 16 until it is told to end.
fn full_speed(redis: &Redis, lab: &Lab) -> Option<Process> {
    let mut command = Command::new(program("redis-benchmark")?);
    command
        .args(["-p", &redis.port, "-P", "16", "-c", "16", "-l", "-q"])
        .args(["-t", "set,get"]);
    Some(Process::start(&mut command, &lab.fresh("benchmark.err")))
}

/// Starts a probe that finds this server, and redis-benchmark as a voice process if it is to.
fn watch(lab: &Lab, redis: &Redis, watches_client: bool) -> Probe {
    let target = |role: &str, cmdline: &str| {
        let port = &redis.port;
        format!("[[target]]\nrole = \"{role}\"\ncmdline = '{cmdline}{port}'\n")
    };
    let mut targets = vec![
        target("redis", "redis-server .*:"),
        "[[target]]\nrole = \"worker\"\ncmdline = 'voicelab worker'\nname = \"w\"\n".to_owned(),
    ];
    if watches_client {
        targets.push(target("orchestrator", "redis-benchmark -p "));
    }
    let config = lab.write("redis.toml", targets.concat());
    let mut command = Command::new(artifacts::voxprobe());
    command.arg("run").arg("--config").arg(config);
    let probe = Probe::start(lab, command);
    let watched =
        |scrape: &Exposition| scrape.sum("voxprobe_watched_processes", &[("role", "redis")]) >= 1.0;
    assert!(
        watched(&probe.scrape_until(START, watched)),
        "{}",
        probe.log()
    );
    probe
}

/// Runs redis-benchmark with pipelines of 16, and a few commands beside it.
fn load(redis: &Redis) -> Option<()> {
    let benchmark = program("redis-benchmark")?;
    redis.cli(&["CONFIG", "RESETSTAT"]);
    let output = Command::new(benchmark)
        .args(["-p", &redis.port, "-P", "16", "-n", "8000", "-c", "8", "-q"])
        .args(["-t", "ping_mbulk,set,get,incr,lpush,hset"])
        .output()
        .expect("run redis-benchmark");
    assert!(output.status.success(), "redis-benchmark failed");
    Some(())
}

fn counted(scrape: &Exposition) -> BTreeMap<String, u64> {
    scrape.by_label("redis_command_latency_ms_count", "command")
}

fn problems(scrape: &Exposition) -> f64 {
    scrape.sum("voxprobe_wire_problems_total", &[])
}

/// Waits until the exported counts are the server's own, of all commands but those that ask for
/// them.
#[track_caller]
fn assert_counts(probe: &Probe, redis: &Redis, names: &[&str]) -> Exposition {
    let only = |mut counts: BTreeMap<String, u64>| {
        counts.retain(|name, _| names.contains(&name.as_str()));
        counts
    };
    let expected = only(redis.calls());
    assert_eq!(expected.len(), names.len(), "{expected:?}");
    let last = probe.scrape_until(SOON, |scrape| only(counted(scrape)) == expected);
    let trouble = last.lines(|name| {
        let told = [
            "wire_problems",
            "observations_skipped",
            "stream_gaps",
            "kernel_losses",
        ];
        told.iter().any(|part| name.contains(part))
    });
    assert_eq!(only(counted(&last)), expected, "{trouble:#?}");
    last
}

const OF_BENCHMARK: [&str; 6] = ["PING", "SET", "GET", "INCR", "LPUSH", "HSET"];

#[test]
fn commands_are_counted_as_the_server_counts_them() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    let probe = watch(&lab, &redis, false);
    if load(&redis).is_none() {
        return;
    }
    redis.cli(&["SETEX", "worker:a", "30", "{}"]);
    redis.cli(&["HGETALL", "worker:a"]);
    redis.cli(&["KEYS", "worker:*"]);
    let names = [&OF_BENCHMARK[..], &["SETEX", "HGETALL", "KEYS"]].concat();
    let last = assert_counts(&probe, &redis, &names);
    let wrong = [("command", "HGETALL"), ("error_type", "WRONGTYPE")];
    assert_eq!(last.sum("redis_command_errors_total", &wrong), 1.0);
    assert_eq!(last.sum("redis_command_errors_total", &[]), 1.0);
    assert_eq!(problems(&last), 0.0);
    let closed = |scrape: &Exposition| scrape.sum("redis_connections_active", &[]) < 1.0;
    assert!(closed(&probe.scrape_until(SETTLE, closed)));
    assert_lossless(&probe.stop());
}

#[test]
fn connection_between_two_watched_processes_counts_once() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    let probe = watch(&lab, &redis, true);
    if load(&redis).is_none() {
        return;
    }
    // The first ones may be over before the new process is watched.
    let (_first, names) = OF_BENCHMARK.split_first().expect("not empty");
    assert_counts(&probe, &redis, names);
    assert_lossless(&probe.stop());
}

/// Commands that are certainly at full speed: what redis-benchmark does in a second is a hundred times
/// more.
const FULL_SPEED_COMMANDS: f64 = 10_000.0;

/// Sessions and utterances beside the full speed.
const SESSIONS: usize = 4;
const UTTERANCES: usize = 2;

#[test]
fn voice_metrics_are_exact_beside_redis_at_full_speed() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(redis) = Redis::start(&lab) else {
        return;
    };
    let worker = Server::tonic(&lab, &[]);
    let probe = watch(&lab, &redis, false);
    probe.wait_watching(1);
    let Some(benchmark) = full_speed(&redis, &lab) else {
        return;
    };
    let (sessions, utterances) = (SESSIONS.to_string(), UTTERANCES.to_string());
    let arguments = ["--sessions", &sessions, "--utterances", &utterances];
    Client::tonic(&lab, &worker, &arguments).finish(CLIENT_LIMIT);
    let streams = (SESSIONS * UTTERANCES) as f64;
    let ended =
        |scrape: &Exposition| scrape.sum("worker_synthesis_duration_ms_count", &[]) >= streams;
    probe.scrape_until(SETTLE, ended);
    drop(benchmark);
    let last = probe.stop();
    let truth = worker.terminate().truth;
    let is_frame = |line: &&Line| matches!(line.event, Event::Frame { bytes, .. } if bytes > 0);
    let frames = truth.iter().filter(is_frame).count();
    assert_eq!(
        last.sum("worker_audio_frames_emitted_total", &[]),
        frames as f64
    );
    assert_eq!(last.sum("worker_synthesis_requests_total", &[]), streams);
    assert_eq!(problems(&last), 0.0, "decode errors");
    let commands = last.sum("redis_command_latency_ms_count", &[]);
    assert!(commands >= FULL_SPEED_COMMANDS, "{commands} commands");
    // What could not be kept up with is counted, and is none of the voice system's.
    let lost = last.by_label("voxprobe_kernel_losses_total", "reason");
    println!("{commands} commands beside {frames} frames; lost: {lost:?}");
}
