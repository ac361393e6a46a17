//! Stories to spans.

mod random;

use super::*;
use crate::flow::CallEnd;
use crate::interpret::Id;
use crate::metrics::Limits;
use crate::model::{InterruptionStory, Jitter, Moment, Pacing, SentAudio};
use crate::record::{ConnectionId, SpanId};

const SEED: Seed = [7, 9];
const CLIENT: TraceContext = TraceContext {
    trace: TraceId([0xc; 16]),
    parent: SpanId([0xc; 8]),
    sampled: true,
};
const CALLER: TraceContext = TraceContext {
    trace: TraceId([0xd; 16]),
    parent: SpanId([0xd; 8]),
    sampled: true,
};

fn ms(at: u64) -> KtimeNs {
    KtimeNs(at * 1_000_000)
}

fn id(text: &str) -> Option<Id> {
    Id::new(text)
}

fn call_id(connection: u64) -> CallId {
    CallId {
        connection: ConnectionId(connection),
        stream: 1,
    }
}

fn utterance() -> UtteranceStory {
    UtteranceStory {
        id: UtteranceId {
            connection: ConnectionId(10),
            session: 0,
            number: 1,
        },
        process: Tgid(7),
        session: id("ws-1"),
        model: id("m"),
        transport: "websocket",
        trace: None,
        asked: Some(ms(100)),
        audio: Some(SentAudio {
            first: ms(150),
            last: ms(400),
            frames: 12,
            source: Some(call_id(1)),
        }),
        doubt: None,
        barge_in_ms: None,
        calls: vec![call()],
    }
}

fn call() -> CallStory {
    CallStory {
        call: call_id(1),
        peer: Some(call_id(2)),
        worker: id("tts@0"),
        trace: None,
        text: Some(ms(102)),
        text_bytes: Some(20),
        first_frame: Some(ms(145)),
        frames: Some(12),
        answered_ms: None,
        end: Some((ms(395), None)),
    }
}

fn synthesis() -> SynthesisStory {
    SynthesisStory {
        call: call_id(2),
        process: Tgid(8),
        worker: Id::new("tts@0").unwrap(),
        session: id("ws-1"),
        model: id("m"),
        trace: None,
        text: Moment::At(ms(103)),
        text_bytes: Some(20),
        first_frame: Moment::At(ms(143)),
        last_frame: Some(ms(390)),
        frames: Some(12),
        pacing: Some(Pacing::Paced),
        jitter: Jitter::default(),
        ended: ms(392),
        end: None,
    }
}

struct World {
    tracer: Tracer,
    metrics: Metrics,
}

impl World {
    fn new(rate: f64) -> Self {
        let metrics = Metrics::new(Limits::default());
        let tracer = Tracer::new(SEED, rate, Objectives::default(), &metrics);
        Self { tracer, metrics }
    }

    fn tell(&mut self, story: Story) {
        self.tracer.handle(story, |_| true);
    }

    fn traces(&mut self) -> Vec<Trace> {
        self.tracer.finish();
        std::iter::from_fn(|| self.tracer.poll()).collect()
    }

    /// The spans of the only trace.
    fn spans(&mut self) -> Vec<Span> {
        let mut traces = self.traces();
        assert_eq!(traces.len(), 1, "{traces:#?}");
        traces.remove(0).spans
    }

    fn skipped(&self, measure: &str, reason: &str) -> u64 {
        let skipped = &self.metrics.probe.observations_skipped;
        skipped.with(&[measure, reason]).get()
    }

    fn decided(&self, decision: &str) -> u64 {
        self.metrics.probe.traces.with(&[decision]).get()
    }
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name).collect()
}

fn said<'a>(span: &'a Span, name: &str) -> Option<&'a Value> {
    let mut said = span.attributes.iter();
    said.find_map(|(said, value)| (*said == name).then_some(value))
}

