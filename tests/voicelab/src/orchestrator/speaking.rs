//! What a session does with its client's messages and its worker's audio.

use std::sync::Arc;

use tonic::Code;

use super::BargeIn;
use super::hearing::Edge;
use super::session::{Over, Session};
use super::utterance::{Heard, Utterance};
use super::voice::{Trouble, Voice};
use super::workers::Worker;
use crate::clock::monotonic_ns;
use crate::message::{Command, ErrorCode, FromClient, FromServer};
use crate::proto::ControlCommand;
use crate::truth::{Event, Orchestration, Truth};

/// Words that recognised speech is answered with, one for each word heard.
const ANSWER: &str = "listen ";

/// What plays, and what holds it.
#[derive(Default)]
pub(crate) struct Speaking {
    pub(crate) playing: Option<Utterance>,
    utterances: u64,
    /// An interruption in force: no audio is forwarded.
    held: Option<Interruption>,
}

#[derive(Clone, Copy, Debug)]
struct Interruption {
    trigger: &'static str,
    trigger_ns: u64,
    answered_ns: Option<u64>,
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
    fn utterance_of_text(&self) -> u64 {
        match &self.speaking.playing {
            Some(playing) if !playing.complete && self.speaking.held.is_none() => playing.number,
            _ => self.speaking.utterances + 1,
        }
    }

    /// Judges a frame of the client's speech.
    pub(crate) async fn hear(&mut self, frame: &[u8], at_ns: u64) -> Result<(), Over> {
        self.record_at(
            at_ns,
            Orchestration::MessageReceived {
                connection: self.connection,
                kind: "other".to_owned(),
                utterance: None,
                sequence: None,
            },
        );
        let Some(hearing) = &mut self.hearing else {
            return Ok(());
        };
        let (called, edge) = hearing.judge(frame);
        let connection = self.connection;
        self.record_at(
            called.after_ns,
            Orchestration::VadCalled {
                connection,
                before_ns: called.before_ns,
                positive: called.result > 0,
            },
        );
        let Some((edge, run_ns)) = edge else {
            return Ok(());
        };
        self.record_at(
            called.after_ns,
            Orchestration::Speech {
                connection,
                edge: edge.as_str().to_owned(),
                run_ns,
            },
        );
        match edge {
            Edge::SpeechStart if self.speaking.playing.is_some() => {
                self.interrupt("vad", Some(called.after_ns), None).await;
                Ok(())
            }
            Edge::SpeechEnd if self.orchestrator.settings.asr => self.answer_speech().await,
            _ => Ok(()),
        }
    }

