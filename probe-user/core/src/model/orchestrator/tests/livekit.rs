use super::*;

#[test]
fn sessions_without_clients_are_counted_from_start_to_end() {
    let mut world = World::new();
    world.ask(0.0, "a", "m");
    world.ask(1.0, "b", "m");
    world.ask(2.0, "b", "m");
    let labels = [("transport", "livekit"), ("model_id", "m")];
    assert_eq!(
        world.gauge("orchestrator_sessions_active", &labels),
        Some(2.0)
    );
    assert_eq!(
        world.counter("orchestrator_sessions_started_total", &labels),
        2.0
    );
    world.ask_end(10.0, "a");
    world.ask_end(11.0, "a");
    world.fail(12.0, MethodRole::StartSession, "b", Failure::Refused);
    assert_eq!(world.ended("m", "normal"), 1.0);
    assert_eq!(world.ended("m", "error"), 1.0);
    assert_eq!(world.errors("model_not_found"), 1.0);
    assert_eq!(
        world.gauge("orchestrator_sessions_active", &labels),
        Some(0.0)
    );
    assert!(world.model.sessions.is_empty());
}

#[test]
fn sessions_end_with_their_worker_or_their_process() {
    let mut world = World::new();
    world.ask(0.0, "a", "m");
    world
        .model
        .handle_connection_closed(ConnectionId(CHANNEL), ms(5.0));
    assert_eq!(world.ended("m", "error"), 1.0);
    world.ask(6.0, "b", "m");
    world.model.handle_process_ended(ORCHESTRATOR, ms(7.0));
    assert_eq!(world.ended("m", "error"), 2.0);
    assert_eq!(world.active("m"), Some(0.0));
    assert!(world.model.sessions.is_empty() && world.model.processes.is_empty());
}

#[test]
fn latency_counts_from_the_last_text_to_the_first_frame() {
    let mut world = World::new();
    world.ask(0.0, "a", "m");
    world
        .model
        .handle_speech(ORCHESTRATOR, ms(5.0), Speech::Ended);
    world.chunk(1, 10.0, "a", false);
    world.chunk(1, 30.0, "a", true);
    for i in 1..=3 {
        world.frame(1, 60.0 + 20.0 * i as f64, i);
    }
    assert_eq!(world.fal("m"), (1, 50.0));
    assert_eq!(world.e2e("livekit"), (1, 75.0));
    world.done(1, 200.0, OK);
    world.tick(5000.0);
    assert_eq!(world.sum("worker_audio_frame_drops_total"), 0.0);
    assert_eq!(world.sum("voxprobe_observations_skipped_total"), 0.0);
}

#[test]
fn barge_in_is_seen_without_a_client() {
    let mut world = World::new();
    world.ask(0.0, "a", "m");
    world.speak(1, 10.0, "a");
    world.frame(1, 20.0, 1);
    world
        .model
        .handle_speech(ORCHESTRATOR, ms(30.0), Speech::Started);
    world.control((40.0, 45.0), "a", Command::Pause);
    world.frame(1, 50.0, 2);
    world.control((51.0, 52.0), "a", Command::Stop);
    world.done(1, 53.0, OK);
    assert_eq!(world.barge_in("vad"), (1, 22.0));
}

#[test]
fn transport_can_be_configured() {
    let settings = |transport| ModelSettings {
        transport,
        ..ModelSettings::default()
    };
    let mut world = World::with(settings(TransportSetting::WebSocket), Limits::default());
    world.ask(0.0, "a", "m");
    assert_eq!(world.sum("orchestrator_sessions_started_total"), 0.0);
    let mut world = World::with(settings(TransportSetting::LiveKit), Limits::default());
    world.connect(1, 0.0, "ws-1");
    world.ask(0.0, "a", "m");
    let labels = [("transport", "livekit")];
    assert_eq!(
        world.counter("orchestrator_sessions_started_total", &labels),
        1.0
    );
}

#[test]
fn process_that_served_a_client_once_is_no_agent() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.end(1, 1.0, ConnectionEnd::PeerClosed);
    world.ask(10.0, "warm-up", "m");
    let labels = [("transport", "livekit")];
    assert_eq!(
        world.counter("orchestrator_sessions_started_total", &labels),
        0.0
    );
}

#[test]
fn silent_session_ends_at_the_idle_limit() {
    let settings = ModelSettings {
        idle_timeout_ms: Some(5000),
        ..ModelSettings::default()
    };
    let mut world = World::with(settings, Limits::default());
    world.ask(0.0, "a", "m");
    world.speak(1, 1000.0, "a");
    world.frame(1, 2000.0, 1);
    world.tick(6900.0);
    assert_eq!(world.active("m"), Some(1.0));
    world.tick(7000.0);
    assert_eq!(world.ended("m", "timeout"), 1.0);
    world.ask_end(8000.0, "a");
    assert_eq!(world.sum("orchestrator_sessions_ended_total"), 1.0);
}
