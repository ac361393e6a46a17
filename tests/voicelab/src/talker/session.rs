//! One session of a talker: it speaks, hears, interrupts, and leaves as planned.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Talker;
use super::gate::Gate;
use super::plan::{self, Act, Way};
use crate::message::{Command, FromClient, FromServer, encode};
use crate::orchestrator::Switch;
use crate::truth::Orchestration;
use crate::websocket::{self, End, Outgoing, Received, Socket};

/// How long the first audio, or an end that the server makes, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a pause lasts.
const PAUSE: Duration = Duration::from_millis(150);

/// A masked frame with the reserved opcode 3 (RFC 6455, 5.2), which every server must refuse.
const BAD_FRAME: [u8; 6] = [0x83, 0x80, 0, 0, 0, 0];

/// Bytes of 20 ms of microphone: 16 kHz mono, two bytes a sample.
const MICROPHONE_BYTES: usize = 640;

/// Frames of speech, then of silence: enough for both edges.
const SPEECH_FRAMES: usize = 15;
const SILENCE_FRAMES: usize = 15;

/// Loud and quiet samples, on both sides of any threshold.
const LOUD: i16 = 8000;
const QUIET: i16 = 20;

struct Session<'a> {
    talker: &'a Talker,
    connection: u64,
    name: String,
    socket: Socket,
    /// Audio messages heard since the last utterance began.
    heard: u64,
    ended: Option<String>,
}

