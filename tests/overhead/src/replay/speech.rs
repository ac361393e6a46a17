//! gRPC calls of a text-to-speech service, as both ends of a connection write them: field numbers
//! are those of `tests/data/tts.proto`.

use crate::wire::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE, frame, header_block,
};

/// Bytes of audio in a frame: 20 ms of 16-bit samples at 48 kHz.
pub(super) const AUDIO_BYTES: usize = 1920;
/// Its rate, hertz.
const SAMPLE_RATE: u64 = 48_000;
/// Its length, milliseconds.
const FRAME_MS: u64 = 20;
/// Window that the client gives each stream and, in addition to the default, the connection, bytes:
/// those of hyper. An utterance is shorter.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 5 * 1024 * 1024;
/// `SETTINGS_INITIAL_WINDOW_SIZE` (RFC 9113, section 6.5.2).
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
/// What a client says for a text of an utterance.
const TEXT: &str = "The quick brown fox jumps over the lazy dog.";

/// What the client sends first.
pub(super) fn client_opening() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let setting = [&INITIAL_WINDOW_SIZE[..], &STREAM_WINDOW_BYTES.to_be_bytes()].concat();
    frame(&mut bytes, SETTINGS, 0, 0, &setting);
    bytes.extend(window_update(CONNECTION_WINDOW_BYTES));
    bytes
}

/// What the server sends first.
pub(super) fn server_opening() -> Vec<u8> {
    let mut bytes = Vec::new();
    frame(&mut bytes, SETTINGS, 0, 0, &[]);
    bytes
}

/// The client opens a call.
pub(super) fn request(stream: u32, method: &str) -> Vec<u8> {
    let path = format!("/tts.TTSService/{method}");
    let block = header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]);
    let mut bytes = Vec::new();
    frame(&mut bytes, HEADERS, END_HEADERS, stream, &block);
    bytes
}

/// The server begins its answer.
pub(super) fn response(stream: u32) -> Vec<u8> {
    let block = header_block(&[(":status", "200"), ("content-type", "application/grpc")]);
    let mut bytes = Vec::new();
    frame(&mut bytes, HEADERS, END_HEADERS, stream, &block);
    bytes
}

/// The server ends the call.
pub(super) fn trailers(stream: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let block = header_block(&[("grpc-status", "0")]);
    frame(
        &mut bytes,
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &block,
    );
    bytes
}

/// `StartSessionRequest`, the whole of the request.
pub(super) fn start_session(stream: u32, session: &str) -> Vec<u8> {
    let mut message = text_field(1, session);
    message.extend(text_field(2, "tone-small"));
    data(stream, END_STREAM, &message)
}

/// `StartSessionResponse` that says yes.
pub(super) fn started(stream: u32) -> Vec<u8> {
    data(stream, 0, &number_field(1, 1))
}

/// `TextChunk`, the last of its utterance.
pub(super) fn text(stream: u32, session: &str) -> Vec<u8> {
    let mut message = text_field(1, session);
    message.extend(text_field(2, TEXT));
    message.extend(number_field(3, 1));
    data(stream, END_STREAM, &message)
}

/// `AudioFrame`.
pub(super) fn audio(stream: u32, session: &str, sequence: u32, is_final: bool) -> Vec<u8> {
    let mut message = text_field(1, session);
    message.extend(bytes_field(2, &[0; AUDIO_BYTES]));
    message.extend(number_field(3, SAMPLE_RATE));
    message.extend(number_field(4, FRAME_MS));
    message.extend(number_field(5, u64::from(sequence)));
    if is_final {
        message.extend(number_field(6, 1));
    }
    data(stream, 0, &message)
}

/// What the client has read and not given back yet.
#[derive(Default)]
pub(super) struct Window(u32);

impl Window {
    /// The client read `bytes` more. What it then sends: half of the connection's window at once.
    pub(super) fn read(&mut self, bytes: usize) -> Option<Vec<u8>> {
        self.0 += bytes as u32;
        let due = self.0 >= CONNECTION_WINDOW_BYTES / 2;
        due.then(|| window_update(std::mem::take(&mut self.0)))
    }
}

fn window_update(bytes: u32) -> Vec<u8> {
    let mut update = Vec::new();
    frame(&mut update, WINDOW_UPDATE, 0, 0, &bytes.to_be_bytes());
    update
}

/// A message in a DATA frame, behind compressed flag and length.
fn data(stream: u32, flags: u8, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0];
    payload.extend((message.len() as u32).to_be_bytes());
    payload.extend(message);
    let mut bytes = Vec::new();
    frame(&mut bytes, DATA, flags, stream, &payload);
    bytes
}

fn text_field(number: u64, text: &str) -> Vec<u8> {
    bytes_field(number, text.as_bytes())
}

fn bytes_field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut field = varint(number << 3 | 2);
    field.extend(varint(content.len() as u64));
    field.extend(content);
    field
}

fn number_field(number: u64, value: u64) -> Vec<u8> {
    let mut field = varint(number << 3);
    field.extend(varint(value));
    field
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut octets = Vec::new();
    while value >= 0x80 {
        octets.push(value as u8 | 0x80);
        value >>= 7;
    }
    octets.push(value as u8);
    octets
}