#[test]
fn utterance_of_orchestrator_and_worker_is_the_guides_tree() {
    let mut world = World::new(1.0);
    world.tell(Story::Synthesis(synthesis()));
    world.tell(Story::Utterance(utterance()));
    let spans = world.spans();
    let tree = [
        ("synthesize_request", None, 100, 400),
        ("grpc_call_worker", Some("synthesize_request"), 102, 395),
        ("Synthesize", Some("grpc_call_worker"), 103, 392),
        ("model_inference", Some("Synthesize"), 103, 143),
        ("audio_framing", Some("Synthesize"), 143, 390),
        ("audio_processing", Some("synthesize_request"), 145, 150),
    ];
    assert_eq!(names(&spans), tree.map(|(name, ..)| name));
    for (name, parent, start, end) in tree {
        let span = named(&spans, name);
        let expected = parent.map_or(Parent::None, |parent| {
            Parent::Span(named(&spans, parent).id)
        });
        assert_eq!(span.parent, expected, "{name}");
        assert_eq!((span.start, span.end), (ms(start), ms(end)), "{name}");
        assert_eq!((span.trace, span.link), (spans[0].trace, None), "{name}");
    }
    let root = &spans[0];
    assert_eq!(root.first_audio, Some(ms(150)));
    for (name, value) in [
        ("model_id", Value::Id(Id::new("m").unwrap())),
        ("session_id", Value::Id(Id::new("ws-1").unwrap())),
        ("text_length", Value::Integer(20)),
        ("frames_count", Value::Integer(12)),
        ("fal_ms", Value::Float(50.0)),
    ] {
        assert_eq!(said(root, name), Some(&value), "{name}");
    }
    assert_eq!(
        (root.kind, spans[1].kind, spans[2].kind),
        (Kind::Server, Kind::Client, Kind::Server)
    );
    assert_eq!(
        (root.place.process, spans[2].place.process),
        (Tgid(7), Tgid(8))
    );
    assert_eq!(world.decided("rate"), 1);
}

#[test]
fn order_in_which_the_ends_tell_does_not_matter() {
    let mut one = World::new(1.0);
    one.tell(Story::Synthesis(synthesis()));
    one.tell(Story::Utterance(utterance()));
    let mut other = World::new(1.0);
    other.tell(Story::Utterance(utterance()));
    // Its caller has told already.
    other
        .tracer
        .handle(Story::Synthesis(synthesis()), |_| false);
    assert_eq!(one.spans(), other.spans());
}

#[test]
fn trace_is_told_when_nothing_of_it_can_come_any_more() {
    let mut world = World::new(1.0);
    world.tracer.handle_tick(ms(400));
    world.tell(Story::Utterance(utterance()));
    world.tracer.handle_tick(ms(2800));
    assert!(world.tracer.poll().is_none());
    world.tracer.handle_tick(ms(2900));
    assert_eq!(world.tracer.poll().map(|trace| trace.spans.len()), Some(3));
}

#[test]
fn upgrades_header_names_the_trace_and_the_roots_parent() {
    let mut world = World::new(0.0);
    let traced = UtteranceStory {
        trace: Some(CLIENT),
        ..utterance()
    };
    world.tell(Story::Synthesis(synthesis()));
    world.tell(Story::Utterance(traced));
    let spans = world.spans();
    assert!(spans.iter().all(|span| span.trace == CLIENT.trace));
    assert_eq!(spans[0].parent, Parent::Remote(CLIENT));
    assert_eq!(spans[1].parent, Parent::Span(spans[0].id));
    assert_eq!(world.decided("parent"), 1, "its caller samples it");
}

#[test]
fn calls_header_names_the_trace_and_the_workers_parent() {
    let mut world = World::new(0.0);
    let mut story = utterance();
    story.calls[0].trace = Some(CALLER);
    let spoken = SynthesisStory {
        trace: Some(CALLER),
        ..synthesis()
    };
    world.tell(Story::Synthesis(spoken));
    world.tell(Story::Utterance(story));
    let spans = world.spans();
    assert!(spans.iter().all(|span| span.trace == CALLER.trace));
    assert_eq!(named(&spans, "Synthesize").parent, Parent::Remote(CALLER));
    assert_eq!(named(&spans, "synthesize_request").parent, Parent::None);
}

