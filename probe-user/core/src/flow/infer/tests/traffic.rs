//! Random traffic of one connection between an orchestrator and a worker.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::wire::{Body, Encoder, Style, frame, message};
use crate::record::Direction::{self, Received, Sent};
use crate::wire::http2::{flag, kind};

const MS: u64 = 1_000_000;

/// What the connection carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mix {
    pub(super) style: Style,
    /// Sessions at once.
    pub(super) sessions: u32,
    /// How long it is watched, in milliseconds.
    pub(super) length_ms: u64,
    /// Most frames of one utterance.
    pub(super) frames: u64,
    /// Longest pause in a session, in milliseconds.
    pub(super) idle_ms: u64,
    /// Commands, one in so many utterances; 0 for none.
    pub(super) control_in: u32,
    /// Models are listed, loaded and unloaded.
    pub(super) models: bool,
    /// Methods that the profile does not list.
    pub(super) unlisted: bool,
    /// Half of the calls of the first method are calls of the second one.
    pub(super) twins: Option<(&'static str, &'static str)>,
    /// Requests carry metadata that makes the table overflow.
    pub(super) metadata: bool,
}

/// One write.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) at: u64,
    pub(super) from: Direction,
    pub(super) bytes: Vec<u8>,
    /// The stream that it opens.
    pub(super) opens: Option<u32>,
}

/// A connection: its writes in order, and the method of each stream.
pub(super) struct Traffic {
    pub(super) writes: Vec<Write>,
    pub(super) methods: BTreeMap<u32, &'static str>,
}

/// What one side says, before streams are numbered.
struct Planned {
    at: u64,
    call: usize,
    what: What,
}

enum What {
    Open(&'static str),
    Request(Vec<u8>, bool),
    Headers,
    Response(Vec<u8>),
    Trailers,
    Reset,
}

struct Plan<'a> {
    rng: &'a mut Rng,
    mix: Mix,
    said: Vec<Planned>,
    calls: usize,
    /// Which models are loaded.
    loaded: [bool; MODELS.len()],
}

const MODELS: [&str; 3] = ["tone-small", "tone-large", "voice-multi-v2"];

/// Wall clock when the connection began, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_790_000_000_000;

