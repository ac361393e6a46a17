//! How a session interrupts what plays, and when that is over.

use super::BargeIn;
use super::causing::Causing;
use super::session::Session;
use super::utterance::{Heard, Utterance};
use crate::clock::monotonic_ns;
use crate::proto::ControlCommand;
use crate::truth::{Event, Orchestration};

/// An interruption in force.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interruption {
    /// `vad`, `control` or `grpc`.
    pub(crate) trigger: &'static str,
    pub(crate) trigger_ns: u64,
    /// When the last PAUSE or STOP was answered.
    pub(crate) answered_ns: Option<u64>,
}

impl Session {
    /// Ends what plays before its time. Without a time of its own the trigger is the send that
    /// ends it.
    pub(super) async fn interrupt(
        &mut self,
        trigger: &'static str,
        trigger_ns: Option<u64>,
        causing: Option<Causing>,
    ) {
        let Some(voice) = self.voice.clone() else {
            return;
        };
        let handed_ns = monotonic_ns();
        if self.speaking.held.is_none() && self.speaking.playing.is_some() {
            self.speaking.held = Some(Interruption {
                trigger,
                trigger_ns: trigger_ns.unwrap_or(handed_ns),
                answered_ns: None,
            });
        }
        if let Some(causing) = causing {
            self.caused_call(causing, &voice);
        }
        let sent = voice.worker.stamps.written_since(handed_ns);
        if self.orchestrator.settings.barge_in == BargeIn::Reset {
            if let Some(playing) = self.speaking.playing.take() {
                self.let_go(playing, trigger_ns.is_none().then_some(sent))
                    .await;
            }
            return;
        }
        let answered_before = self
            .speaking
            .held
            .is_some_and(|held| held.answered_ns.is_some());
        if !answered_before {
            let (sent_ns, answered_ns) = tokio::join!(sent, voice.control(ControlCommand::Pause));
            if let Some(held) = &mut self.speaking.held {
                held.answered_ns = answered_ns;
                if trigger_ns.is_none() && held.trigger == trigger {
                    held.trigger_ns = sent_ns;
                }
            }
        }
        let answered_ns = voice.control(ControlCommand::Stop).await;
        if let Some(held) = &mut self.speaking.held {
            held.answered_ns = answered_ns.or(held.answered_ns);
        }
        self.drop_rest().await;
    }

    /// Drops what still comes of a call that was told to stop, until it ends.
    pub(super) async fn drop_rest(&mut self) {
        while let Some(playing) = &mut self.speaking.playing {
            match playing.next().await {
                Heard::Frame { sequence, .. } => {
                    let number = playing.number;
                    self.dropped(number, sequence, "pause");
                }
                Heard::End(_) => {
                    self.settle();
                    self.utterance_ended("interrupted");
                }
            }
        }
    }

    /// Drops what had come before a pause ended.
    pub(super) async fn drop_waiting(&mut self) {
        while let Some(playing) = &mut self.speaking.playing
            && let Some(heard) = playing.try_next()
        {
            // An end that waits is forwarded by the loop that it wakes.
            if self.forward(heard).await.is_err() {
                return;
            }
        }
    }

    /// Resets a call; `sent` is when the reset was sent, where that is the trigger.
    pub(super) async fn let_go(
        &mut self,
        playing: Utterance,
        sent: Option<impl Future<Output = u64>>,
    ) {
        let number = playing.number;
        self.orchestrator.truth.record(Event::Cancelled {
            call: playing.call,
            session: playing.session.clone(),
        });
        let (left, last_audio_ns) = playing.reset().await;
        // What the client told to stop is held back for that, however the call ends.
        let stopped = self
            .speaking
            .held
            .is_some_and(|held| held.trigger == "control");
        let reason = if stopped { "pause" } else { "error" };
        for sequence in left {
            self.dropped(number, sequence, reason);
        }
        if let Some(mut held) = self.speaking.held.take() {
            if let Some(sent) = sent {
                held.trigger_ns = sent.await;
            }
            self.barge_in(held, number, last_audio_ns);
        }
        self.record_end(number, "interrupted");
    }

    /// Gives up what plays because the session is over.
    pub(crate) async fn abandon(&mut self) {
        self.settle();
        if let Some(playing) = self.speaking.playing.take() {
            let number = playing.number;
            self.orchestrator.truth.record(Event::Cancelled {
                call: playing.call,
                session: playing.session.clone(),
            });
            let (left, _) = playing.reset().await;
            for sequence in left {
                self.dropped(number, sequence, "error");
            }
            self.record_end(number, "abandoned");
        }
    }

    /// Ends the interruption in force.
    pub(super) fn settle(&mut self) {
        if let Some(held) = self.speaking.held.take()
            && let Some(playing) = &self.speaking.playing
        {
            let (number, last_audio_ns) = (playing.number, playing.last_audio_ns);
            self.barge_in(held, number, last_audio_ns);
        }
    }

    pub(super) fn barge_in(&self, held: Interruption, utterance: u64, last_audio_ns: Option<u64>) {
        self.record_at(
            monotonic_ns(),
            Orchestration::BargeIn {
                connection: self.connection,
                utterance,
                trigger: held.trigger.to_owned(),
                trigger_ns: held.trigger_ns,
                last_audio_ns,
                answered_ns: held.answered_ns,
            },
        );
    }
}
