//! The frames of one call on their way to the transport, and the record of what left.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tonic::Status;

use crate::proto::AudioFrame;
use crate::truth::{Event, Truth};

/// What synthesis gives to the transport.
pub(crate) enum Output {
    /// The next frame.
    Frame(AudioFrame),
    /// The stream ends with this status.
    Failed(Status),
    /// The stream ends early, by command.
    Stopped,
}

/// The response stream of one Synthesize call. A frame is recorded when the transport takes it.
pub(crate) struct FrameStream {
    outputs: mpsc::Receiver<Output>,
    truth: Truth,
    stream: u64,
    session: String,
    frames: u64,
    end: &'static str,
}

impl FrameStream {
    /// The stream of call number `stream`.
    pub(crate) fn new(
        outputs: mpsc::Receiver<Output>,
        truth: Truth,
        stream: u64,
        session: String,
    ) -> Self {
        // Dropped before any other end was reached, the call was reset or its connection lost.
        Self {
            outputs,
            truth,
            stream,
            session,
            frames: 0,
            end: "cancelled",
        }
    }

    fn record(&mut self, frame: &AudioFrame) {
        let bytes = frame.audio_data.len() as u64;
        self.frames += u64::from(bytes > 0);
        if frame.is_final {
            self.end = "finished";
        }
        self.truth.record(Event::Frame {
            stream: self.stream,
            session: self.session.clone(),
            sequence: frame.sequence_number,
            bytes,
            is_final: frame.is_final,
        });
    }
}

impl Stream for FrameStream {
    type Item = Result<AudioFrame, Status>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(match ready!(self.outputs.poll_recv(task)) {
            Some(Output::Frame(frame)) => {
                self.record(&frame);
                Some(Ok(frame))
            }
            Some(Output::Failed(status)) => {
                self.end = "error";
                Some(Err(status))
            }
            Some(Output::Stopped) => {
                self.end = "stopped";
                None
            }
            None => None,
        })
    }
}

impl Drop for FrameStream {
    fn drop(&mut self) {
        self.truth.record(Event::StreamEnd {
            stream: self.stream,
            session: Some(std::mem::take(&mut self.session)),
            reason: self.end.to_owned(),
            frames: self.frames,
        });
    }
}
