//! The Python orchestrators on four WebSocket servers: what they say they did is what their clients
//! and workers saw, with permessage-deflate and without.

use std::collections::BTreeMap;
use std::time::Duration;

use probe_tests::lab::Lab;
use probe_tests::orchestra::{Front, Orchestrator, Talker};
use probe_tests::peer::Server;
use voicelab::truth::{Line, Measure, Reading, Summary, measures};

/// How long the sessions of a test may take.
const SESSIONS: Duration = Duration::from_mins(1);

/// How sessions end, with the reason that counts.
const ENDS: [(&str, &str); 6] = [
    ("client-close", "normal"),
    ("client-eof", "client_disconnect"),
    ("client-reset", "client_disconnect"),
    ("server-close", "normal"),
    ("session-end", "normal"),
    ("protocol-error", "error"),
];

/// The summary of its truth; a Python peer prints less.
fn summary(truth: &[Line]) -> Summary {
    let mut summary = Summary::default();
    for line in truth {
        summary.observe(&line.event);
    }
    summary
}

fn count(counts: &BTreeMap<String, u64>, key: &str) -> u64 {
    counts.get(key).copied().unwrap_or(0)
}

fn ended(measures: &[Measure], reason: &str) -> f64 {
    let is = |measure: &&Measure| {
        measure.metric == "orchestrator_sessions_ended_total"
            && measure
                .labels
                .get("reason")
                .is_some_and(|found| found == reason)
    };
    let value = |measure: &Measure| match measure.reading {
        Reading::Value(value) => value,
        Reading::Samples(_) => 0.0,
    };
    measures.iter().filter(is).map(value).sum()
}

fn truth_adds_up(front: Front, deflate: bool) {
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "20"]);
    let (settings, offer): (&[&str], _) = if deflate {
        (&[], "on")
    } else {
        (front.without_deflate(), "off")
    };
    let Some(orchestrator) = Orchestrator::start(&lab, front, &[("tone@0", &worker)], settings)
    else {
        return;
    };
    let ends = ENDS.map(|(way, _)| way).join(",");
    let talk = [
        "--sessions",
        "6",
        "--utterances",
        "3",
        "--interrupt",
        "--malformed-every",
        "3",
    ];
    let ends = ["--ends", &ends, "--deflate", offer];
    let talker = Talker::start(&lab, &orchestrator, &[&talk[..], &ends].concat());
    let heard = talker.finish(SESSIONS).summary.conversation;
    let orchestrator = orchestrator.terminate().truth;
    let worker = worker.terminate().summary;

    let summary = summary(&orchestrator);
    let said = &summary.conversation;
    assert_eq!(said.sessions, 6, "{front:?}");
    assert_eq!(said.sent, heard.received, "{front:?}");
    assert_eq!(said.received, heard.sent, "{front:?}");
    let dropped: u64 = said.audio_dropped.values().sum();
    // A frame sent just as its call is reset is on its way for ever.
    let sent = said.audio_received..=said.audio_received + summary.cancelled;
    assert!(sent.contains(&worker.frames), "{front:?}");
    assert_eq!(
        said.audio_received,
        count(&said.sent, "AudioFrame") + dropped
    );
    assert_eq!(
        count(&said.errors, "internal"),
        6,
        "one for each malformed message"
    );
    let measures = measures(&orchestrator, "unknown");
    for reason in ["normal", "client_disconnect", "error", "timeout"] {
        let wanted = ENDS.iter().filter(|(_, wanted)| *wanted == reason).count();
        assert_eq!(
            ended(&measures, reason),
            wanted as f64,
            "{front:?} {reason}"
        );
    }
}

#[test]
fn python_orchestrators_truth_adds_up_with_deflate() {
    for front in Front::PYTHON {
        truth_adds_up(front, true);
    }
}

#[test]
fn python_orchestrators_truth_adds_up_without_deflate() {
    for front in Front::PYTHON {
        truth_adds_up(front, false);
    }
}
