//! Connections that pass from process to process, processes that become others, and ids that are given
//! again: every byte is the right connection's, once, or nobody's.

use std::process::Command;

use probe_core::record::{Joined, Side};
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::{Probe, SETTLE, assert_lossless};
use probe_tests::process::Process;
use probe_tests::skip::unprivileged;

use crate::observation::{Observation, PEER, seen};

/// How the servers' ends that moved bytes were joined; everything else is as the peer says.
#[track_caller]
fn assert_served(scenario: &str, joined: Joined) {
    assert_told(scenario, |_| joined);
}

/// The same, of what the probe can tell.
#[track_caller]
fn assert_told(scenario: &str, joined: impl FnOnce(&Observation) -> Joined) {
    if unprivileged() {
        return;
    }
    let observation = Observation::of(scenario);
    let joined = joined(&observation);
    observation.assert_complete();
    assert_lossless(&observation.metrics);
    let mut served = 0;
    for (report, opened) in observation.connections() {
        if report.side == Side::Server && report.received > 0 {
            assert_eq!(opened.joined, joined, "{opened:?}");
            served += 1;
        }
    }
    assert!(served > 0, "somebody serves");
}

#[test]
fn child_that_is_forked_for_a_connection_serves_it_from_its_first_byte() {
    assert_served("fork_server", Joined::FromStart);
}

#[test]
fn children_that_share_a_listener_are_told_apart() {
    assert_served("prefork", Joined::FromStart);
}

#[test]
fn connection_at_descriptors_0_and_1_is_one_connection() {
    assert_served("stdio", Joined::FromStart);
}

#[test]
fn program_that_is_executed_with_a_connection_at_descriptors_0_and_1_has_one_joined_late() {
    assert_served("stdio_of_a_program", Joined::Late);
}

#[test]
fn descriptor_received_in_a_message_is_a_connection_joined_late() {
    // By its socket it is known from its first byte on, whoever accepted it.
    assert_told("passed", |observation| {
        if observation.sees_sockets {
            Joined::FromStart
        } else {
            Joined::Late
        }
    });
}

#[test]
fn number_closed_under_a_reader_gives_its_next_connection_no_byte_of_the_old_one() {
    assert_served("closed_under_a_reader", Joined::FromStart);
}

#[test]
fn connection_that_outlives_its_program_is_joined_late_by_the_next_one() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("executes_itself");
    observation.assert_complete();
    let connections = observation.connections();
    let joined = |late: Joined| {
        let alike = connections
            .iter()
            .filter(|(_, opened)| opened.joined == late);
        alike.count()
    };
    assert_eq!((joined(Joined::FromStart), joined(Joined::Late)), (2, 2));
}

#[test]
fn process_that_gets_the_id_of_a_watched_one_is_not_watched() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let peer = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_socket-peer"));
        Process::start(command.args(arguments), &lab.fresh("peer.err"))
    };
    let watched = peer(&["every_call"]);
    assert_eq!(watched.line(PEER), "ready");
    let id = watched.pid();
    let probe = Probe::watch(&lab, &[id], &[]);
    // It is killed and waited for; its id is free from then on.
    drop(watched);
    let mut stranger = peer(&["with-id", &id.to_string(), "every_call"]);
    assert_eq!(stranger.line(PEER), "ready");
    stranger.tell("go");
    let moved = stranger.line(PEER);
    assert!(moved.contains("received"), "{moved}");
    let nobody = |scrape: &Exposition| {
        scrape.sum("voxprobe_watched_processes", &[("role", "worker")]) == 0.0
    };
    let scrape = probe.scrape_until(SETTLE, nobody);
    assert!(nobody(&scrape), "{}", probe.log());
    assert!(stranger.wait(PEER).success());
    let last = probe.stop();
    assert_eq!(seen(&last), 0, "nothing of the stranger is seen");
    assert_lossless(&last);
}
