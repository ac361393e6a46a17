//! An orchestrator: each client has a WebSocket connection, over which goes as JSON what comes from
//! the worker, frame by frame.

use flate2::{Compress, Compression, FlushCompress};
use probe_core::record::{Role, Side};

use super::scene::{Connection, Scene};
use super::{STREAMS, Traffic, speech};

const ORCHESTRATOR: u32 = 2000;
const PORT: u16 = 8000;
const WORKER_PORT: u16 = 50_051;

/// First octet of a whole text message (RFC 6455, section 5.2), and its flag of a compressed one
/// (RFC 7692, section 6).
const TEXT: u8 = 0x81;
const COMPRESSED: u8 = 0x40;
/// Second octet: a length of two octets follows; the payload is masked.
const LENGTH_16: u8 = 126;
const MASKED: u8 = 0x80;
/// Longest payload whose length is in the second octet.
const MAX_SHORT: usize = 125;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What ends a flush of the compressor and is not sent (RFC 7692, section 7.2.1).
const FLUSH_TAIL_BYTES: usize = 4;

/// What 6 bits are written as in base64 (RFC 4648, section 4).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Characters of a frame's audio.
const AUDIO_CHARACTERS: usize = speech::AUDIO_BYTES / 3 * 4;

pub(super) struct WebSocket {
    worker: Connection,
    window: speech::Window,
    clients: Vec<Client>,
    /// Frames sent so far on every stream.
    sent: u32,
    noise: Noise,
}

struct Client {
    connection: Connection,
    session: String,
    stream: u32,
    deflate: Option<Compress>,
}

impl WebSocket {
    /// With permessage-deflate or without.
    pub(super) fn begin(scene: &mut Scene, deflate: bool) -> Self {
        scene.process(ORCHESTRATOR, Role::Orchestrator, "orchestrator");
        let mut worker = scene.open(ORCHESTRATOR, Side::Client, WORKER_PORT);
        scene.send(&mut worker, &speech::client_opening());
        scene.receive(&mut worker, &speech::server_opening());
        let mut next = 1;
        let mut clients = Vec::new();
        for index in 0..STREAMS {
            scene.next_frame();
            let connection = scene.open(ORCHESTRATOR, Side::Server, PORT);
            let deflate = deflate.then(|| Compress::new(Compression::fast(), false));
            let mut client = Client {
                connection,
                session: format!("session-{index:04}"),
                stream: next + 2,
                deflate,
            };
            client.begin(scene, &mut worker, next);
            next += 4;
            clients.push(client);
        }
        Self {
            worker,
            window: speech::Window::default(),
            clients,
            sent: 0,
            noise: Noise(1),
        }
    }
}

impl Traffic for WebSocket {
    fn step(&mut self, scene: &mut Scene) {
        scene.next_frame();
        self.sent += 1;
        for (index, client) in self.clients.iter_mut().enumerate() {
            scene.turn(index, STREAMS);
            let frame = speech::audio(client.stream, &client.session, self.sent, false);
            scene.receive(&mut self.worker, &frame);
            if let Some(update) = self.window.read(frame.len()) {
                scene.send(&mut self.worker, &update);
            }
            let json = format!(
                r#"{{"type":"audio","pcm":"{}","sample_rate":48000,"frame_ms":20,"sequence":{}}}"#,
                self.noise.base64(AUDIO_CHARACTERS),
                self.sent
            );
            client.say(scene, &json);
        }
    }
}

impl Client {
    /// Connects, and is given a session at the worker, whose `StartSession` is on this stream.
    fn begin(&mut self, scene: &mut Scene, worker: &mut Connection, stream: u32) {
        let extensions = match self.deflate {
            Some(_) => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            None => "",
        };
        let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: voice\r\n{upgrade}Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n"
        );
        scene.receive(&mut self.connection, request.as_bytes());
        let response = format!(
            "HTTP/1.1 101 Switching Protocols\r\n{upgrade}\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n{extensions}\r\n"
        );
        scene.send(&mut self.connection, response.as_bytes());
        let session = &self.session;
        scene.send(worker, &speech::request(stream, "StartSession"));
        scene.send(worker, &speech::start_session(stream, session));
        let answer = [speech::response(stream), speech::started(stream)];
        scene.receive(worker, &answer.concat());
        scene.receive(worker, &speech::trailers(stream));
        let started = format!(r#"{{"type":"session_start","session_id":"{session}"}}"#);
        self.say(scene, &started);
        let text = br#"{"type":"text","text":"Tell me a long story.","is_final":true}"#;
        scene.receive(&mut self.connection, &masked(text));
        scene.send(worker, &speech::request(self.stream, "Synthesize"));
        scene.send(worker, &speech::text(self.stream, &self.session));
        scene.receive(worker, &speech::response(self.stream));
    }

    /// The orchestrator sends it a text message.
    fn say(&mut self, scene: &mut Scene, json: &str) {
        let message = match &mut self.deflate {
            None => message(TEXT, json.as_bytes()),
            Some(deflate) => message(TEXT | COMPRESSED, &compressed(deflate, json.as_bytes())),
        };
        scene.send(&mut self.connection, &message);
    }
}

fn message(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if payload.len() <= MAX_SHORT {
        bytes.push(payload.len() as u8);
    } else {
        bytes.push(LENGTH_16);
        bytes.extend((payload.len() as u16).to_be_bytes());
    }
    bytes.extend(payload);
    bytes
}

/// A short text message of a client.
fn masked(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![TEXT, MASKED | payload.len() as u8];
    bytes.extend(MASK);
    let mask = MASK.iter().cycle();
    bytes.extend(payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A message as permessage-deflate sends it, with the window of those before.
fn compressed(deflate: &mut Compress, message: &[u8]) -> Vec<u8> {
    // Noise grows by some bytes at most.
    let mut bytes = Vec::with_capacity(message.len() * 2 + 64);
    deflate
        .compress_vec(message, &mut bytes, FlushCompress::Sync)
        .expect("a compressor takes any bytes");
    bytes.truncate(bytes.len() - FLUSH_TAIL_BYTES);
    bytes
}

/// Numbers without a pattern, the same in each run (xorshift, Marsaglia 2003).
struct Noise(u64);

impl Noise {
    /// Audio in base64: speech has as good as no pattern that DEFLATE finds.
    fn base64(&mut self, characters: usize) -> String {
        let mut text = String::with_capacity(characters);
        while text.len() < characters {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            for place in 0..10 {
                let six = (self.0 >> (6 * place)) as usize & 63;
                text.push(char::from(BASE64[six]));
            }
        }
        text
    }
}
