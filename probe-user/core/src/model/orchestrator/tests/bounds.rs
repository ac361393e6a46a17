use super::*;
use crate::model::orchestrator::bounds::{
    MAX_NAMES, MAX_ORPHANS, MAX_PENDING_FRAMES, MAX_SESSIONS, MAX_STREAMS, MAX_UTTERANCES,
};

/// Everything the model holds.
fn held(world: &World) -> [usize; 8] {
    let model = &world.model;
    let of = |count: fn(&Orchestrator) -> usize| model.processes.values().map(count).sum();
    [
        model.sessions.len(),
        model.websockets.len(),
        model.streams.len(),
        model.controls.len(),
        model.followed.len(),
        model.pending_frames,
        of(|it| it.sessions.len() + it.told.len() + it.open_names.len() + it.open_streams.len()),
        of(|it| it.names.len()),
    ]
}

/// One short session of a client, from connect to end.
fn short_session(world: &mut World, n: u64, at: f64) {
    let name = format!("ws-{n:012x}");
    let model = format!("model-{n}");
    world.connect(n, at, &name);
    world.ask(at + 1.0, &name, &model);
    world.text(n, at + 2.0, true);
    let stream = (2 * n + 1) as u32;
    world.speak(stream, at + 3.0, &name);
    for i in 1..=3 {
        world.relay(stream, n, at + 20.0 * i as f64, i);
    }
    world.command(n, at + 70.0, Command::Stop);
    world.control((at + 71.0, at + 72.0), &name, Command::Stop);
    world.done(stream, at + 73.0, OK);
    if n.is_multiple_of(2) {
        world.ask_end(at + 80.0, &name);
    }
    world.end(n, at + 81.0, ConnectionEnd::PeerClosed);
}

#[test]
fn ten_thousand_sessions_leave_neither_state_nor_series_beyond_the_bounds() {
    let limits = Limits::default();
    let mut world = World::with(ModelSettings::default(), limits);
    for n in 1..=10_000_u64 {
        let at = 100.0 * n as f64;
        short_session(&mut world, n, at);
        if n.is_multiple_of(100) {
            world.tick(at + 90.0);
        }
    }
    world.tick(1_100_000.0);
    assert_eq!(world.sum("orchestrator_sessions_started_total"), 10_000.0);
    assert_eq!(world.sum("orchestrator_sessions_ended_total"), 10_000.0);
    assert_eq!(world.sum("orchestrator_sessions_active"), 0.0);
    let [rest @ .., names] = held(&world);
    assert_eq!(rest, [0; 7]);
    assert!(names <= MAX_ORPHANS, "{names}");
    for name in [
        "orchestrator_sessions_started_total",
        "orchestrator_sessions_active",
        "orchestrator_latency_fal_ms",
        "orchestrator_latency_barge_in_ms",
    ] {
        assert!(world.series(name) <= limits.models + 2, "{name}");
    }
}

#[test]
fn floods_stop_at_the_bounds() {
    let mut world = World::new();
    for n in 0..(MAX_SESSIONS as u64 + 10) {
        world.upgrade(n, n as f64);
    }
    assert_eq!(world.model.sessions.len(), MAX_SESSIONS);
    for n in 0..(MAX_STREAMS as u32 + 10) {
        world.call(call(2 * n + 1), 0.0, What::StreamOpened);
    }
    assert_eq!(world.model.streams.len(), MAX_STREAMS);
    for _ in 0..(MAX_UTTERANCES + 10) {
        world.text(1, 1.0, true);
    }
    for kind in ["orchestrator_session", "orchestrator_stream", "utterance"] {
        let refused = world.counter("voxprobe_state_refused_total", &[("kind", kind)]);
        assert_eq!(refused, 10.0, "{kind}");
    }
    world.model.handle_process_ended(ORCHESTRATOR, ms(1e6));
    assert_eq!(held(&world), [0; 8]);
}

#[test]
fn names_and_frames_stop_at_the_bounds() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    for n in 0..(MAX_NAMES + 10) {
        world.ask(10_000.0, &format!("s{n}"), "m");
    }
    assert!(held(&world)[7] <= MAX_NAMES);
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.text(1, 2.0, true);
    world.speak(1, 3.0, "ws-1");
    for i in 0..(MAX_PENDING_FRAMES as i64 + 10) {
        world.frame(1, 10.0, i + 1);
    }
    assert_eq!(world.model.pending_frames, 0, "given up");
    world.done(1, 20.0, OK);
    world.tick(5000.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
    assert_eq!(world.skipped("forwarding_drops", "unreadable"), 1.0);
}

/// A small generator (xorshift64), so that the same seed tells the same story.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[test]
fn senseless_orders_of_events_keep_the_books_balanced() {
    for seed in 1..=60_u64 {
        let mut world = World::with_worker();
        let mut random = Random(seed);
        let commands = [
            Command::Pause,
            Command::Resume,
            Command::Stop,
            Command::Unknown,
        ];
        for step in 0..400 {
            // Times jump back at times.
            let at = 10.0 * f64::from(step) + random.below(200) as f64;
            let (n, stream) = (random.below(5), 2 * random.below(6) as u32 + 1);
            let name = format!("ws-{}", random.below(4));
            let number = random.below(30) as i64 - 3;
            match random.below(21) {
                0 => world.connect(n, at, &name),
                1 => world.upgrade(n, at),
                2 | 3 => world.text(n, at, random.below(2) == 0),
                4 => world.command(n, at, commands[random.below(4) as usize]),
                5 | 6 => world.audio(n, at, number),
                7 => world.close(n, at, Origin::Client, Some(random.below(5000) as u16)),
                8 => world.end(n, at, ConnectionEnd::PeerClosed),
                9 => drop(world.ask(at, &name, "m")),
                10 => world.ask_end(at, &name),
                11 | 12 => world.chunk(stream, at, &name, random.below(2) == 0),
                13 | 14 => world.frame(stream, at, number),
                15 => world.done(
                    stream,
                    at,
                    [OK, CANCELLED, CallEnd::Unknown][(n % 3) as usize],
                ),
                16 => world.control((at, at + 3.0), &name, commands[random.below(4) as usize]),
                17 => world.fail(at, MethodRole::StartSession, &name, Failure::Refused),
                18 => world.at_worker(stream, at, What::Frame(frame(number))),
                19 => world.model.handle_speech(
                    ORCHESTRATOR,
                    ms(at),
                    [Speech::Started, Speech::Ended][(n % 2) as usize],
                ),
                _ => world.tick(at),
            }
        }
        world.model.handle_process_ended(ORCHESTRATOR, ms(1e5));
        world.tick(2e5);
        assert_eq!(held(&world), [0; 8], "seed {seed}");
        assert_eq!(world.sum("orchestrator_sessions_active"), 0.0);
        assert_eq!(
            world.sum("orchestrator_sessions_started_total"),
            world.sum("orchestrator_sessions_ended_total"),
            "seed {seed}"
        );
    }
}

#[test]
fn worker_sessions_that_nobody_ends_make_place_for_others() {
    let mut world = World::new();
    world.connect(0, 0.0, "ws-0");
    world.end(0, 1.0, ConnectionEnd::PeerClosed);
    for n in 0..(MAX_NAMES + 100) {
        world.ask(10_000.0, &format!("warm-up-{n}"), "m");
    }
    assert_eq!(held(&world)[7], MAX_ORPHANS);
    world.connect(1, 20_000.0, "ws-1");
    world.ask(20_001.0, "ws-1", "n");
    assert_eq!(world.started("n"), 1.0);
}
