//! `orchestrator_*`, and what an orchestrator drops of its workers' audio.

use std::collections::BTreeMap;

use super::Book;
use super::session::Session;
use crate::truth::{Event, Line, Orchestration};

/// Measures one orchestrator.
pub(super) fn measure(lines: &[&Line], book: &mut Book) {
    let mut sessions: BTreeMap<u64, Session> = BTreeMap::new();
    let is_livekit = lines.iter().any(|line| {
        matches!(&line.event, Event::Orchestration(Orchestration::SessionOpened { transport, .. })
            if transport == "livekit")
    });
    for line in lines {
        if let Event::Orchestration(event) = &line.event {
            count(event, line.t_ns, book);
            tell(event, line.t_ns, is_livekit, &mut sessions);
            handle(event, line.t_ns, &mut sessions, book);
        }
    }
    for session in sessions.values() {
        session.close(is_livekit, book);
    }
}

/// What needs no session.
fn count(event: &Orchestration, at_ns: u64, book: &mut Book) {
    match event {
        Orchestration::Upgraded { requested_ns, .. } => {
            book.count("orchestrator_websocket_connections_active", &[]);
            let labels = [("message_type", "SessionStart")];
            book.count("orchestrator_websocket_messages_received_total", &labels);
            let metric = "orchestrator_message_processing_ms";
            book.latency(metric, &labels, *requested_ns, at_ns);
        }
        Orchestration::ConnectionClosed { .. } => {
            book.add("orchestrator_websocket_connections_active", &[], -1.0);
        }
        Orchestration::MessageSent { kind, .. } => {
            let labels = [("message_type", kind.as_str())];
            book.count("orchestrator_websocket_messages_sent_total", &labels);
        }
        Orchestration::MessageReceived { kind, .. } => {
            let labels = [("message_type", kind.as_str())];
            book.count("orchestrator_websocket_messages_received_total", &labels);
        }
        Orchestration::SessionError { error_type, .. } => {
            let labels = [("error_type", error_type.as_str())];
            book.count("orchestrator_session_errors_total", &labels);
        }
        Orchestration::Speech { edge, run_ns, .. } => {
            let labels = [("event_type", edge.as_str())];
            book.count("orchestrator_vad_events_total", &labels);
            if edge == "speech_start" {
                let metric = "orchestrator_vad_detection_latency_ms";
                book.latency(metric, &[], *run_ns, at_ns);
            }
        }
        Orchestration::AsrCalled {
            before_ns,
            model,
            success,
            ..
        } => {
            let labels = [("model", model.as_str())];
            book.count("orchestrator_asr_requests_total", &labels);
            book.latency("orchestrator_asr_latency_ms", &labels, *before_ns, at_ns);
            if !success {
                let labels = [("error_type", "model_error")];
                book.count("orchestrator_asr_errors_total", &labels);
            }
        }
        _ => {}
    }
}

/// What messages cause.
fn handle(
    event: &Orchestration,
    at_ns: u64,
    sessions: &mut BTreeMap<u64, Session>,
    book: &mut Book,
) {
    match event {
        Orchestration::MessageReceived { connection, .. } => {
            sessions.entry(*connection).or_default().received(at_ns);
        }
        Orchestration::MessageHandled {
            connection,
            kind,
            received_ns,
        } if sessions
            .entry(*connection)
            .or_default()
            .causes(*received_ns) =>
        {
            let labels = [("message_type", kind.as_str())];
            let metric = "orchestrator_message_processing_ms";
            book.latency(metric, &labels, *received_ns, at_ns);
        }
        _ => {}
    }
}

/// What a session's own story needs.
fn tell(
    event: &Orchestration,
    at_ns: u64,
    is_livekit: bool,
    sessions: &mut BTreeMap<u64, Session>,
) {
    let mut of = |connection: &u64, change: &dyn Fn(&mut Session)| {
        change(sessions.entry(*connection).or_default());
    };
    match event {
        Orchestration::SessionOpened {
            connection,
            transport,
            ..
        } => of(connection, &|session| {
            session.transport = Some(transport.clone());
        }),
        Orchestration::SessionModel { connection, model } => of(connection, &|session| {
            session.model.get_or_insert_with(|| model.clone());
        }),
        Orchestration::SessionClosed {
            connection, reason, ..
        } => of(connection, &|session| {
            session.reason.get_or_insert_with(|| reason.clone());
        }),
        Orchestration::MessageReceived {
            connection,
            kind,
            utterance: Some(utterance),
            ..
        } if kind == "TextChunk" => of(connection, &|session| session.text(*utterance, at_ns)),
        Orchestration::TextForwarded {
            connection,
            utterance,
        } => of(connection, &|session| session.text(*utterance, at_ns)),
        Orchestration::MessageSent {
            connection,
            kind,
            utterance: Some(utterance),
            ..
        } if kind == "AudioFrame" => of(connection, &|session| session.audio(*utterance, at_ns)),
        Orchestration::AudioReceived {
            connection,
            utterance,
            ..
        } if is_livekit => of(connection, &|session| session.audio(*utterance, at_ns)),
        Orchestration::UtteranceStarted {
            connection,
            utterance,
            worker,
            ..
        } => of(connection, &|session| session.started(*utterance, worker)),
        Orchestration::AudioDropped {
            connection,
            utterance,
            reason,
            ..
        } => of(connection, &|session| session.dropped(*utterance, reason)),
        Orchestration::BargeIn {
            connection,
            trigger,
            trigger_ns,
            last_audio_ns,
            answered_ns,
            ..
        } => {
            // Where no audio came after the trigger it took effect at once.
            let latest_ns = (*last_audio_ns).max(*answered_ns).unwrap_or_default();
            of(connection, &|session| {
                session.interrupted(trigger, *trigger_ns, latest_ns.max(*trigger_ns));
            });
        }
        Orchestration::Speech {
            connection, edge, ..
        } if edge == "speech_end" => of(connection, &|session| session.speech_ended(at_ns)),
        _ => {}
    }
}