    async fn answer_speech(&mut self) -> Result<(), Over> {
        let Some(hearing) = &mut self.hearing else {
            return Ok(());
        };
        let called = hearing.recognise();
        self.record_at(
            called.after_ns,
            Orchestration::AsrCalled {
                connection: self.connection,
                before_ns: called.before_ns,
                model: self.orchestrator.settings.asr_model.clone(),
                success: called.result >= 0,
            },
        );
        match usize::try_from(called.result) {
            Ok(words) => self.speak(&ANSWER.repeat(words), true, None).await,
            Err(_) => Ok(()),
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

    async fn speak(
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

    async fn control(&mut self, command: Command, at_ns: u64) -> Result<(), Over> {
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

    /// Ends what plays before its time. Without a time of its own the trigger is the send that
    /// ends it.
    async fn interrupt(
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
    async fn drop_rest(&mut self) {
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
    async fn drop_waiting(&mut self) {
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
    async fn let_go(&mut self, playing: Utterance, sent: Option<impl Future<Output = u64>>) {
        let number = playing.number;
        self.orchestrator.truth.record(Event::Cancelled {
            call: playing.call,
            session: playing.session.clone(),
        });
        let (left, last_audio_ns) = playing.reset().await;
        for sequence in left {
            self.dropped(number, sequence, "error");
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
    fn settle(&mut self) {
        if let Some(held) = self.speaking.held.take()
            && let Some(playing) = &self.speaking.playing
        {
            let (number, last_audio_ns) = (playing.number, playing.last_audio_ns);
            self.barge_in(held, number, last_audio_ns);
        }
    }

    fn barge_in(&self, held: Interruption, utterance: u64, last_audio_ns: Option<u64>) {
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

    /// Forwards what came from the worker.
    pub(crate) async fn forward(&mut self, heard: Heard) -> Result<(), Over> {
        let Some(number) = self.speaking.playing.as_ref().map(|playing| playing.number) else {
            return Ok(());
        };
        match heard {
            Heard::Frame {
                sequence,
                audio,
                sample_rate,
                frame_ms,
                ..
            } => {
                if self.speaking.held.is_some() {
                    self.dropped(number, sequence, "pause");
                    return Ok(());
                }
                if self.orchestrator.faults.drops_frame(&self.name) {
                    self.dropped(number, sequence, "backpressure");
                    return Ok(());
                }
                let audio = FromServer::audio(&audio, sample_rate, frame_ms, sequence);
                match self.say(&audio, Some(number)).await {
                    Ok(_) => Ok(()),
                    Err(over) => {
                        self.dropped(number, sequence, "error");
                        Err(over)
                    }
                }
            }
            Heard::End(status) => {
                self.settle();
                if status == i32::from(Code::Ok) {
                    self.utterance_ended("finished");
                    return Ok(());
                }
                self.utterance_ended("failed");
                self.report(&Trouble::Failed(status)).await?;
                Ok(())
            }
        }
    }

    fn dropped(&self, utterance: u64, sequence: i64, reason: &str) {
        self.record_at(
            monotonic_ns(),
            Orchestration::AudioDropped {
                connection: self.connection,
                utterance,
                sequence,
                reason: reason.to_owned(),
            },
        );
    }

    fn utterance_ended(&mut self, reason: &str) {
        if let Some(playing) = self.speaking.playing.take() {
            self.record_end(playing.number, reason);
        }
    }

    fn record_end(&self, utterance: u64, reason: &str) {
        self.record_at(
            monotonic_ns(),
            Orchestration::UtteranceEnded {
                connection: self.connection,
                utterance,
                reason: reason.to_owned(),
            },
        );
    }

    /// Answers a message with an error.
    async fn refuse(
        &mut self,
        code: ErrorCode,
        kind: &'static str,
        at_ns: u64,
    ) -> Result<(), Over> {
        let error_type = match code {
            ErrorCode::WorkerUnavailable => "worker_unavailable",
            _ => "internal",
        };
        let sent_ns = self.say_error(code, error_type, None).await?;
        self.caused(Causing { kind, at_ns }, sent_ns);
        Ok(())
    }

    /// Tells the client of trouble with a worker.
    async fn report(&mut self, trouble: &Trouble) -> Result<u64, Over> {
        let code = match trouble.error_type() {
            "worker_unavailable" => ErrorCode::WorkerUnavailable,
            _ => ErrorCode::SynthesisFailed,
        };
        let status = Some(trouble.status());
        self.say_error(code, trouble.error_type(), status).await
    }

    async fn say_error(
        &mut self,
        code: ErrorCode,
        error_type: &str,
        status: Option<i32>,
    ) -> Result<u64, Over> {
        let error = FromServer::Error {
            message: error_type.replace('_', " "),
            code,
        };
        let sent_ns = self.say(&error, None).await?;
        self.record_at(
            sent_ns,
            Orchestration::SessionError {
                connection: self.connection,
                error_type: error_type.to_owned(),
                code: Some(code.as_str().to_owned()),
                status,
            },
        );
        Ok(sent_ns)
    }

    fn caused(&self, causing: Causing, at_ns: u64) {
        self.record_at(
            at_ns,
            Orchestration::MessageHandled {
                connection: self.connection,
                kind: causing.kind.to_owned(),
                received_ns: causing.at_ns,
            },
        );
    }

    fn caused_call(&self, causing: Causing, voice: &Voice) {
        causing.caused_call(self.connection, &self.orchestrator.truth, &voice.worker);
    }
}

/// The client's message behind what is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Causing {
    kind: &'static str,
    at_ns: u64,
}

impl Causing {
    /// Records what the message causes at `worker`, which is about to be called, once the channel
    /// has written it.
    fn caused_call(self, connection: u64, truth: &Truth, worker: &Worker) {
        let handed_ns = monotonic_ns();
        let (truth, stamps) = (truth.clone(), Arc::clone(&worker.stamps));
        tokio::spawn(async move {
            let sent_ns = stamps.written_since(handed_ns).await;
            let handled = Orchestration::MessageHandled {
                connection,
                kind: self.kind.to_owned(),
                received_ns: self.at_ns,
            };
            truth.record_at(sent_ns, handled.into());
        });
    }
}
