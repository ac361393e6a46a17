//! The ways in which a session ends: each counts under its reason, and none stays open.

use std::time::Duration;

use probe_tests::account;
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker, watch};
use probe_tests::peer::Server;
use probe_tests::probe::{SETTLE, assert_lossless};
use probe_tests::skip::unprivileged;
use voicelab::truth::measures;

/// How long the sessions may take.
const SESSIONS: Duration = Duration::from_secs(30);

/// Ways to end that leave the server running, as `voicelab talker` names them, with the guide's
/// reason. Sessions of each ask for a model of that name: its series are theirs alone.
const ENDS: [(&str, &str); 6] = [
    ("client-close", "normal"),
    ("server-close", "normal"),
    ("client-reset", "client_disconnect"),
    ("idle-timeout", "timeout"),
    ("protocol-error", "error"),
    ("session-end", "normal"),
];

/// Ends every session of its process.
const CRASH: (&str, &str) = ("crash", "error");

/// `EndSession` alone: an agent without clients of its own has no other end.
const END_SESSION: (&str, &str) = ("end-session", "normal");

/// The orchestrator's limit: longer than any silence in a session that goes on.
const IDLE_TIMEOUT_MS: &str = "800";

#[track_caller]
fn assert_ended(scrape: &Exposition, transport: &str, (way, reason): (&str, &str)) {
    let labels = [("transport", transport), ("model_id", way)];
    let ended: Vec<_> = scrape
        .series("orchestrator_sessions_ended_total", &labels)
        .map(|series| (series.labels["reason"].as_str(), series.value))
        .collect();
    assert_eq!(ended, [(reason, 1.0)], "{way}");
    let started = scrape.sum("orchestrator_sessions_started_total", &labels);
    assert_eq!(started, 1.0, "{way}");
    let active: Vec<_> = scrape
        .series("orchestrator_sessions_active", &labels)
        .map(|series| series.value)
        .collect();
    assert_eq!(active, [0.0], "{way}");
}

#[test]
fn each_way_to_end_counts_under_its_reason_and_none_stays_active() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let ways = ENDS.map(|(way, _)| way);
    // A session asks for the model after the one of its number.
    let mut models = ways;
    models.rotate_right(1);
    let (ends, models) = (ways.join(","), models.join(","));
    let known = [&ends, CRASH.0, END_SESSION.0].join(",");
    let room = ["--resident-cap", "8", "--load-ms", "5"];
    let worker = Server::tonic(&lab, &[&room[..], &["--models", &known]].concat());
    let settings = ["--idle-timeout-ms", IDLE_TIMEOUT_MS];
    let orchestrator =
        Orchestrator::start(&lab, Front::Voicelab, &[("tone@0", &worker)], &settings)
            .expect("it needs no interpreter");
    let settings = ["--transport", "livekit", "--wait", "--model", END_SESSION.0];
    let mut agent = Orchestrator::start(&lab, Front::Voicelab, &[("tone@0", &worker)], &settings)
        .expect("it needs no interpreter");
    let idle = format!("[sessions]\nidle_timeout = \"{IDLE_TIMEOUT_MS}ms\"\n");
    let probe = watch(&lab, &[orchestrator.pid(), agent.pid()], &idle);

    let sessions = ways.len().to_string();
    let talk = ["--sessions", &sessions, "--models", &models];
    let talker = Talker::start(
        &lab,
        &orchestrator,
        &[&talk[..], &["--ends", &ends]].concat(),
    );
    let active = |scrape: &Exposition| scrape.sum("orchestrator_sessions_active", &[]);
    let all = ways.len() as f64;
    let scrape = probe.scrape_until(SETTLE, |scrape| active(scrape) == all);
    assert_eq!(active(&scrape), all, "sessions at the same time");
    talker.finish(SESSIONS);
    agent.go_on();
    agent.finish(SESSIONS);
    let crash = ["--models", CRASH.0, "--ends", CRASH.0];
    Talker::start(&lab, &orchestrator, &crash).finish(SESSIONS);
    let truth = orchestrator.crashed();

    let ended = |scrape: &Exposition| scrape.sum("orchestrator_sessions_ended_total", &[]);
    probe.scrape_until(SETTLE, |scrape| ended(scrape) >= all + 2.0);
    let last = probe.stop();
    for end in ENDS.into_iter().chain([CRASH]) {
        assert_ended(&last, "websocket", end);
    }
    assert_ended(&last, "livekit", END_SESSION);
    assert_eq!(active(&last), 0.0);
    let connections = last.sum("orchestrator_websocket_connections_active", &[]);
    assert_eq!(connections, 0.0);
    // The same by the orchestrator's own account.
    let said = account::known(&measures(&truth, "tone@0"), "orchestrator_sessions_");
    let seen = account::exported(&last, "orchestrator_sessions_");
    assert_eq!(account::without(&seen, "transport=\"livekit\""), said);
    assert_lossless(&last);
}
