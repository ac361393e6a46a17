//! One utterance: text goes out, frames come in, and the listener acts in between.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::calls::Calls;
use super::plan::{Act, Chunk, Utterance};
use crate::proto::{AudioFrame, ControlCommand, TextChunk};
use crate::truth::Event;

/// Text chunks between the talker and the transport.
const WAITING_TEXT: usize = 4;

/// Speaks one utterance and listens until its stream ends or is let go. Gives how many sequence
/// numbers were missing.
pub(crate) async fn speak(calls: &Calls, utterance: &Utterance, pause_hold: Duration) -> u64 {
    let call = calls.started("Synthesize");
    let (text, texts) = mpsc::channel(WAITING_TEXT);
    let (heard, hearing) = watch::channel(0);
    let talking = async {
        talk(calls, call, &utterance.chunks, text).await;
        // A call goes on after its text has ended.
        std::future::pending::<()>().await;
    };
    let playing = async {
        // The watch closes with the stream, which ends the wait of whoever acts on it.
        let heard = heard;
        let mut gaps = 0;
        let status = listen(calls, call, texts, &heard, &mut gaps).await.err();
        calls.finished(
            call,
            "Synthesize",
            status.map_or(Code::Ok, |status| status.code()),
            true,
        );
        gaps
    };
    let acting = act(calls, utterance, hearing.clone(), pause_hold);
    let cancelling = async {
        if utterance.act != Act::Cancel || !reached(hearing, utterance.after_frames).await {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = cancelling => {
            let session = calls.session.clone();
            calls.truth.record(Event::Cancelled { call, session });
            0
        }
        (gaps, ()) = async { tokio::join!(playing, acting) } => gaps,
        () = talking => 0,
    }
}

async fn talk(calls: &Calls, call: u64, chunks: &[Chunk], text: mpsc::Sender<TextChunk>) {
    for (sequence_number, chunk) in (1..).zip(chunks) {
        tokio::time::sleep(chunk.delay).await;
        let sent = Event::TextSent {
            call,
            session: calls.session.clone(),
            sequence: sequence_number,
            characters: chunk.text.chars().count() as u64,
            is_final: chunk.is_final,
        };
        let chunk = TextChunk {
            session_id: calls.session.clone(),
            text: chunk.text.clone(),
            is_final: chunk.is_final,
            sequence_number,
        };
        calls.truth.record(sent);
        if text.send(chunk).await.is_err() {
            return;
        }
    }
}

async fn listen(
    calls: &Calls,
    call: u64,
    texts: mpsc::Receiver<TextChunk>,
    heard: &watch::Sender<i64>,
    gaps: &mut u64,
) -> Result<(), Status> {
    let response = calls
        .client()
        .synthesize(ReceiverStream::new(texts))
        .await?;
    let mut frames = response.into_inner();
    let mut last = 0;
    while let Some(frame) = frames.message().await? {
        let AudioFrame {
            audio_data,
            sequence_number,
            is_final,
            ..
        } = frame;
        calls.truth.record(Event::FrameReceived {
            call,
            session: calls.session.clone(),
            sequence: sequence_number,
            bytes: audio_data.len() as u64,
            is_final,
        });
        *gaps += sequence_number
            .saturating_sub(last)
            .saturating_sub(1)
            .max(0)
            .unsigned_abs();
        last = sequence_number;
        heard.send_replace(sequence_number);
    }
    Ok(())
}

async fn act(
    calls: &Calls,
    utterance: &Utterance,
    hearing: watch::Receiver<i64>,
    pause_hold: Duration,
) {
    if matches!(utterance.act, Act::Listen | Act::Cancel) {
        return;
    }
    if !reached(hearing.clone(), utterance.after_frames).await {
        return;
    }
    let send = |command| calls.control(command, *hearing.borrow());
    match utterance.act {
        Act::Pause => {
            send(ControlCommand::Pause).await;
            tokio::time::sleep(pause_hold).await;
            send(ControlCommand::Resume).await;
        }
        Act::Stop => send(ControlCommand::Stop).await,
        Act::BargeIn => {
            send(ControlCommand::Pause).await;
            send(ControlCommand::Stop).await;
        }
        Act::Reload => send(ControlCommand::Reload).await,
        Act::Listen | Act::Cancel => {}
    }
}

/// Waits until frame `sequence` was heard; gives whether it was before the stream ended.
async fn reached(mut hearing: watch::Receiver<i64>, sequence: i64) -> bool {
    hearing.wait_for(|heard| *heard >= sequence).await.is_ok()
}
