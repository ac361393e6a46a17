//! What a session does with its worker's audio.

use tonic::Code;

use super::session::{Over, Session};
use super::utterance::Heard;
use super::voice::Trouble;
use crate::clock::monotonic_ns;
use crate::message::FromServer;
use crate::truth::Orchestration;

impl Session {
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

    pub(super) fn dropped(&self, utterance: u64, sequence: i64, reason: &str) {
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

    pub(super) fn utterance_ended(&mut self, reason: &str) {
        if let Some(playing) = self.speaking.playing.take() {
            self.record_end(playing.number, reason);
        }
    }

    pub(super) fn record_end(&self, utterance: u64, reason: &str) {
        self.record_at(
            monotonic_ns(),
            Orchestration::UtteranceEnded {
                connection: self.connection,
                utterance,
                reason: reason.to_owned(),
            },
        );
    }
}
