//! Traces to a collector by TLS: whose certificate leads to the authority that is trusted, and whose does not.

use probe_tests::authority::Authority;
use probe_tests::collector::{Collector, Protocol};
use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::probe::assert_lossless;
use probe_tests::process::eventually;
use probe_tests::skip::unprivileged;

use super::{EXPORTED, Scene, TREE, assert_utterance_at};

/// Settings of traces to this collector, whose certificate has to lead to this authority.
fn trusting(lab: &Lab, collector: &Collector, authority: &Authority) -> String {
    lab.write("authority.pem", authority.pem());
    collector.settings() + "ca_file = \"authority.pem\"\n"
}

fn assert_utterance_by_tls(protocol: Protocol) {
    if unprivileged() {
        return;
    }
    let (lab, authority) = (Lab::new(), Authority::new());
    let collector = Collector::secure(protocol, &authority);
    let traces = trusting(&lab, &collector, &authority);
    assert_utterance_at(&lab, &collector, &traces);
    assert_eq!(collector.refusals(), 0, "every handshake succeeds");
}

#[test]
fn utterance_is_the_guides_tree_at_a_collector_by_grpc_and_tls() {
    assert_utterance_by_tls(Protocol::Grpc);
}

#[test]
fn utterance_is_the_guides_tree_at_a_collector_by_http_and_tls() {
    assert_utterance_by_tls(Protocol::Http);
}

#[test]
fn collector_that_is_not_trusted_gets_nothing_and_costs_counted_spans() {
    if unprivileged() {
        return;
    }
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let lab = Lab::new();
        let collector = Collector::secure(protocol, &Authority::new());
        // Another authority of the same name.
        let traces = trusting(&lab, &collector, &Authority::new());
        // Room for one trace that is tried again and again, and for one that waits.
        let scene = Scene::start(&lab, &format!("{traces}queue = 6\nbatch = 6"), &[]);
        scene.talk(&lab, &["--sessions", "2", "--utterances", "2"]);
        let told = |scrape: &Exposition| scrape.sum("voxprobe_traces_total", &[]) >= 4.0;
        scene.probe.scrape_until(EXPORTED, told);
        let tried = || collector.refusals() > 1;
        assert!(eventually(EXPORTED, tried), "it is tried again");
        let log = scene.probe.log();
        let lines = log
            .lines()
            .filter(|it| it.contains("traces are not exported"));
        let lines: Vec<_> = lines.collect();
        let [line] = lines.as_slice() else {
            panic!("told once: {log}");
        };
        for word in ["WARNING", "invalid peer certificate", "https://localhost"] {
            assert!(line.contains(word), "{protocol:?}: no {word}: {line}");
        }
        let last = scene.probe.stop();
        assert_lossless(&last);
        assert_eq!(last.sum("orchestrator_latency_fal_ms_count", &[]), 4.0);
        let dropped = last.by_label("voxprobe_trace_spans_dropped_total", "reason");
        let spans = TREE.len() as u64;
        assert_eq!(dropped["queue_full"], 2 * spans, "one is tried, one waits");
        assert_eq!(last.sum("voxprobe_trace_spans_exported_total", &[]), 0.0);
        assert_eq!((collector.requests(), collector.spans().len()), (0, 0));
    }
}