impl Plan<'_> {
    fn call(&mut self, at: u64, method: &'static str) -> usize {
        let call = self.calls;
        self.calls += 1;
        self.say(at, call, What::Open(method));
        call
    }

    fn say(&mut self, at: u64, call: usize, what: What) {
        self.said.push(Planned { at, call, what });
    }

    /// A unary call of `took` nanoseconds; when it was answered.
    fn unary(
        &mut self,
        at: u64,
        method: &'static str,
        request: Body,
        took: u64,
        response: Body,
    ) -> u64 {
        let call = self.call(at, method);
        self.say(at, call, What::Request(request.0, true));
        let done = at + took;
        self.say(done, call, What::Headers);
        self.say(done, call, What::Response(response.0));
        self.say(done, call, What::Trailers);
        done
    }

    fn answer(&mut self) -> Body {
        let body = Body::default().varint(1, 1);
        if self.rng.bool() {
            body.text(2, "all went well")
        } else {
            body
        }
    }

    fn took(&mut self) -> u64 {
        self.rng.u64(1..40) * MS
    }

    /// One session from start to end.
    fn session(&mut self, mut at: u64) -> u64 {
        let session = format!("ws-{:012x}", self.rng.u64(..) >> 16);
        let model = MODELS[self.rng.usize(..MODELS.len())];
        let mut request = Body::default().text(1, &session).text(2, model);
        if self.rng.bool() {
            let option = Body::default().text(1, "speed").text(2, "1.1");
            request = request.bytes(3, &option.0);
        }
        let (took, answer) = (self.took(), self.answer());
        at = self.unary(at, "StartSession", request, took, answer);
        for _ in 0..self.rng.u32(1..4) {
            at += self.rng.u64(5..self.mix.idle_ms) * MS;
            at = self.utterance(at, &session);
            if self.mix.unlisted && self.rng.u8(..4) == 0 {
                let pause = self.rng.u64(10..self.mix.idle_ms);
                at = self.unlisted_about(at + pause * MS, &session);
            }
        }
        at += self.rng.u64(5..200) * MS;
        let (took, request) = (self.took(), Body::default().text(1, &session));
        self.unary(
            at,
            "EndSession",
            request,
            took,
            Body::default().varint(1, 1),
        )
    }

    fn utterance(&mut self, at: u64, session: &str) -> u64 {
        let call = self.call(at, "Synthesize");
        let chunks = self.rng.u64(1..4);
        let mut asked = at;
        for number in 1..=chunks {
            let text = "some words to be spoken ".repeat(self.rng.usize(1..4));
            let chunk = Body::default()
                .text(1, session)
                .text(2, &text)
                .varint(3, u64::from(number == chunks))
                .varint(4, number);
            self.say(asked, call, What::Request(chunk.0, number == chunks));
            asked += self.rng.u64(1..60) * MS;
        }
        let burst = self.rng.u8(..3) == 0;
        let mut due = at + self.rng.u64(20..120) * MS;
        self.say(due, call, What::Headers);
        let frames = self.rng.u64(4..self.mix.frames.max(5));
        let cancelled = self.rng.u8(..8) == 0;
        for number in 1..=frames {
            let frame = Body::default()
                .text(1, session)
                .bytes(2, &[0xa5; 1920])
                .varint(3, 48_000)
                .varint(4, 20)
                .varint(5, number)
                .varint(6, u64::from(number == frames));
            self.say(due, call, What::Response(frame.0));
            due += if burst { MS / 2 } else { 20 * MS };
        }
        if self.mix.control_in > 0 && self.rng.u32(..self.mix.control_in) == 0 {
            self.commands(at + 100 * MS, session);
        }
        if self.mix.unlisted && self.rng.u8(..4) == 0 {
            self.unlisted_about(at + 60 * MS, session);
        }
        let end = if cancelled {
            What::Reset
        } else {
            What::Trailers
        };
        due = due.max(asked);
        self.say(due, call, end);
        due
    }

    fn commands(&mut self, mut at: u64, session: &str) {
        let commands: &[u64] = match self.rng.u8(..3) {
            0 => &[0, 1],
            1 => &[0, 2],
            _ => &[2],
        };
        for command in commands {
            let took = self.rng.u64(1..5) * MS;
            let request = Body::default().text(1, session).varint(2, *command);
            let answer = self.answer().varint(3, EPOCH_MS + (at + took) / MS);
            at = self.unary(at, "Control", request, took, answer) + 30 * MS;
        }
    }

    /// What a poller asks.
    fn lists(&mut self, at: u64) {
        let mut models = Body::default();
        let mut capabilities = Body::default()
            .varint(1, 1)
            .varint(2, self.rng.u64(..2))
            .varint(4, 1)
            .text(5, "de")
            .text(5, "en")
            .varint(7, 16);
        capabilities = Body::default().bytes(1, &capabilities.0);
        for (model, loaded) in MODELS.into_iter().zip(&mut self.loaded) {
            // Somebody else's requests, and evictions.
            *loaded ^= self.rng.u8(..20) == 0;
            let loaded = *loaded;
            let tag = Body::default().text(1, "quality").text(2, "high");
            let entry = Body::default()
                .text(1, model)
                .text(2, "tone")
                .varint(3, u64::from(loaded))
                .text(4, "de")
                .bytes(5, &tag.0);
            models = models.bytes(1, &entry.0);
            if loaded {
                capabilities = capabilities.text(2, model);
            }
        }
        capabilities = capabilities.measure(3, "queue", 0.5);
        let took = self.took();
        self.unary(at, "ListModels", Body::default(), took, models);
        let took = self.took();
        self.unary(
            at + 3 * MS,
            "GetCapabilities",
            Body::default(),
            took,
            capabilities,
        );
        let (asked, unloads) = (self.rng.usize(..MODELS.len()), self.rng.u8(..3) == 0);
        let request = Body::default().text(1, MODELS[asked]);
        if unloads {
            let took = self.took();
            let answer = if self.loaded[asked] {
                self.answer()
            } else {
                Body::default().text(2, "it is not loaded")
            };
            self.loaded[asked] = false;
            self.unary(at + 9 * MS, "UnloadModel", request, took, answer);
        } else if self.rng.bool() {
            let request = request.varint(2, self.rng.u64(..2));
            let took = self.rng.u64(15..400);
            let answer = self.answer().varint(3, took - self.rng.u64(..took / 4));
            self.loaded[asked] = true;
            self.unary(at + 5 * MS, "LoadModel", request, took * MS, answer);
        }
    }

    /// A method that is not in the profile, about a session.
    fn unlisted_about(&mut self, at: u64, session: &str) -> u64 {
        let about = Body::default().text(1, session);
        let yes = Body::default().varint(1, 1);
        let took = self.took();
        match self.rng.u8(..3) {
            0 => self.unary(at, "Touch", about, took, yes),
            1 => {
                let request = about.text(2, "voice-blue");
                let answer = self.answer();
                self.unary(at, "SetVoice", request, took, answer)
            }
            _ => {
                let request = about.varint(2, self.rng.u64(1..4));
                let answer = self.answer();
                self.unary(at, "SetVolume", request, took, answer)
            }
        }
    }

    /// A method that is not in the profile, about nothing or a model.
    fn unlisted(&mut self, at: u64) {
        let yes = Body::default().varint(1, 1);
        let none = Body::default;
        let took = self.took();
        match self.rng.u8(..7) {
            0 => self.unary(at, "Ping", none(), took, yes),
            1 => self.unary(at, "Nothing", none(), took, none()),
            2 => self.unary(at, "Check", none().text(1, "tts.TTSService"), took, yes),
            3 => {
                let model = MODELS[self.rng.usize(..MODELS.len())];
                let answer = self.answer();
                self.unary(at, "Describe", none().text(1, model), took, answer)
            }
            4 => {
                let voice = none().text(1, "voice-blue").text(2, "Blue").varint(3, 1);
                self.unary(at, "ListVoices", none(), took, none().bytes(1, &voice.0))
            }
            5 => {
                let model = MODELS[self.rng.usize(..MODELS.len())];
                let answer = self.answer().varint(3, self.rng.u64(1..500));
                self.unary(at, "Estimate", none().text(1, model), took, answer)
            }
            _ => {
                let call = self.call(at, "Transcribe");
                for number in 0..5 {
                    let audio = none().text(1, "ws-listens-1").bytes(2, &[0x5a; 640]);
                    self.say(
                        at + number * 20 * MS,
                        call,
                        What::Request(audio.0, number == 4),
                    );
                }
                self.say(at + took, call, What::Headers);
                for number in 1..5 {
                    let text = none().text(1, "ws-listens-1").text(2, "what was heard");
                    let text = text.varint(3, u64::from(number == 4)).varint(4, number);
                    self.say(at + took + number * 30 * MS, call, What::Response(text.0));
                }
                self.say(at + took + 200 * MS, call, What::Trailers);
                at
            }
        };
    }
}

