//! What a session makes of its client's microphone.

use super::hearing::Edge;
use super::session::{Over, Session};
use crate::truth::Orchestration;

/// Words that recognised speech is answered with, one for each word heard.
const ANSWER: &str = "listen ";

impl Session {
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

    pub(super) async fn answer_speech(&mut self) -> Result<(), Over> {
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
}
