//! What a session does with its client's messages.

use std::sync::Arc;

use super::causing::Causing;
use super::interrupting::Interruption;
use super::session::{Over, Session};
use super::utterance::Utterance;
use super::voice::Voice;
use super::workers::Worker;
use crate::message::{Command, ErrorCode, FromClient};
use crate::proto::ControlCommand;
use crate::truth::Orchestration;

/// What plays, and what holds it.
#[derive(Default)]
pub(crate) struct Speaking {
    pub(crate) playing: Option<Utterance>,
    /// Utterances begun so far.
    pub(crate) utterances: u64,
    /// An interruption in force: no audio is forwarded.
    pub(crate) held: Option<Interruption>,
}

impl Session {
    /// Handles a client's message, or what is none.
    pub(crate) async fn handle(
        &mut self,
        message: Option<FromClient>,
        at_ns: u64,
    ) -> Result<(), Over> {
        let slow = self.orchestrator.faults.slow();
        if !slow.is_zero() {
            tokio::time::sleep(slow).await;
        }
        let kind = message.as_ref().map_or("other", FromClient::kind);
        let demanded = self.orchestrator.faults.error(&self.name);
        let speaks = demanded.is_none() && matches!(message, Some(FromClient::Text { .. }));
        let utterance = speaks.then(|| self.utterance_of_text());
        self.record_at(
            at_ns,
            Orchestration::MessageReceived {
                connection: self.connection,
                kind: kind.to_owned(),
                utterance,
                sequence: None,
            },
        );
        if let Some(code) = demanded {
            return self.refuse(code, kind, at_ns).await;
        }
        match message {
            Some(FromClient::Text { text, is_final }) => {
                let causing = Causing { kind, at_ns };
                self.speak(&text, is_final, Some(causing)).await
            }
            Some(FromClient::Control { command }) => self.control(command, at_ns).await,
            None => self.refuse(ErrorCode::InvalidMessage, kind, at_ns).await,
        }
    }

    /// The number of the utterance that the next text belongs to.
    pub(super) fn utterance_of_text(&self) -> u64 {
        match &self.speaking.playing {
            Some(playing) if !playing.complete && self.speaking.held.is_none() => playing.number,
            _ => self.speaking.utterances + 1,
        }
    }

    /// Starts the session at a worker unless it is started; takes the message behind it where
    /// that causes a send.
    pub(crate) async fn find_voice(&mut self, causing: &mut Option<Causing>) -> Result<(), Over> {
        if self.voice.is_some() {
            return Ok(());
        }
        let (connection, truth) = (self.connection, self.orchestrator.truth.clone());
        let asking = |worker: &Worker| {
            if let Some(causing) = causing.take() {
                causing.caused_call(connection, &truth, worker);
            }
        };
        let name = self.name.clone();
        let started =
            Voice::start(&self.orchestrator, connection, &name, &self.model, asking).await;
        match started {
            Ok(voice) => {
                self.voice = Some(Arc::new(voice));
                Ok(())
            }
            Err(trouble) => {
                let told_ns = self.report(&trouble).await?;
                if let Some(causing) = causing.take() {
                    self.caused(causing, told_ns);
                }
                Ok(())
            }
        }
    }

    pub(super) async fn speak(
        &mut self,
        text: &str,
        is_final: bool,
        mut causing: Option<Causing>,
    ) -> Result<(), Over> {
        let number = self.utterance_of_text();
        let continues = self.speaking.utterances == number;
        if !continues && self.speaking.playing.is_some() {
            // Then the interruption is what the message causes first.
            self.interrupt("grpc", None, causing.take()).await;
        }
        self.find_voice(&mut causing).await?;
        let Some(voice) = self.voice.clone() else {
            return Ok(());
        };
        if let Some(causing) = causing {
            self.caused_call(causing, &voice);
        }
        if !continues {
            self.speaking.utterances = number;
            self.speaking.held = None;
            let utterance = Utterance::start(&self.orchestrator, self.connection, number, &voice);
            self.speaking.playing = Some(utterance);
        }
        if let Some(playing) = &mut self.speaking.playing {
            playing.say(text, is_final).await;
        }
        Ok(())
    }

    pub(super) async fn control(&mut self, command: Command, at_ns: u64) -> Result<(), Over> {
        let causing = Causing {
            kind: "Control",
            at_ns,
        };
        let Some(voice) = self.voice.clone() else {
            return Ok(());
        };
        match command {
            Command::Stop => self.interrupt("control", Some(at_ns), Some(causing)).await,
            Command::Pause => {
                if self.speaking.playing.is_some() && self.speaking.held.is_none() {
                    // In force from here: what comes while the worker is told is not forwarded.
                    self.speaking.held = Some(Interruption {
                        trigger: "control",
                        trigger_ns: at_ns,
                        answered_ns: None,
                    });
                }
                self.caused_call(causing, &voice);
                let answered_ns = voice.control(ControlCommand::Pause).await;
                if let Some(held) = &mut self.speaking.held {
                    held.answered_ns = answered_ns.or(held.answered_ns);
                }
            }
            Command::Resume => {
                self.drop_waiting().await;
                self.settle();
                self.caused_call(causing, &voice);
                voice.control(ControlCommand::Resume).await;
            }
        }
        Ok(())
    }
}
