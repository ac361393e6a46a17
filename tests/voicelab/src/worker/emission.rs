//! Sends the frames of one call when they are due, and obeys the session's control commands.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::audio::{SAMPLE_RATE_HZ, tone_frame};
use super::engine::Engine;
use super::frame_stream::Output;
use super::pacing::{FRAME_MS, Schedule};
use super::sessions::Playback;
use super::synthesis::Audio;
use crate::clock::monotonic_ns;
use crate::proto::AudioFrame;
use crate::truth::Event;

/// How emitting came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emitted {
    /// All frames were sent, the final one among them.
    Everything,
    /// STOP, or the end of the session.
    UntilStopped,
    /// A fault ended the stream with this gRPC status.
    UntilError(i32),
    /// The client let go of the call.
    Unwanted,
}

/// The emitting side of one call.
pub(crate) struct Emission {
    engine: Arc<Engine>,
    stream: u64,
    session: String,
    playback: watch::Receiver<Playback>,
    output: mpsc::Sender<Output>,
    schedule: Schedule,
    tone: Bytes,
    /// Number of the last frame made; the first is 1.
    sequence: i64,
    stops_at_start: u64,
    paused: bool,
    /// The next frame is the first after a pause.
    resuming: bool,
}

impl Emission {
    /// Emits for call number `stream` into `output`, obeying `playback`.
    pub(crate) fn new(
        engine: Arc<Engine>,
        stream: u64,
        session: String,
        playback: watch::Receiver<Playback>,
        output: mpsc::Sender<Output>,
    ) -> Self {
        let schedule = Schedule::new(engine.behaviour.pace, engine.behaviour.seed ^ stream);
        let stops_at_start = playback.borrow().stops;
        Self {
            engine,
            stream,
            session,
            playback,
            output,
            schedule,
            tone: tone_frame(stream),
            sequence: 0,
            stops_at_start,
            paused: false,
            resuming: false,
        }
    }

    /// Sends the frames of `audios` until the last one or an interruption.
    pub(crate) async fn run(mut self, mut audios: mpsc::Receiver<Audio>) -> Emitted {
        match self.send_all(&mut audios).await {
            Ok(()) => Emitted::Everything,
            Err(end) => end,
        }
    }

    async fn send_all(&mut self, audios: &mut mpsc::Receiver<Audio>) -> Result<(), Emitted> {
        loop {
            let audio = tokio::select! {
                biased;
                end = self.interrupted() => return Err(end),
                audio = audios.recv() => audio,
            };
            let Some(audio) = audio else {
                // The text ended without a final chunk.
                return self.send_end_marker().await;
            };
            self.schedule.audio_ready(monotonic_ns());
            let mut ended = false;
            for left in (0..audio.frames).rev() {
                let is_final = audio.is_last && left == 0;
                ended = self.send_frame(is_final).await? && is_final;
            }
            if audio.is_last {
                // Without audio, or with its last frame dropped, the stream still says it is over.
                return if ended {
                    Ok(())
                } else {
                    self.send_end_marker().await
                };
            }
        }
    }

    /// Sends the next frame when it is due; gives whether it was sent rather than dropped.
    async fn send_frame(&mut self, is_final: bool) -> Result<bool, Emitted> {
        let fault = self.engine.faults.next_frame(&self.session);
        let due_ns = self.schedule.due_ns();
        let disturbed_ns = self.schedule.disturb(due_ns, fault.jitter_ns);
        self.hold_until(disturbed_ns.saturating_add(fault.stall_ns))
            .await?;
        if let Some(storage) = fault.storage {
            // On a thread that serves, as careless code does. Where it cannot be read the fault has
            // no effect, which the test sees.
            storage.wait().ok();
        }
        self.schedule.advance();
        self.sequence += 1;
        if let Some(code) = fault.error {
            return Err(Emitted::UntilError(code));
        }
        if fault.drop {
            self.engine.truth.record(Event::FrameDropped {
                stream: self.stream,
                session: self.session.clone(),
                sequence: self.sequence,
            });
            return Ok(false);
        }
        self.send(self.tone.clone(), is_final).await?;
        Ok(true)
    }

    async fn send_end_marker(&mut self) -> Result<(), Emitted> {
        self.hold_until(self.schedule.due_ns()).await?;
        self.sequence += 1;
        self.send(Bytes::new(), true).await
    }

    async fn send(&mut self, audio_data: Bytes, is_final: bool) -> Result<(), Emitted> {
        if std::mem::take(&mut self.resuming) {
            self.record_effect("RESUME", self.sequence - 1);
        }
        let frame = AudioFrame {
            session_id: self.session.clone(),
            audio_data,
            sample_rate: SAMPLE_RATE_HZ as i32,
            frame_duration_ms: FRAME_MS as i32,
            sequence_number: self.sequence,
            is_final,
        };
        self.output
            .send(Output::Frame(frame))
            .await
            .map_err(|_| Emitted::Unwanted)
    }

    /// Waits until `due_ns`, and longer while the session is paused.
    async fn hold_until(&mut self, mut due_ns: u64) -> Result<(), Emitted> {
        let output = self.output.clone();
        let timer = self.engine.timer.clone();
        loop {
            self.obey()?;
            if self.paused {
                tokio::select! {
                    biased;
                    end = self.interrupted_once() => end?,
                    () = output.closed() => return Err(Emitted::Unwanted),
                }
                if !self.paused {
                    let now_ns = monotonic_ns();
                    self.schedule.resume(now_ns);
                    due_ns = due_ns.max(now_ns);
                }
                continue;
            }
            tokio::select! {
                biased;
                end = self.interrupted_once() => end?,
                () = output.closed() => return Err(Emitted::Unwanted),
                () = timer.sleep_until(due_ns) => return Ok(()),
            }
        }
    }

    /// Waits for the command or the reset that ends the stream; notes pauses meanwhile.
    async fn interrupted(&mut self) -> Emitted {
        let output = self.output.clone();
        loop {
            tokio::select! {
                biased;
                end = self.interrupted_once() => {
                    if let Err(end) = end {
                        return end;
                    }
                }
                () = output.closed() => return Emitted::Unwanted,
            }
        }
    }

    /// Waits for one command and obeys it.
    async fn interrupted_once(&mut self) -> Result<(), Emitted> {
        if self.playback.changed().await.is_err() {
            // The session is gone; its end was the last command.
            return Err(Emitted::UntilStopped);
        }
        self.obey()
    }

    fn obey(&mut self) -> Result<(), Emitted> {
        let playback = *self.playback.borrow_and_update();
        if playback.stops > self.stops_at_start {
            self.record_effect("STOP", self.sequence);
            return Err(Emitted::UntilStopped);
        }
        if playback.paused != self.paused {
            self.paused = playback.paused;
            self.resuming = !playback.paused;
            if playback.paused {
                self.record_effect("PAUSE", self.sequence);
            }
        }
        Ok(())
    }

    fn record_effect(&self, command: &str, last_sequence: i64) {
        self.engine.truth.record(Event::ControlEffective {
            stream: self.stream,
            session: self.session.clone(),
            command: command.to_owned(),
            last_sequence,
        });
    }
}
