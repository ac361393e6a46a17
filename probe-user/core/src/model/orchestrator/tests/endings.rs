use super::*;
use crate::interpret::ConnectionEnd as End;

/// A session of model `m`, ended by `end`, with its connection gone at last.
fn ended_by(settings: ModelSettings, end: impl FnOnce(&mut World)) -> World {
    let mut world = World::with(settings, Limits::default());
    world.connect(1, 10.0, "ws-1");
    world.ask(11.0, "ws-1", "m");
    assert_eq!(world.active("m"), Some(1.0));
    end(&mut world);
    // Whatever follows the first end counts no more.
    world.ask_end(99_000.0, "ws-1");
    world.close(1, 99_001.0, Origin::Server, Some(1011));
    world.end(1, 99_002.0, End::Reset);
    world
}

fn reason_of(end: impl FnOnce(&mut World)) -> String {
    reason_with(ModelSettings::default(), end)
}

fn reason_with(settings: ModelSettings, end: impl FnOnce(&mut World)) -> String {
    let world = ended_by(settings, end);
    assert_eq!(world.started("m"), 1.0);
    assert_eq!(world.active("m"), Some(0.0));
    assert_eq!(world.sum("orchestrator_sessions_ended_total"), 1.0);
    let metric = world
        .metric("orchestrator_sessions_ended_total", &[("model_id", "m")])
        .unwrap();
    let reason = metric
        .get_label()
        .iter()
        .find(|pair| pair.name() == "reason");
    reason.unwrap().value().to_owned()
}

fn said(reason: &str) -> impl FnOnce(&mut World) {
    let fields = ClientFields {
        reason: id(reason),
        ..ClientFields::default()
    };
    move |world| world.message(1, 50.0, Origin::Server, MessageKind::SessionEnded, fields)
}

#[test]
fn session_ends_for_the_first_of_several_reasons() {
    assert_eq!(reason_of(said("completed")), "normal");
    assert_eq!(reason_of(said("timeout")), "timeout");
    assert_eq!(reason_of(|w| w.ask_end(50.0, "ws-1")), "normal");
    assert_eq!(
        reason_of(|w| w.close(1, 50.0, Origin::Server, Some(1000))),
        "normal"
    );
    assert_eq!(
        reason_of(|w| w.close(1, 50.0, Origin::Client, Some(1000))),
        "normal"
    );
    assert_eq!(
        reason_of(|w| w.close(1, 50.0, Origin::Client, Some(1001))),
        "normal"
    );
    assert_eq!(
        reason_of(|w| w.close(1, 50.0, Origin::Client, None)),
        "client_disconnect"
    );
    assert_eq!(
        reason_of(|w| w.close(1, 50.0, Origin::Client, Some(4000))),
        "client_disconnect"
    );
    assert_eq!(
        reason_of(|w| w.end(1, 50.0, End::PeerClosed)),
        "client_disconnect"
    );
    assert_eq!(
        reason_of(|w| w.end(1, 50.0, End::Reset)),
        "client_disconnect"
    );
    assert_eq!(reason_of(|w| w.end(1, 50.0, End::LocallyClosed)), "normal");
    assert_eq!(reason_of(|w| w.end(1, 50.0, End::ProcessEnded)), "error");
    assert_eq!(reason_of(|w| w.end(1, 50.0, End::ProtocolError)), "error");
    assert_eq!(reason_of(|w| w.end(1, 50.0, End::Unknown)), "unknown");
    assert_eq!(
        reason_of(|w| w.model.handle_connection_closed(ws(1), ms(50.0))),
        "unknown"
    );
    for code in [1002, 1003, 1007, 1009, 1011, 1015] {
        assert_eq!(
            reason_of(|w| w.close(1, 50.0, Origin::Server, Some(code))),
            "error"
        );
    }
    assert_eq!(
        reason_of(|w| w.model.handle_process_ended(ORCHESTRATOR, ms(50.0))),
        "error"
    );
}

#[test]
fn close_after_an_unanswered_ping_is_a_timeout() {
    let what = ClientWhat::Closing {
        by: Origin::Server,
        code: Some(1011),
        keep_alive_timeout: true,
    };
    assert_eq!(reason_of(|w| w.client(1, 50.0, what)), "timeout");
}

