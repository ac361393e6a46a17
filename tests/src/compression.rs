//! What the agent counts of orchestrators whose messages are compressed (permessage-deflate), and of
//! those whose messages are not, beside what these say of themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use voicelab::clock::monotonic_ns;
use voicelab::truth::{Event, Line, Orchestration, measures};

use crate::account::{Account, exported, known, since, without};
use crate::exposition::Exposition;
use crate::lab::Lab;
use crate::orchestra::{Front, Orchestrator, Talker, watch};
use crate::peer::Server;
use crate::probe::{SETTLE, assert_lossless};

/// How long the sessions may take.
const SESSIONS: Duration = Duration::from_mins(1);

/// What is compared.
const PREFIX: &str = "orchestrator_";

/// Every kind of message, and every end that leaves the server running.
const TALK: [&str; 10] = [
    "--sessions",
    "6",
    "--utterances",
    "2",
    "--interrupt",
    "--malformed-every",
    "2",
    "--quiet-ms",
    "250",
    "--ends",
];
const ENDS: &str = "client-close,client-eof,client-reset,server-close,session-end,protocol-error";

/// Sessions of each talker that is there before the agent, and its arguments.
const EARLY: f64 = 3.0;
const EARLY_TALK: [&str; 9] = [
    "--sessions",
    "3",
    "--utterances",
    "3",
    "--interrupt",
    "--quiet-ms",
    "250",
    "--wait-before",
    "1,2",
];

/// Asserts that every counter of an orchestrator's sessions is its own, compressed or not, and that
/// compression makes no difference.
pub fn assert_exact_from_the_start(front: Front) {
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "5"]);
    let start = |settings| Orchestrator::start(&lab, front, &[("tone@0", &worker)], settings);
    let (Some(on), Some(off)) = (start(&[]), start(front.without_deflate())) else {
        return;
    };
    let probe = watch(&lab, &[on.pid(), off.pid()], "");
    let mut earlier = Account::new();
    let [on, off] = [(on, "on"), (off, "off")].map(|(orchestrator, deflate)| {
        let talk = [&TALK[..], &[ENDS, "--deflate", deflate]].concat();
        Talker::start(&lab, &orchestrator, &talk).finish(SESSIONS);
        let said = known(&measures(&orchestrator.terminate().truth, "tone@0"), PREFIX);
        let seen = |scrape: &Exposition| since(&exported(scrape, PREFIX), &earlier);
        let scrape = probe.scrape_until(SETTLE, |scrape| seen(scrape) == said);
        assert_eq!(seen(&scrape), said, "{front:?}, deflate {deflate}");
        earlier = exported(&scrape, PREFIX);
        said
    });
    assert!(on.keys().eq(off.keys()), "the same types: {on:?} {off:?}");
    // How much is heard before an interruption is a matter of milliseconds.
    let audio = "message_type=\"AudioFrame\"";
    assert_eq!(without(&on, audio), without(&off, audio), "{front:?}");
    assert_lossless(&probe.stop());
}

/// Asserts that sessions older than the agent are active and not started, and that their messages
/// are counted from then on: by type where they are not compressed, else as `unknown`.
pub fn assert_exact_when_joined_late(front: Front) {
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "5"]);
    let workers = [("tone@0", &worker)];
    let Some(orchestrator) = Orchestrator::start(&lab, front, &workers, &[]) else {
        return;
    };
    let mut talkers = ["on", "off"].map(|deflate| {
        let talk = [&EARLY_TALK[..], &["--deflate", deflate]].concat();
        Talker::start(&lab, &orchestrator, &talk)
    });
    for talker in &talkers {
        talker.wait_until_all_wait(SESSIONS);
    }
    let probe = watch(&lab, &[orchestrator.pid()], "");
    let joined_ns = monotonic_ns();
    for talker in &mut talkers {
        talker.go_on();
    }
    // None of them ends before it is looked at.
    for talker in &talkers {
        talker.wait_until_all_wait(SESSIONS);
    }
    let sessions = 2.0 * EARLY;
    let active = |scrape: &Exposition| scrape.sum("orchestrator_sessions_active", &[]);
    let scrape = probe.scrape_until(SETTLE, |scrape| active(scrape) == sessions);
    assert_eq!(active(&scrape), sessions, "{front:?}");
    let connections = scrape.sum("orchestrator_websocket_connections_active", &[]);
    assert_eq!(connections, sessions, "{front:?}");
    for talker in &mut talkers {
        talker.go_on();
    }

    let [compressed, _plain] = talkers.map(|talker| names(&talker.finish(SESSIONS).truth));
    let truth = orchestrator.terminate().truth;
    let said = messages(&truth, &compressed, joined_ns);
    let seen = |scrape: &Exposition| exported(scrape, "orchestrator_websocket_messages_");
    let ended = |scrape: &Exposition| scrape.sum("orchestrator_sessions_ended_total", &[]);
    let scrape = probe.scrape_until(SETTLE, |scrape| {
        seen(scrape) == said && ended(scrape) == sessions
    });
    assert_eq!(seen(&scrape), said, "{front:?}");
    let reasons = scrape.by_label("orchestrator_sessions_ended_total", "reason");
    let normal = BTreeMap::from([("normal".to_owned(), sessions as u64)]);
    assert_eq!(reasons, normal, "{front:?}");
    assert_eq!(scrape.sum("orchestrator_sessions_started_total", &[]), 0.0);
    assert_eq!(active(&scrape), 0.0);
    assert_lossless(&probe.stop());
}

/// Names of a talker's sessions.
fn names(truth: &[Line]) -> BTreeSet<String> {
    let names = truth.iter().filter_map(|line| match &line.event {
        Event::Orchestration(Orchestration::Connected { session, .. }) => session.clone(),
        _ => None,
    });
    names.collect()
}

/// Messages of an orchestrator since a moment, as one that came then can tell them.
fn messages(truth: &[Line], compressed: &BTreeSet<String>, since_ns: u64) -> Account {
    let mut unreadable = BTreeSet::new();
    let mut account = Account::new();
    for line in truth {
        let Event::Orchestration(event) = &line.event else {
            continue;
        };
        let (direction, connection, kind) = match event {
            Orchestration::SessionOpened {
                connection,
                session,
                ..
            } => {
                if compressed.contains(session) {
                    unreadable.insert(*connection);
                }
                continue;
            }
            Orchestration::MessageSent {
                connection, kind, ..
            } => ("sent", connection, kind),
            Orchestration::MessageReceived {
                connection, kind, ..
            } => ("received", connection, kind),
            _ => continue,
        };
        if line.t_ns < since_ns {
            continue;
        }
        let kind = if unreadable.contains(connection) {
            "unknown"
        } else {
            kind
        };
        let metric = format!("orchestrator_websocket_messages_{direction}_total");
        let series = format!("{metric}{{message_type=\"{kind}\"}}");
        *account.entry(series).or_default() += 1.0;
    }
    account
}