/// Holds session number `connection` to its end.
pub(crate) async fn hold(talker: &Talker, connection: u64) -> anyhow::Result<()> {
    let settings = &talker.settings;
    let model = (connection as usize)
        .checked_rem(settings.models.len())
        .and_then(|at| settings.models.get(at));
    let deflate = settings.deflate == Switch::On;
    let model = model.map(String::as_str);
    let traceparent = settings.traceparent.as_deref();
    let socket = websocket::connect(talker.server, model, deflate, traceparent).await?;
    let session = None;
    talker.truth.record_at(
        socket.stamps.read_ns(),
        Orchestration::Connected {
            connection,
            session,
        }
        .into(),
    );
    let mut session = Session {
        talker,
        connection,
        name: String::new(),
        socket,
        heard: 0,
        ended: None,
    };
    let begin = Instant::now() + PATIENCE;
    while session.name.is_empty() && session.listen(begin).await {}
    let silent = Instant::now() + Duration::from_millis(settings.silence_ms);
    while session.listen(silent).await {}
    let ways = &settings.ends;
    let way = ((connection - 1) as usize)
        .checked_rem(ways.len())
        .and_then(|at| ways.get(at));
    for index in 0..settings.utterances {
        if session.ended.is_some() {
            break;
        }
        if let Some(gate) = talker.gates.get(&index) {
            session.wait_at(gate).await?;
        }
        if settings.malformed_every > 0 && (index + 1).is_multiple_of(settings.malformed_every) {
            session.send("other", r#"{"type":"#.to_owned()).await;
        }
        session.speak(index).await;
    }
    let way = *way.unwrap_or(&Way::ClientClose);
    session.leave(way).await?;
    let (name, seen) = (session.name, session.ended.unwrap_or_default());
    talker.truth.record(
        Orchestration::Disconnected {
            connection,
            session: name,
            way: way.as_str().to_owned(),
            seen,
        }
        .into(),
    );
    Ok(())
}

impl Session<'_> {
    fn record_at(&self, at_ns: u64, event: Orchestration) {
        self.talker.truth.record_at(at_ns, event.into());
    }

    /// Waits for one message; gives whether one came in time.
    async fn listen(&mut self, until: Instant) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let Ok(received) = timeout_at(until, self.socket.receive()).await else {
            return false;
        };
        let at_ns = self.socket.stamps.read_ns();
        match received {
            Received::Text(text) => self.take(serde_json::from_slice(&text).ok(), at_ns),
            Received::Binary(_) => self.take(None, at_ns),
            Received::Ping | Received::Pong => {}
            Received::Close(code) => {
                self.ended =
                    Some(code.map_or_else(|| "close".to_owned(), |code| format!("close {code}")));
            }
            Received::End(end) => {
                let seen = match end {
                    End::Eof => "eof",
                    End::Reset => "reset",
                    End::Protocol => "error",
                };
                self.ended = Some(seen.to_owned());
            }
        }
        true
    }

    fn take(&mut self, message: Option<FromServer>, at_ns: u64) {
        let kind = message.as_ref().map_or("other", FromServer::kind);
        let sequence = match &message {
            Some(FromServer::Audio { sequence, .. }) => {
                self.heard += 1;
                Some(*sequence)
            }
            _ => None,
        };
        let connection = self.connection;
        self.record_at(
            at_ns,
            Orchestration::MessageReceived {
                connection,
                kind: kind.to_owned(),
                utterance: None,
                sequence,
            },
        );
        if let Some(FromServer::SessionStart { session_id }) = message {
            self.name.clone_from(&session_id);
            let session = Some(session_id);
            self.record_at(
                at_ns,
                Orchestration::Connected {
                    connection,
                    session,
                },
            );
        }
    }

    async fn send(&mut self, kind: &str, text: String) {
        self.send_frame(kind, Outgoing::Text(text)).await;
    }

    async fn send_frame(&mut self, kind: &str, outgoing: Outgoing) {
        // A server that has gone is noticed when it is listened to.
        if let Ok(sent_ns) = self.socket.send(outgoing).await {
            self.record_at(
                sent_ns,
                Orchestration::MessageSent {
                    connection: self.connection,
                    kind: kind.to_owned(),
                    utterance: None,
                    sequence: None,
                },
            );
        }
    }

    async fn control(&mut self, command: Command) {
        let message = FromClient::Control { command };
        self.send(message.kind(), encode(&message)).await;
    }

    /// Listens for `time`.
    async fn listen_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while self.listen(until).await {}
    }

    async fn speak(&mut self, index: u64) {
        let utterance = plan::utterance(&self.talker.style, self.connection, index);
        self.heard = 0;
        let last = utterance.texts.len().saturating_sub(1);
        for (number, text) in utterance.texts.into_iter().enumerate() {
            if number > 0 {
                let interval = Duration::from_millis(self.talker.settings.text_interval_ms);
                self.listen_for(interval).await;
            }
            let message = FromClient::Text {
                text,
                is_final: number == last,
            };
            self.send(message.kind(), encode(&message)).await;
        }
        if utterance.act != Act::Listen {
            let patience = Instant::now() + PATIENCE;
            while self.heard < utterance.after_frames && self.listen(patience).await {}
        }
        match utterance.act {
            Act::Listen => {}
            Act::Stop => self.control(Command::Stop).await,
            Act::Pause => {
                self.control(Command::Pause).await;
                self.listen_for(PAUSE).await;
                self.control(Command::Resume).await;
            }
            Act::Override => return,
            Act::Speak => self.use_microphone().await,
        }
        self.hear_out().await;
    }

    /// Listens until nothing has come for a while.
    async fn hear_out(&mut self) {
        let quiet = Duration::from_millis(self.talker.settings.quiet_ms);
        let mut until = Instant::now() + if self.heard == 0 { PATIENCE } else { quiet };
        while self.listen(until).await {
            until = Instant::now() + quiet;
        }
    }

    /// Hears out what plays, and waits with the other sessions.
    async fn wait_at(&mut self, gate: &Gate) -> anyhow::Result<()> {
        self.hear_out().await;
        let passing = gate.pass();
        tokio::pin!(passing);
        loop {
            tokio::select! {
                passed = &mut passing => return passed,
                // Pings are answered meanwhile.
                heard = self.listen(Instant::now() + PATIENCE) => {
                    anyhow::ensure!(heard || self.ended.is_none(), "the session ended while it waited");
                }
            }
        }
    }

    async fn use_microphone(&mut self) {
        let frame = |sample: i16| {
            let samples = sample.to_le_bytes().into_iter().cycle();
            samples.take(MICROPHONE_BYTES).collect::<Bytes>()
        };
        let frames = std::iter::repeat_n(frame(LOUD), SPEECH_FRAMES)
            .chain(std::iter::repeat_n(frame(QUIET), SILENCE_FRAMES));
        for frame in frames {
            self.send_frame("other", Outgoing::Binary(frame)).await;
            self.listen_for(Duration::from_millis(20)).await;
        }
    }

    async fn leave(&mut self, way: Way) -> anyhow::Result<()> {
        if self.ended.is_some() {
            return Ok(());
        }
        match way {
            Way::ClientClose => {
                self.socket.send(Outgoing::Close(1000, "")).await.ok();
            }
            Way::ClientEof => {
                self.socket.shut_down().context("end the connection")?;
            }
            Way::ClientReset => {
                self.socket
                    .stamps
                    .reset_on_close()
                    .context("reset the connection")?;
                self.ended = Some("reset by client".to_owned());
                return Ok(());
            }
            Way::ServerClose => ask(self.talker, &format!("close {}", self.name)).await?,
            Way::SessionEnd => ask(self.talker, &format!("end {}", self.name)).await?,
            Way::Crash => ask(self.talker, "crash").await?,
            Way::IdleTimeout => {}
            Way::KeepAlive => {
                // Unread pings stay unanswered.
                tokio::time::sleep(PATIENCE / 4).await;
            }
            Way::ProtocolError => {
                self.socket
                    .stamps
                    .write_raw(&BAD_FRAME)
                    .context("send a bad frame")?;
            }
        }
        let patience = Instant::now() + PATIENCE;
        while self.ended.is_none() && self.listen(patience).await {}
        Ok(())
    }
}

/// Asks the orchestrator for something through its fault socket.
async fn ask(talker: &Talker, line: &str) -> anyhow::Result<()> {
    let path = &talker.settings.fault_socket;
    let path = path.as_ref().context("this end needs --fault-socket")?;
    let mut socket = UnixStream::connect(path)
        .await
        .with_context(|| format!("connect to {}", path.display()))?;
    socket
        .write_all(format!("{line}\n").as_bytes())
        .await
        .context("ask the orchestrator")?;
    let mut answer = String::new();
    let read = async { BufReader::new(socket).read_line(&mut answer).await };
    timeout(PATIENCE, read)
        .await
        .context("the orchestrator does not answer")?
        .context("read the answer")?;
    anyhow::ensure!(answer.trim() == "ok", "the orchestrator refused: {answer}");
    Ok(())
}
