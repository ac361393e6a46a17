//! Sessions that no client of its own asks for: the orchestrator holds them by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::utterance::{Heard, Utterance};
use super::voice::Voice;
use super::{BargeIn, Orchestrator};
use crate::clock::monotonic_ns;
use crate::proto::ControlCommand;
use crate::serving;
use crate::truth::{Event, Orchestration};

/// Time between the starts of two sessions.
const RAMP: Duration = Duration::from_millis(20);

/// Time between the two texts of an utterance.
const TEXT_INTERVAL: Duration = Duration::from_millis(60);

/// Texts of an utterance.
const TEXTS: [&str; 2] = ["hello lis", "ten quiet"];

/// Frames heard before an interruption.
const INTERRUPT_AFTER_FRAMES: i64 = 8;

/// Runs all sessions to their end.
pub(crate) async fn hold_sessions(orchestrator: &Arc<Orchestrator>) -> anyhow::Result<()> {
    // What scripts wait for, as with a port; nothing listens.
    serving::print_line("listening 0")?;
    orchestrator.truth.record(Event::Listening {
        port: 0,
        pid: std::process::id(),
        adapter: "livekit".to_owned(),
    });
    if orchestrator.settings.wait {
        let line = tokio::task::spawn_blocking(serving::next_line);
        line.await.context("wait for a line")?;
    }
    let signalled = serving::signalled()?;
    tokio::pin!(signalled);
    let mut sessions = tokio::task::JoinSet::new();
    for connection in 1..=orchestrator.settings.sessions {
        sessions.spawn(hold(Arc::clone(orchestrator), connection));
        tokio::select! {
            () = &mut signalled => return Ok(()),
            () = tokio::time::sleep(RAMP) => {}
        }
    }
    loop {
        tokio::select! {
            () = &mut signalled => return Ok(()),
            ended = sessions.join_next() => match ended {
                Some(ended) => ended.context("a session panicked")?,
                None => return Ok(()),
            },
        }
    }
}

async fn hold(orchestrator: Arc<Orchestrator>, connection: u64) {
    let record = |event: Orchestration| orchestrator.truth.record(event.into());
    let name = format!("room-{connection}");
    let model = orchestrator.settings.model.clone();
    record(Orchestration::SessionOpened {
        connection,
        transport: "livekit".to_owned(),
        session: name.clone(),
    });
    let (reason, way) = match Voice::start(&orchestrator, connection, &name, &model, |_| {}).await {
        Ok(voice) => {
            for number in 1..=orchestrator.settings.utterances {
                speak(&orchestrator, connection, number, &voice).await;
            }
            voice.end().await;
            ("normal", "session_end")
        }
        Err(trouble) => {
            record(Orchestration::SessionError {
                connection,
                error_type: trouble.error_type().to_owned(),
                code: None,
                status: Some(trouble.status()),
            });
            ("error", "not_started")
        }
    };
    record(Orchestration::SessionClosed {
        connection,
        reason: reason.to_owned(),
        way: way.to_owned(),
    });
}

async fn speak(orchestrator: &Arc<Orchestrator>, connection: u64, number: u64, voice: &Voice) {
    let record_at = |at_ns, event: Orchestration| orchestrator.truth.record_at(at_ns, event.into());
    let mut utterance = Utterance::start(orchestrator, connection, number, voice);
    for (index, text) in TEXTS.iter().enumerate() {
        if index > 0 {
            tokio::time::sleep(TEXT_INTERVAL).await;
        }
        let handed_ns = monotonic_ns();
        utterance.say(text, index + 1 == TEXTS.len()).await;
        let sent_ns = voice.worker.stamps.written_since(handed_ns).await;
        record_at(
            sent_ns,
            Orchestration::TextForwarded {
                connection,
                utterance: number,
            },
        );
    }
    let interrupts = orchestrator.settings.interrupt && number.is_multiple_of(2);
    let reason = loop {
        match utterance.next().await {
            Heard::End(0) => break "finished",
            Heard::End(status) => {
                let trouble = super::voice::Trouble::Failed(status);
                record_at(
                    monotonic_ns(),
                    Orchestration::SessionError {
                        connection,
                        error_type: trouble.error_type().to_owned(),
                        code: None,
                        status: Some(status),
                    },
                );
                break "failed";
            }
            Heard::Frame { sequence, .. } if interrupts && sequence >= INTERRUPT_AFTER_FRAMES => {
                interrupt(orchestrator, connection, utterance, voice).await;
                break "interrupted";
            }
            Heard::Frame { .. } => {}
        }
    };
    record_at(
        monotonic_ns(),
        Orchestration::UtteranceEnded {
            connection,
            utterance: number,
            reason: reason.to_owned(),
        },
    );
}

async fn interrupt(
    orchestrator: &Arc<Orchestrator>,
    connection: u64,
    mut utterance: Utterance,
    voice: &Voice,
) {
    let number = utterance.number;
    let handed_ns = monotonic_ns();
    let (trigger_ns, answered_ns, last_audio_ns) =
        if orchestrator.settings.barge_in == BargeIn::Control {
            let (trigger_ns, answered_ns) = tokio::join!(
                voice.worker.stamps.written_since(handed_ns),
                voice.control(ControlCommand::Pause)
            );
            let stopped_ns = voice.control(ControlCommand::Stop).await;
            while !matches!(utterance.next().await, Heard::End(_)) {}
            (
                trigger_ns,
                stopped_ns.or(answered_ns),
                utterance.last_audio_ns,
            )
        } else {
            orchestrator.truth.record(Event::Cancelled {
                call: utterance.call,
                session: utterance.session.clone(),
            });
            let (trigger_ns, (_, last_audio_ns)) = tokio::join!(
                voice.worker.stamps.written_since(handed_ns),
                utterance.reset()
            );
            (trigger_ns, None, last_audio_ns)
        };
    orchestrator.truth.record(
        Orchestration::BargeIn {
            connection,
            utterance: number,
            trigger: "grpc".to_owned(),
            trigger_ns,
            last_audio_ns,
            answered_ns,
        }
        .into(),
    );
}
