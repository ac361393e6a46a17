//! One Synthesize call: text in, thinking, frames out on their schedule.
//!
//! Three loops run side by side, so that the model works on the next text while the frames of the
//! last one play: reading text, thinking, emitting frames.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tonic::{Status, Streaming};

use super::emission::{Emission, Emitted};
use super::engine::Engine;
use super::frame_stream::Output;
use super::pacing::FRAME_MS;
use super::sessions::Playback;
use crate::clock::monotonic_ns;
use crate::proto::TextChunk;
use crate::truth::Event;

/// Text chunks that wait for the model, per stream: a sentence or two at the size clients send.
const WAITING_TEXT: usize = 64;

/// Model runs whose frames wait to be sent, per stream: thinking runs at most this far ahead.
const WAITING_AUDIO: usize = 4;

/// The audio that one run of the model made.
pub(crate) struct Audio {
    /// Frames of 20 ms.
    pub(crate) frames: u64,
    /// Whether the call's text is all spoken with it.
    pub(crate) is_last: bool,
}

struct Speech {
    characters: u64,
    is_final: bool,
}

/// One running call.
pub(crate) struct Synthesis {
    /// The call's number in the truth.
    pub(crate) stream: u64,
    /// The session it was opened with.
    pub(crate) session: String,
    /// The worker.
    pub(crate) engine: Arc<Engine>,
}

impl Synthesis {
    /// Speaks `first` and the rest of `text` into `output` until the call ends.
    pub(crate) async fn run(
        self,
        first: TextChunk,
        text: Streaming<TextChunk>,
        playback: watch::Receiver<Playback>,
        output: mpsc::Sender<Output>,
    ) {
        let (speech, speeches) = mpsc::channel(WAITING_TEXT);
        let (audio, audios) = mpsc::channel(WAITING_AUDIO);
        let emission = Emission::new(
            Arc::clone(&self.engine),
            self.stream,
            self.session.clone(),
            playback,
            output.clone(),
        );
        let upstream = async {
            tokio::join!(self.read(first, text, speech), self.think(speeches, audio));
            std::future::pending::<Emitted>().await
        };
        // Emission alone decides when the call is over; reading and thinking end with it.
        let emitted = tokio::select! {
            emitted = emission.run(audios) => emitted,
            emitted = upstream => emitted,
        };
        let end = match emitted {
            Emitted::Everything | Emitted::Unwanted => return,
            Emitted::UntilStopped => Output::Stopped,
            Emitted::UntilError(code) => {
                Output::Failed(Status::new(code.into(), "synthesis failed"))
            }
        };
        // The call may have been reset meanwhile: then nobody is left to tell.
        output.send(end).await.ok();
    }

    async fn read(
        &self,
        first: TextChunk,
        mut text: Streaming<TextChunk>,
        speech: mpsc::Sender<Speech>,
    ) {
        let mut next = Some(first);
        while let Some(chunk) = next {
            let characters = chunk.text.chars().count() as u64;
            self.engine.truth.record(Event::Text {
                stream: self.stream,
                session: chunk.session_id,
                sequence: chunk.sequence_number,
                characters,
                is_final: chunk.is_final,
            });
            let is_final = chunk.is_final;
            if speech
                .send(Speech {
                    characters,
                    is_final,
                })
                .await
                .is_err()
                || is_final
            {
                return;
            }
            next = match text.message().await {
                Ok(next) => next,
                // A reset is no end of the text; emission sees it for itself and ends the call.
                Err(_) => std::future::pending().await,
            };
        }
    }

    async fn think(&self, mut speeches: mpsc::Receiver<Speech>, audio: mpsc::Sender<Audio>) {
        let behaviour = self.engine.behaviour;
        let mut random = fastrand::Rng::with_seed(behaviour.seed ^ self.stream);
        while let Some(speech) = speeches.recv().await {
            let playing_ms = speech.characters.saturating_mul(behaviour.ms_per_character);
            let mut wanted = playing_ms.div_ceil(FRAME_MS);
            loop {
                let frames = behaviour.pace.frames_per_inference(wanted);
                wanted -= frames;
                {
                    // The semaphore is never closed, so a permit always comes.
                    let _accelerator = self.engine.inference.acquire().await;
                    let quarter_ns = behaviour.think_ns / 4;
                    let think_ns = behaviour.think_ns - quarter_ns + random.u64(0..=2 * quarter_ns);
                    self.engine
                        .timer
                        .sleep_until(monotonic_ns() + think_ns)
                        .await;
                }
                let is_last = speech.is_final && wanted == 0;
                if audio.send(Audio { frames, is_last }).await.is_err() || is_last {
                    return;
                }
                if wanted == 0 {
                    break;
                }
            }
        }
    }
}
