//! One Synthesize call: text goes in, frames come out, until it ends or is let go.

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status};

use super::Orchestrator;
use super::voice::Voice;
use crate::proto::TextChunk;
use crate::truth::{Event, Orchestration};

/// Text chunks between a session and the transport.
const WAITING_TEXT: usize = 64;

/// What came from the worker.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// A frame with audio.
    Frame {
        sequence: i64,
        audio: Bytes,
        sample_rate: i32,
        frame_ms: i32,
        received_ns: u64,
    },
    /// The call is over, with this gRPC status.
    End(i32),
}

/// A running call. Dropped before its end, it is reset (`RST_STREAM`).
pub(crate) struct Utterance {
    /// Its number in its session, from 1.
    pub(crate) number: u64,
    /// Its call's number in the truth.
    pub(crate) call: u64,
    /// Whether its last text was sent.
    pub(crate) complete: bool,
    /// Its session's name at the worker.
    pub(crate) session: String,
    next_text: i64,
    texts: mpsc::Sender<TextChunk>,
    heard: mpsc::UnboundedReceiver<Heard>,
    reading: JoinHandle<()>,
    /// When its latest audio was received.
    pub(crate) last_audio_ns: Option<u64>,
}

impl Utterance {
    /// Opens the call for utterance `number` of `connection`.
    pub(crate) fn start(
        orchestrator: &Orchestrator,
        connection: u64,
        number: u64,
        voice: &Voice,
    ) -> Self {
        let call = voice.started("Synthesize");
        orchestrator.truth.record(
            Orchestration::UtteranceStarted {
                connection,
                utterance: number,
                call,
                worker: voice.worker.name.clone(),
            }
            .into(),
        );
        let (texts, sending) = mpsc::channel(WAITING_TEXT);
        let (hearing, heard) = mpsc::unbounded_channel();
        let truth = orchestrator.truth.clone();
        let traceparent = orchestrator.settings.traceparent.clone();
        let (mut client, session) = (voice.client(), voice.session.clone());
        let stamps = std::sync::Arc::clone(&voice.worker.stamps);
        let reading = tokio::spawn(async move {
            let read = async {
                let mut request = Request::new(ReceiverStream::new(sending));
                if let Some(traceparent) = traceparent {
                    request.metadata_mut().insert("traceparent", traceparent);
                }
                let response = client.synthesize(request).await?;
                let mut frames = response.into_inner();
                while let Some(frame) = frames.message().await? {
                    // The end marker carries no audio and goes no further.
                    if frame.audio_data.is_empty() {
                        continue;
                    }
                    let received_ns = stamps.read_ns();
                    let sequence = frame.sequence_number;
                    let received = Orchestration::AudioReceived {
                        connection,
                        utterance: number,
                        sequence,
                    };
                    truth.record_at(received_ns, received.into());
                    let frame = Heard::Frame {
                        sequence,
                        audio: frame.audio_data,
                        sample_rate: frame.sample_rate,
                        frame_ms: frame.frame_duration_ms,
                        received_ns,
                    };
                    // The session may have ended: then this task is about to be.
                    hearing.send(frame).ok();
                }
                Ok::<(), Status>(())
            };
            let status = read
                .await
                .map_or_else(|status| status.code(), |()| Code::Ok);
            truth.record_at(
                stamps.read_ns(),
                Event::CallEnd {
                    call,
                    method: "Synthesize".to_owned(),
                    session,
                    status: status.into(),
                    success: true,
                },
            );
            hearing.send(Heard::End(status.into())).ok();
        });
        Self {
            number,
            call,
            complete: false,
            session: voice.session.clone(),
            next_text: 1,
            texts,
            heard,
            reading,
            last_audio_ns: None,
        }
    }

    /// Gives text to the transport.
    pub(crate) async fn say(&mut self, text: &str, is_final: bool) {
        let chunk = TextChunk {
            session_id: self.session.clone(),
            text: text.to_owned(),
            is_final,
            sequence_number: self.next_text,
        };
        self.next_text += 1;
        self.complete |= is_final;
        // A call that has ended takes no more; its end is on its way.
        self.texts.send(chunk).await.ok();
    }

    /// Waits for the next thing to come. Nothing follows [`Heard::End`].
    pub(crate) async fn next(&mut self) -> Heard {
        let Some(heard) = self.heard.recv().await else {
            return Heard::End(Code::Cancelled.into());
        };
        if let Heard::Frame { received_ns, .. } = heard {
            self.last_audio_ns = Some(received_ns);
        }
        heard
    }

    /// What has come already, if anything has.
    pub(crate) fn try_next(&mut self) -> Option<Heard> {
        let heard = self.heard.try_recv().ok()?;
        if let Heard::Frame { received_ns, .. } = heard {
            self.last_audio_ns = Some(received_ns);
        }
        Some(heard)
    }

    /// Lets go of the call (`RST_STREAM`); gives the numbers of the frames that had come.
    pub(crate) async fn reset(mut self) -> (Vec<i64>, Option<u64>) {
        self.reading.abort();
        let mut left = Vec::new();
        // The channel closes when the task is gone.
        while let Some(heard) = self.heard.recv().await {
            if let Heard::Frame {
                sequence,
                received_ns,
                ..
            } = heard
            {
                left.push(sequence);
                self.last_audio_ns = Some(received_ns);
            }
        }
        (left, self.last_audio_ns)
    }
}

impl Drop for Utterance {
    fn drop(&mut self) {
        self.reading.abort();
    }
}
