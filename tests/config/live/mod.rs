//! Real Prometheus and Alertmanager, with the shipped files, on a live agent that watches a voice
//! system with a fault. Every duration is a twentieth, so that minutes become seconds.

mod guide;
pub(crate) mod http;
mod pictures;
mod scale;
mod series;
pub(crate) mod servers;
mod voice;

use std::time::{Duration, SystemTime};

use probe_tests::lab::Lab;
use probe_tests::process::eventually;
use probe_tests::skip::unprivileged;

use self::http::Webhook;
use self::servers::Server;
use self::voice::{GPU_MEMORY, Voice, WORKER};
use super::metrics::AGENT;

/// The alert that the fault is about.
const JITTER: &str = "HighFrameJitter";

/// The p95 that the alerts read.
const P95: &str = "instance_worker:worker_audio_frame_jitter_ms:p95_rate5m";

/// How long a state may take to come: windows and waits of 15 s each, and a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// Most milliseconds by which a frame is sent early or late: two frames of 20 ms then stay apart, and
/// the p95 of the distance from 20 ms is beyond the objective's 10 ms.
const FAULT_MS: &str = "18";

/// Notes every state that an alert goes through.
struct Watcher<'a> {
    server: &'a Server,
    seen: Vec<String>,
}

impl Watcher<'_> {
    fn look(&mut self) -> &str {
        let state = self.server.state(JITTER);
        if self.seen.last() != Some(&state) {
            self.seen.push(state);
        }
        self.seen.last().expect("it was just noted")
    }
}

#[test]
fn jitter_alert_goes_from_pending_over_firing_and_a_webhook_to_resolved() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let slack = Webhook::listen();
    let Some(alertmanager) = servers::alertmanager(&lab, &slack.url()) else {
        return;
    };
    let Some(mut voice) = Voice::start(&lab, GPU_MEMORY) else {
        return;
    };
    let since = SystemTime::now();
    let agent = voice.probe.address();
    let Some(prometheus) = servers::prometheus(&lab, agent, alertmanager.address) else {
        return;
    };
    let mut ours = Watcher {
        server: &prometheus,
        seen: Vec::new(),
    };

    // Well.
    let p95 = || prometheus.query(P95).first().map(|(_, value)| *value);
    let is_well = || p95().is_some_and(|value| value < 10.0);
    assert!(
        eventually(SOON, is_well),
        "p95 without a fault: {:?}",
        p95()
    );
    let calm = eventually(SOON, || ours.look() == "inactive");
    assert!(calm, "{:?}", ours.seen);
    ours.seen = vec!["inactive".to_owned()];

    // Ill.
    voice.trouble();
    voice.fault(&["jitter", FAULT_MS]);
    let fires = eventually(SOON, || ours.look() == "firing");
    assert!(fires, "{:?}, p95 {:?}", ours.seen, p95());
    let firing = [
        "[FIRING] HighFrameJitter",
        WORKER,
        "runbooks/HighFrameJitter.md",
    ];
    let told = eventually(SOON, || !slack.messages(&firing).is_empty());
    assert!(told, "no message: {}", alertmanager.log());

    // Meanwhile everything is asked that a rule or a dashboard asks.
    series::list(&prometheus);
    assert_eq!(prometheus.broken_rules(), Vec::<String>::new());
    let scrape = voice.probe.scrape();
    for (name, labels) in AGENT {
        let sample = scrape.series(name, &[]).next();
        let sample = sample.unwrap_or_else(|| panic!("the agent does not export {name}"));
        let has: Vec<_> = sample.labels.keys().map(String::as_str).collect();
        assert_eq!(has, labels, "{name}");
    }

    // Well again.
    voice.fault(&["clear"]);
    let over = eventually(SOON, || ours.look() == "inactive");
    assert!(over, "{:?}, p95 {:?}", ours.seen, p95());
    let resolved = ["[RESOLVED] HighFrameJitter", WORKER];
    let told = eventually(SOON, || !slack.messages(&resolved).is_empty());
    assert!(told, "no message: {}", alertmanager.log());
    assert_eq!(ours.seen, ["inactive", "pending", "firing", "inactive"]);

    pictures::draw(&lab, &prometheus, since);

    // The worker dies, then the agent.
    let fires = |alert: &str| eventually(SOON, || prometheus.state(alert) == "firing");
    assert_eq!(prometheus.state("WorkerUnavailable"), "inactive");
    voice.kill_worker();
    assert!(fires("WorkerUnavailable"), "{:?}", voice.probe.log());
    let gone = prometheus.query("ALERTS{alertname=\"WorkerUnavailable\"}");
    assert!(
        gone.iter().any(|(labels, _)| labels["worker"] == WORKER),
        "{gone:?}"
    );
    assert_eq!(prometheus.state("VoxprobeDown"), "inactive");
    voice.probe.stop();
    assert!(fires("VoxprobeDown"));
}
