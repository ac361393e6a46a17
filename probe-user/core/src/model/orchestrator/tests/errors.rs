use super::*;

fn world() -> World {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world
}

#[test]
fn errors_told_to_clients_count_by_code() {
    let mut world = world();
    for code in [
        "INTERNAL_ERROR",
        "INVALID_MESSAGE",
        "WORKER_UNAVAILABLE",
        "SYNTHESIS_FAILED",
        "CONNECTION_ERROR",
        "MODEL_NOT_FOUND",
        "SYNTHESIS_TIMEOUT",
    ] {
        world.error(1, 10.0, code);
    }
    assert_eq!(world.errors("internal"), 4.0);
    assert_eq!(world.errors("worker_unavailable"), 1.0);
    assert_eq!(world.errors("model_not_found"), 1.0);
    assert_eq!(world.errors("timeout"), 1.0);
}

#[test]
fn failed_calls_count_by_status() {
    let refused = Failure::Refused;
    let status = |code| Failure::Ended(CallEnd::Status(Some(code)));
    let start = MethodRole::StartSession;
    for (method, failure, kind) in [
        (start, status(14), "worker_unavailable"),
        (start, status(5), "model_not_found"),
        (start, refused, "model_not_found"),
        (start, status(4), "timeout"),
        (start, status(13), "internal"),
        (MethodRole::Control, status(5), "internal"),
        (MethodRole::Control, refused, "internal"),
        (
            start,
            Failure::Ended(CallEnd::Reset {
                code: 7,
                by: Origin::Server,
            }),
            "worker_unavailable",
        ),
    ] {
        let mut world = world();
        world.fail(5.0, method, "ws-1", failure);
        assert_eq!(world.errors(kind), 1.0, "{method:?} {failure:?}");
        assert_eq!(world.sum("orchestrator_session_errors_total"), 1.0);
    }
}

#[test]
fn calls_that_were_cancelled_or_went_well_are_no_errors() {
    let mut world = world();
    world.text(1, 2.0, true);
    for (n, end) in [
        (1, OK),
        (3, CANCELLED),
        (5, CallEnd::Status(Some(1))),
        (7, CallEnd::Status(None)),
        (9, CallEnd::Refused),
        (11, CallEnd::ConnectionClosed),
    ] {
        world.speak(n, 10.0, "ws-1");
        world.done(n, 20.0, end);
    }
    assert_eq!(world.sum("orchestrator_session_errors_total"), 0.0);
}

#[test]
fn failure_that_the_client_is_told_of_counts_once() {
    let mut world = world();
    world.text(1, 2.0, true);
    world.speak(1, 3.0, "ws-1");
    world.done(1, 4.0, CallEnd::Status(Some(14)));
    world.error(1, 5.0, "WORKER_UNAVAILABLE");
    assert_eq!(world.errors("worker_unavailable"), 1.0);
    // The next message tells of something else.
    world.error(1, 6.0, "INTERNAL_ERROR");
    assert_eq!(world.errors("internal"), 1.0);
}

#[test]
fn worker_that_ends_the_connection_fails_each_session_once() {
    let mut world = World::with_worker();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world.connect(2, 2.0, "ws-2");
    world.ask(3.0, "ws-2", "m");
    for (n, session) in [(1, "ws-1"), (3, "ws-1"), (5, "ws-2")] {
        world.speak(n, 10.0, session);
    }
    world.model.handle_connection_lost(ConnectionId(CHANNEL));
    for n in [1, 3, 5] {
        world.done(n, 20.0, CallEnd::ConnectionClosed);
    }
    world
        .model
        .handle_connection_closed(ConnectionId(CHANNEL), ms(20.0));
    assert_eq!(world.errors("worker_unavailable"), 2.0);
    assert_eq!(
        world.active("m"),
        Some(2.0),
        "their clients are still there"
    );
}

fn refuse(world: &mut World, at: f64, peer: &str) {
    let peer = peer.parse().unwrap();
    world
        .model
        .handle_connect_failed(ORCHESTRATOR, peer, ms(at));
}

#[test]
fn worker_that_cannot_be_reached_counts_once_until_it_can() {
    let mut world = World::with_worker();
    // Another address family of the same worker, tried over and over.
    for at in [10.0, 11.0, 1000.0, 3000.0, 60_000.0] {
        refuse(&mut world, at, "[::1]:7001");
        world.tick(at);
    }
    world.tick(70_000.0);
    assert_eq!(world.errors("worker_unavailable"), 1.0);
    refuse(&mut world, 80_000.0, "127.0.0.1:9999");
    world.tick(90_000.0);
    assert_eq!(world.errors("worker_unavailable"), 1.0, "that is no worker");
}

#[test]
fn refused_connect_that_the_client_is_told_of_counts_once() {
    let mut world = World::with_worker();
    world.connect(1, 0.0, "ws-1");
    refuse(&mut world, 10.0, "127.0.0.1:7001");
    world.error(1, 20.0, "WORKER_UNAVAILABLE");
    world.tick(60_000.0);
    assert_eq!(world.errors("worker_unavailable"), 1.0);
    // It comes back, and goes away again.
    world.ask(61_000.0, "ws-1", "m");
    refuse(&mut world, 62_000.0, "127.0.0.1:7001");
    world.tick(70_000.0);
    assert_eq!(world.errors("worker_unavailable"), 2.0);
}

#[test]
fn model_that_the_worker_has_served_is_not_what_it_refuses() {
    let mut world = World::with_worker();
    world.connect(1, 0.0, "ws-1");
    let (call, model) = (world.ask(1.0, "ws-1", "m"), id("m"));
    let session = id("ws-1");
    world.call(call, 2.0, What::SessionStarted { session, model });
    world.connect(2, 10.0, "ws-2");
    world.ask(11.0, "ws-2", "m");
    world.fail(12.0, MethodRole::StartSession, "ws-2", Failure::Refused);
    assert_eq!(world.errors("internal"), 1.0);
    assert_eq!(world.errors("model_not_found"), 0.0);
}

#[test]
fn session_refused_by_the_worker_may_be_asked_for_again() {
    let mut world = World::new();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "grpc-a", "m");
    world.fail(2.0, MethodRole::StartSession, "grpc-a", Failure::Refused);
    world.text(1, 10.0, true);
    world.ask(11.0, "grpc-b", "n");
    world.speak(1, 12.0, "grpc-b");
    world.relay(1, 1, 59.5, 1);
    assert_eq!(world.errors("model_not_found"), 1.0);
    assert_eq!(world.fal("n"), (1, 50.0));
}