#[test]
fn call_of_another_trace_goes_there_with_a_link_back() {
    let mut world = World::new(1.0);
    let mut story = utterance();
    story.trace = Some(CLIENT);
    story.calls[0].trace = Some(CALLER);
    let spoken = SynthesisStory {
        trace: Some(CALLER),
        ..synthesis()
    };
    world.tell(Story::Synthesis(spoken));
    world.tell(Story::Utterance(story));
    let spans = world.spans();
    let call = named(&spans, "grpc_call_worker");
    assert_eq!(call.trace, CLIENT.trace);
    let spoken = named(&spans, "Synthesize");
    assert_eq!(
        (spoken.trace, spoken.parent),
        (CALLER.trace, Parent::Remote(CALLER))
    );
    assert_eq!(spoken.link, Some((CLIENT.trace, call.id)));
    let inference = named(&spans, "model_inference");
    assert_eq!(
        (inference.trace, inference.parent),
        (CALLER.trace, Parent::Span(spoken.id))
    );
}

#[test]
fn what_is_not_sure_is_left_out_and_the_span_above_takes_its_place() {
    let mut world = World::new(1.0);
    let mut story = utterance();
    story.calls[0].end = None;
    let spoken = SynthesisStory {
        frames: None,
        ..synthesis()
    };
    world.tell(Story::Synthesis(spoken));
    world.tell(Story::Utterance(story));
    let spans = world.spans();
    assert_eq!(
        names(&spans),
        [
            "synthesize_request",
            "Synthesize",
            "model_inference",
            "audio_processing"
        ]
    );
    assert_eq!(spans[1].parent, Parent::Span(spans[0].id));
    assert_eq!(
        said(&spans[1], "voxprobe.incomplete"),
        Some(&Value::Word("lost"))
    );
    assert_eq!(said(&spans[1], "frames_count"), None);
    assert_eq!(
        (
            world.skipped("span", "cut_off"),
            world.skipped("span", "lost")
        ),
        (1, 1)
    );
}

#[test]
fn doubtful_utterance_has_no_root_and_its_calls_are_told() {
    let mut world = World::new(1.0);
    let story = UtteranceStory {
        doubt: Some(SkipReason::Ambiguous),
        ..utterance()
    };
    world.tell(Story::Utterance(story));
    let spans = world.spans();
    assert_eq!(names(&spans), ["grpc_call_worker"]);
    assert_eq!(spans[0].parent, Parent::None);
    assert_eq!(world.skipped("span", "ambiguous"), 1);
}

#[test]
fn call_of_nobody_is_a_trace_of_its_own_and_counted() {
    let mut world = World::new(1.0);
    world.tell(Story::Synthesis(synthesis()));
    world.tell(Story::Call {
        process: Tgid(7),
        call: call(),
        reason: SkipReason::Ambiguous,
    });
    let spans = world.spans();
    assert_eq!(names(&spans)[..2], ["grpc_call_worker", "Synthesize"]);
    assert_eq!(spans[0].parent, Parent::None);
    assert_eq!(spans[1].parent, Parent::Span(spans[0].id));
    assert_eq!(world.skipped("span_parent", "ambiguous"), 1);
}

#[test]
fn worker_whose_caller_is_not_watched_is_told_at_once() {
    let mut world = World::new(1.0);
    let traced = SynthesisStory {
        trace: Some(CALLER),
        ..synthesis()
    };
    world.tracer.handle(Story::Synthesis(traced), |_| false);
    let trace = world.tracer.poll().unwrap();
    assert_eq!(
        names(&trace.spans),
        ["Synthesize", "model_inference", "audio_framing"]
    );
    assert_eq!(trace.spans[0].parent, Parent::Remote(CALLER));
}