#[test]
fn orderly_end_after_the_idle_limit_is_a_timeout() {
    let settings = ModelSettings {
        idle_timeout_ms: Some(5000),
        ..ModelSettings::default()
    };
    let close = |at| move |w: &mut World| w.close(1, at, Origin::Server, Some(1000));
    assert_eq!(reason_with(settings, close(4000.0)), "normal");
    assert_eq!(reason_with(settings, close(5011.0)), "timeout");
    let spoken = |w: &mut World| {
        w.text(1, 4000.0, true);
        w.end(1, 5011.0, End::LocallyClosed);
    };
    assert_eq!(reason_with(settings, spoken), "normal");
}

#[test]
fn session_without_a_known_model_counts_as_unknown_everywhere() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    assert_eq!(world.active("unknown"), Some(1.0));
    assert_eq!(world.started("unknown"), 0.0, "its model may yet be known");
    world.end(1, 10.0, End::PeerClosed);
    assert_eq!(world.started("unknown"), 1.0);
    assert_eq!(world.ended("unknown", "client_disconnect"), 1.0);
    assert_eq!(world.active("unknown"), Some(0.0));
}

#[test]
fn session_that_waits_long_for_its_model_is_started_as_unknown_and_stays_so() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.tick(29_000.0);
    assert_eq!(world.started("unknown"), 0.0);
    world.tick(30_001.0);
    assert_eq!(world.started("unknown"), 1.0);
    world.text(1, 40_000.0, true);
    world.ask(40_001.0, "ws-1", "m");
    assert_eq!(world.active("unknown"), Some(1.0));
    world.end(1, 50_000.0, End::PeerClosed);
    assert_eq!(world.ended("unknown", "client_disconnect"), 1.0);
    assert_eq!(world.sum("orchestrator_sessions_started_total"), 1.0);
    assert_eq!(world.sum("orchestrator_sessions_active"), 0.0);
}

#[test]
fn session_moves_from_unknown_to_its_model() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(5.0, "ws-1", "m");
    assert_eq!(world.active("unknown"), Some(0.0));
    assert_eq!(world.active("m"), Some(1.0));
    assert_eq!(world.started("m"), 1.0);
    assert_eq!(world.started("unknown"), 0.0);
}

#[test]
fn connection_that_only_got_an_error_is_no_session() {
    let mut world = World::new();
    world.upgrade(1, 0.0);
    assert_eq!(
        world.gauge("orchestrator_websocket_connections_active", &[]),
        Some(1.0)
    );
    world.error(1, 1.0, "INTERNAL_ERROR");
    world.close(1, 2.0, Origin::Server, Some(1011));
    world.end(1, 3.0, End::LocallyClosed);
    assert_eq!(world.sum("orchestrator_sessions_started_total"), 0.0);
    assert_eq!(world.sum("orchestrator_sessions_ended_total"), 0.0);
    assert_eq!(
        world.gauge("orchestrator_websocket_connections_active", &[]),
        Some(0.0)
    );
}

#[test]
fn session_older_than_the_probe_is_active_and_ends_but_did_not_start() {
    let mut world = World::new();
    world.client(1, 0.0, ClientWhat::Upgraded { requested: None });
    assert_eq!(world.active("unknown"), Some(1.0));
    assert_eq!(
        world.counter("orchestrator_websocket_messages_received_total", &[]),
        0.0
    );
    world.end(1, 10.0, End::PeerClosed);
    assert_eq!(world.sum("orchestrator_sessions_started_total"), 0.0);
    assert_eq!(world.ended("unknown", "client_disconnect"), 1.0);
    assert_eq!(world.active("unknown"), Some(0.0));
}

#[test]
fn second_session_on_one_connection_counts_anew() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    said("completed")(&mut world);
    world.told(1, 60.0, "ws-2");
    world.ask(61.0, "ws-2", "n");
    assert_eq!(world.active("m"), Some(0.0));
    assert_eq!(world.active("n"), Some(1.0));
    world.end(1, 70.0, End::PeerClosed);
    assert_eq!(world.ended("m", "normal"), 1.0);
    assert_eq!(world.ended("n", "client_disconnect"), 1.0);
}
