//! The gRPC audio path: a worker that speaks on many paced streams at once, all on the one connection
//! of its orchestrator.

use probe_core::record::{Role, Side};

use super::scene::{Connection, Scene};
use super::{STREAMS, Traffic, speech};

/// Frames of an utterance: 5 s.
const FRAMES: u32 = 250;
/// Frames within which all streams begin, one after the other.
pub(super) const BEGINNING_FRAMES: usize = 50;

const WORKER: u32 = 1000;
const PORT: u16 = 50_051;

pub(super) struct Grpc {
    connection: Connection,
    window: speech::Window,
    speakers: Vec<Speaker>,
    /// Number of the next stream.
    next: u32,
}

struct Speaker {
    session: String,
    /// Stream of its utterance, and the frames sent of it.
    utterance: Option<(u32, u32)>,
    /// Frames until its first utterance begins.
    silent: usize,
}

impl Grpc {
    pub(super) fn begin(scene: &mut Scene) -> Self {
        scene.process(WORKER, Role::Worker, "tts@0");
        let mut connection = scene.open(WORKER, Side::Server, PORT);
        scene.receive(&mut connection, &speech::client_opening());
        scene.send(&mut connection, &speech::server_opening());
        let mut next = 1;
        let speakers = (0..STREAMS).map(|index| {
            let session = format!("session-{index:04}");
            scene.receive(&mut connection, &speech::request(next, "StartSession"));
            scene.receive(&mut connection, &speech::start_session(next, &session));
            let answer = [
                speech::response(next),
                speech::started(next),
                speech::trailers(next),
            ];
            scene.send(&mut connection, &answer.concat());
            next += 2;
            Speaker {
                session,
                utterance: None,
                silent: index * BEGINNING_FRAMES / STREAMS,
            }
        });
        let speakers = speakers.collect();
        Self {
            connection,
            window: speech::Window::default(),
            speakers,
            next,
        }
    }
}

impl Traffic for Grpc {
    fn step(&mut self, scene: &mut Scene) {
        scene.next_frame();
        for (index, speaker) in self.speakers.iter_mut().enumerate() {
            scene.turn(index, STREAMS);
            if speaker.silent > 0 {
                speaker.silent -= 1;
                continue;
            }
            let connection = &mut self.connection;
            let (stream, sent) = speaker.utterance.unwrap_or_else(|| {
                let stream = self.next;
                self.next += 2;
                scene.receive(connection, &speech::request(stream, "Synthesize"));
                scene.receive(connection, &speech::text(stream, &speaker.session));
                scene.send(connection, &speech::response(stream));
                (stream, 0)
            });
            let sent = sent + 1;
            let is_last = sent == FRAMES;
            let frame = speech::audio(stream, &speaker.session, sent, is_last);
            scene.send(connection, &frame);
            if let Some(update) = self.window.read(frame.len()) {
                scene.receive(connection, &update);
            }
            speaker.utterance = Some((stream, sent));
            if is_last {
                scene.send(connection, &speech::trailers(stream));
                speaker.utterance = None;
            }
        }
    }
}
