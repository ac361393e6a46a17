//! Pings that nobody answers: what each server makes of them, and what can be told of that.

use std::collections::BTreeMap;
use std::time::Duration;

use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker, watch};
use probe_tests::peer::Server;
use probe_tests::probe::{SETTLE, assert_lossless};
use probe_tests::skip::unprivileged;
use voicelab::truth::{Measure, measures};

/// How long the sessions may take.
const SESSIONS: Duration = Duration::from_secs(30);

/// Servers, each with a model of its own, and what is told of a session that they give up.
const GIVEN_UP: [(Front, &str, &str); 4] = [
    (Front::Websockets, "websockets", "timeout"),
    (Front::WebsocketsUvloop, "uvloop", "timeout"),
    (Front::Uvicorn, "uvicorn", "timeout"),
    // It sends no Close frame: all that is seen is that the server ended the connection.
    (Front::Aiohttp, "aiohttp", "normal"),
];

/// Whether a process says that a session of it timed out.
fn is_timeout(measure: &Measure) -> bool {
    measure.metric == "orchestrator_sessions_ended_total" && measure.labels["reason"] == "timeout"
}

#[test]
fn unanswered_pings_are_a_timeout_where_the_server_closes_with_1011() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let models = GIVEN_UP.map(|(_, model, _)| model).join(",");
    let room = ["--resident-cap", "8", "--load-ms", "5"];
    let worker = Server::tonic(&lab, &[&room[..], &["--models", &models]].concat());
    let start = |(front, model, _)| {
        let settings = ["--ping-interval-ms", "600", "--model", model];
        Orchestrator::start(&lab, front, &[("tone@0", &worker)], &settings)
    };
    let Some(orchestrators) = GIVEN_UP.into_iter().map(start).collect::<Option<Vec<_>>>() else {
        return;
    };
    let pids: Vec<_> = orchestrators.iter().map(Orchestrator::pid).collect();
    let probe = watch(&lab, &pids, "");
    let talk = ["--ends", "keep-alive", "--quiet-ms", "200"];
    let talk = |orchestrator| Talker::start(&lab, orchestrator, &talk);
    let talkers: Vec<_> = orchestrators.iter().map(talk).collect();
    for talker in talkers {
        talker.finish(SESSIONS);
    }
    let ended = |scrape: &Exposition| scrape.sum("orchestrator_sessions_ended_total", &[]);
    probe.scrape_until(SETTLE, |scrape| ended(scrape) >= GIVEN_UP.len() as f64);
    let last = probe.stop();
    for (orchestrator, (front, model, told)) in orchestrators.into_iter().zip(GIVEN_UP) {
        let labels = [("model_id", model)];
        let reasons: BTreeMap<_, _> = last
            .series("orchestrator_sessions_ended_total", &labels)
            .map(|series| (series.labels["reason"].as_str(), series.value))
            .collect();
        assert_eq!(reasons, [(told, 1.0)].into(), "{front:?}");
        let said = measures(&orchestrator.terminate().truth, "tone@0");
        if front == Front::Aiohttp {
            assert!(
                said.iter().any(is_timeout),
                "the server knows better: {said:?}"
            );
        }
    }
    assert_lossless(&last);
}
