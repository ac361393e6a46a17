//! What the eBPF programs make of every way to use a socket: a purpose-written peer says how many
//! bytes each end of each of its connections moved, and the capture must hold exactly these.

use probe_core::record::{Address, Direction, GapReason, Side, Wait};
use probe_tests::capture::Stream;
use probe_tests::lab::Lab;
use probe_tests::probe::assert_lossless;
use probe_tests::skip::{skip, unbegun, unprivileged, unscheduled};
use probe_tests::traffic::{FIRST_SEND_BYTES, client_opening, filler};

use crate::observation::Observation;

fn assert_exact(scenario: &str) {
    if unprivileged() {
        return;
    }
    let observation = Observation::of(scenario);
    observation.assert_complete();
    assert_lossless(&observation.metrics);
}

/// What each client sent.
fn sent_by_clients(observation: &Observation) -> Vec<Stream<'_>> {
    let connections = observation.connections();
    let clients = connections
        .iter()
        .filter(|(report, _)| report.side == Side::Client);
    clients
        .map(|(_, opened)| {
            observation
                .capture
                .stream(opened.connection, Direction::Sent)
        })
        .collect()
}

#[test]
fn every_call_that_moves_bytes_is_seen() {
    assert_exact("every_call");
}

#[test]
fn partial_and_refused_writes_advance_by_what_the_kernel_took() {
    assert_exact("partial_writes");
}

#[test]
fn peeks_and_empty_calls_do_not_advance_the_stream() {
    assert_exact("nothing_moved");
}

#[test]
fn threads_on_one_socket_share_one_stream() {
    assert_exact("threads");
}

#[test]
fn first_send_in_pieces_keeps_its_bytes_while_another_thread_receives() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("first_send_in_pieces");
    observation.assert_complete();
    assert_lossless(&observation.metrics);
    let expected = [client_opening(), filler(FIRST_SEND_BYTES)].concat();
    let streams = sent_by_clients(&observation);
    assert_eq!(streams.len(), 2);
    for sent in streams {
        // Of a frame its header is kept: of bytes from another place other nine would be, or none.
        let kept = sent.bytes();
        let is_kept = |at: usize| kept[at..at + 9] == expected[at..at + 9];
        let mut at = client_opening().len();
        while at < expected.len() {
            assert!(is_kept(at), "the frame at {at} is another one");
            let [high, middle, low] = [0, 1, 2].map(|index| usize::from(expected[at + index]));
            at += 9 + (high << 16 | middle << 8 | low);
        }
    }
}

#[test]
fn send_that_waits_for_room_is_told_from_its_entry() {
    /// Of the peer's 300 ms; an emulated machine may be slow.
    const LONG_NS: u64 = 100_000_000;
    if unprivileged() {
        return;
    }
    let observation = Observation::of("send_that_waits");
    observation.assert_complete();
    assert_lossless(&observation.metrics);
    if observation.sees_sockets && !observation.sees_rings && unbegun() {
        return;
    }
    let streams = sent_by_clients(&observation);
    let sent = streams.first().expect("the client's end");
    let last = sent.chunks.last().expect("chunks");
    let took = last.exit.since(last.enter);
    assert!(took >= LONG_NS, "it took {took} ns: {last:?}");
}

#[test]
fn duplicated_descriptor_keeps_its_connection_until_the_last_is_closed() {
    assert_exact("duplicates");
}

#[test]
fn reused_descriptor_is_a_new_connection() {
    assert_exact("reused_descriptors");
}

#[test]
fn unix_sockets_are_streams() {
    assert_exact("unix");
}

#[test]
fn what_io_uring_moves_is_seen_where_functions_are_hooked() {
    if unprivileged() {
        return;
    }
    let disabled = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled");
    if disabled.is_ok_and(|text| text.trim() != "0") {
        return skip("kernel.io_uring_disabled: nobody may use io_uring");
    }
    let observation = Observation::of("ring");
    if !observation.sees_rings {
        return skip("only hooks at functions see io_uring");
    }
    observation.assert_complete();
    assert_lossless(&observation.metrics);
}

#[test]
fn sockets_of_another_network_namespace_are_streams() {
    assert_exact("other_network");
}

#[test]
fn child_that_accepts_from_an_inherited_listener_is_watched() {
    assert_exact("inherited_listener");
}

#[test]
fn connection_accepted_by_a_call_older_than_the_probe_is_known_from_its_start() {
    assert_exact("waiting_accept");
}

#[test]
fn many_vectors_are_captured_as_far_as_one_capture_goes() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("many_vectors");
    observation.assert_complete();
}

#[test]
fn message_beyond_the_capture_limit_is_a_counted_gap_and_the_stream_resumes() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("large_message");
    observation.assert_complete();
    let limit = [("reason", "capture_limit")];
    let gaps = observation
        .metrics
        .sum("voxprobe_stream_gaps_total", &limit);
    let losses = observation
        .metrics
        .sum("voxprobe_kernel_losses_total", &limit);
    assert!(gaps >= 1.0 && losses >= 1.0, "{gaps} gaps, {losses} losses");
    let streams = sent_by_clients(&observation);
    let sent = streams.first().expect("the client's end");
    let gap = sent.left_out(GapReason::CaptureLimit);
    assert!(
        (1..2_000_000).contains(&gap),
        "{gap} bytes beyond the limit"
    );
    let last = sent.chunks.last().expect("chunks");
    let whole = last
        .holes
        .iter()
        .all(|hole| hole.reason == GapReason::Elided);
    assert!(whole, "what follows is captured again: {last:?}");
}

#[test]
fn thread_that_waits_for_bytes_is_told_to_wait_in_a_receive() {
    /// Of the peer's 200 ms; an emulated machine may be slow to begin to wait.
    const LONG_NS: u64 = 50_000_000;
    if unprivileged() || unscheduled() {
        return;
    }
    let lab = Lab::new();
    let config = lab.write("voxprobe.toml", "[diagnosis]\nenabled = true\n");
    let config = config.to_string_lossy();
    let observation = Observation::with("blocked_receives", &["--config", &config]);
    observation.assert_complete();
    let connections = observation.connections();
    let server = connections
        .iter()
        .find(|(report, _)| report.side == Side::Server);
    let (_, server) = server.expect("the server's end");
    let stream = observation
        .capture
        .stream(server.connection, Direction::Received);
    let receiver = stream.chunks.last().expect("chunks").tid;
    let waits = observation.capture.sched.iter().filter(|sched| {
        sched.tid == receiver
            && sched.wait == Wait::Receive
            && sched.wake.since(sched.off) >= LONG_NS
    });
    assert_eq!(waits.count(), 5, "one in each receiving call");
}

#[test]
fn addresses_of_dual_stack_listeners_are_canonical() {
    if unprivileged() {
        return;
    }
    let observation = Observation::of("addresses");
    observation.assert_complete();
    let connections = observation.connections().into_iter();
    let servers = connections.filter(|(report, _)| report.side == Side::Server);
    let families: Vec<bool> = servers
        .map(|(_, opened)| match &opened.peer {
            Some(Address::Inet(peer)) => peer.is_ipv4(),
            other => panic!("the peer is {other:?}"),
        })
        .collect();
    assert_eq!(families, [true, false]);
}