#[test]
fn missed_objective_is_always_exported() {
    let slow = |utterance: UtteranceStory, ms_later: u64| UtteranceStory {
        audio: utterance.audio.map(|audio| SentAudio {
            first: ms(100 + ms_later),
            last: ms(900),
            ..audio
        }),
        ..utterance
    };
    let told = |story: UtteranceStory| {
        let mut world = World::new(0.0);
        world.tell(Story::Utterance(story));
        world.traces().len()
    };
    assert_eq!(told(slow(utterance(), 300)), 0, "at the limit");
    assert_eq!(told(slow(utterance(), 301)), 1);
    let interrupted = UtteranceStory {
        barge_in_ms: Some(50.1),
        ..utterance()
    };
    assert_eq!(told(interrupted), 1);
    // An interruption that is measured after the utterance is over.
    let mut world = World::new(0.0);
    world.tell(Story::Utterance(utterance()));
    world.tell(Story::Interruption(InterruptionStory {
        utterance: Some(utterance().id),
        trace: None,
        process: Tgid(7),
        session: None,
        model: None,
        trigger: "control",
        latency_ms: 80.0,
    }));
    let spans = world.spans();
    assert_eq!(said(&spans[0], "barge_in_ms"), Some(&Value::Float(80.0)));
    assert_eq!(world.decided("violation"), 1);
    // The worker's part of it missed one.
    let mut world = World::new(0.0);
    let jitter = Jitter {
        intervals: 40,
        above: 3,
        worst_ms: 15.0,
    };
    let rough = SynthesisStory {
        jitter,
        ..synthesis()
    };
    world.tell(Story::Synthesis(rough));
    world.tell(Story::Utterance(utterance()));
    assert_eq!(world.spans().len(), 6);
}

#[test]
fn jitter_objective_is_about_the_95th_percentile_of_paced_streams() {
    let share = |intervals, above, pacing| {
        let story = SynthesisStory {
            pacing: Some(pacing),
            jitter: Jitter {
                intervals,
                above,
                worst_ms: 30.0,
            },
            ..synthesis()
        };
        Violation::of(&Story::Synthesis(story), Objectives::default())?.share
    };
    assert_eq!(share(100, 5, Pacing::Paced), None);
    assert_eq!(share(100, 6, Pacing::Paced), Some(0.06));
    assert_eq!(share(100, 6, Pacing::Burst), None);
    assert_eq!(share(19, 19, Pacing::Paced), None, "too few to tell");
}

#[test]
fn end_of_a_call_is_an_error_unless_it_was_given_up() {
    let end = |end| {
        let mut world = World::new(1.0);
        let mut story = utterance();
        story.calls[0].end = Some((ms(395), Some(end)));
        world.tell(Story::Utterance(story));
        named(&world.spans(), "grpc_call_worker").clone()
    };
    assert!(end(CallEnd::Status(Some(0))).error.is_none());
    let failed = end(CallEnd::Status(Some(5)));
    assert!(failed.error.is_some());
    assert_eq!(
        said(&failed, "rpc.grpc.status_code"),
        Some(&Value::Integer(5))
    );
    let cancelled = end(CallEnd::Reset {
        code: 8,
        by: crate::flow::Origin::Client,
    });
    assert!(cancelled.error.is_none());
    assert_eq!(
        said(&cancelled, "voxprobe.end"),
        Some(&Value::Word("cancelled"))
    );
    assert!(end(CallEnd::ConnectionClosed).error.is_some());
}

#[test]
fn what_waits_is_bounded() {
    let mut world = World::new(1.0);
    for number in 0..MAX_PENDING as u64 + 10 {
        let mut story = utterance();
        story.id.number = number;
        story.calls.clear();
        world.tell(Story::Utterance(story));
    }
    assert_eq!(world.tracer.pending.len(), MAX_PENDING);
    for stream in 0..MAX_SYNTHESES as u32 + 10 {
        let mut story = synthesis();
        story.call.stream = stream;
        world.tell(Story::Synthesis(story));
    }
    assert_eq!(world.tracer.syntheses.len(), MAX_SYNTHESES);
    assert_eq!(world.skipped("span_parent", "lost"), 10);
    let spans: usize = world.traces().iter().map(|trace| trace.spans.len()).sum();
    let dropped = world
        .metrics
        .probe
        .spans_dropped
        .with(&["queue_full"])
        .get();
    let all = MAX_PENDING + 10 + 3 * (MAX_SYNTHESES + 10);
    assert_eq!(spans as u64 + dropped, all as u64, "none goes uncounted");
}