impl Traffic {
    pub(super) fn new(rng: &mut Rng, mix: Mix) -> Self {
        let mut plan = Plan {
            rng,
            mix,
            said: Vec::new(),
            calls: 0,
            loaded: [true, true, false],
        };
        let end = mix.length_ms * MS;
        for _ in 0..mix.sessions {
            let mut at = plan.rng.u64(..1_500) * MS;
            while at < end {
                at = plan.session(at) + plan.rng.u64(10..500) * MS;
            }
        }
        for _ in 0..u32::from(mix.models) {
            let mut at = plan.rng.u64(..500) * MS;
            while at < end {
                plan.lists(at);
                at += plan.rng.u64(400..1_200) * MS;
            }
        }
        for _ in 0..u32::from(mix.unlisted) {
            let mut at = plan.rng.u64(..300) * MS;
            while at < end {
                plan.unlisted(at);
                at += plan.rng.u64(20..200) * MS;
            }
        }
        let mut said = plan.said;
        said.sort_by_key(|said| said.at);
        said.retain(|said| said.at < end);
        write(&said, mix, rng)
    }
}

fn write(said: &[Planned], mix: Mix, rng: &mut Rng) -> Traffic {
    let mut encoder = Encoder::new(mix.style);
    let mut streams: BTreeMap<usize, u32> = BTreeMap::new();
    let mut traffic = Traffic {
        writes: Vec::new(),
        methods: BTreeMap::new(),
    };
    let both = flag::END_HEADERS | flag::END_STREAM;
    for planned in said {
        if let What::Open(method) = planned.what {
            let method = match mix.twins {
                Some((first, second)) if method == first && rng.bool() => second,
                _ => method,
            };
            let stream = 2 * streams.len() as u32 + 1;
            streams.insert(planned.call, stream);
            traffic.methods.insert(stream, method);
            let path = format!("/tts.TTSService/{method}");
            let id = format!("{:032x}", rng.u128(..));
            let extra = mix.metadata.then(|| (id.as_str(), rng.u8(..3) > 0));
            let block = encoder.request(&path, extra);
            traffic.writes.push(Write {
                at: planned.at,
                from: Sent,
                bytes: frame(kind::HEADERS, flag::END_HEADERS, stream, &block),
                opens: Some(stream),
            });
            continue;
        }
        let stream = streams[&planned.call];
        let (from, bytes) = match &planned.what {
            What::Open(_) => continue,
            What::Request(body, end) => (Sent, message(stream, *end, body)),
            What::Headers => (
                Received,
                frame(kind::HEADERS, flag::END_HEADERS, stream, &[0x88]),
            ),
            What::Response(body) => (Received, message(stream, false, body)),
            // "grpc-status: 0" without indexing.
            What::Trailers => (
                Received,
                frame(kind::HEADERS, both, stream, b"\x00\x0bgrpc-status\x010"),
            ),
            What::Reset => (Sent, frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8])),
        };
        traffic.writes.push(Write {
            at: planned.at,
            from,
            bytes,
            opens: None,
        });
    }
    traffic
}
