//! The guide's alerts, copied from its text with no edit, in a real Prometheus that scrapes a live agent: each
//! fires on the fault it is about, or this says why it cannot.
//!
//! Names, expressions, labels and annotations are the guide's byte for byte, ranges of five minutes included. Only
//! how long an alert waits (`for`) and how often it is asked (`interval`) is a twentieth.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use probe_tests::lab::Lab;
use probe_tests::process::eventually;
use probe_tests::skip::unprivileged;
use serde_json::Value;

use super::servers::{self, Server};
use super::voice::{FULL_GPU_MEMORY, SLOW, Voice, WORKER};
use super::{FAULT_MS, SOON};
use crate::rules::{guide, read};

/// How long a series may take to come.
const SEEN: Duration = Duration::from_secs(30);

/// Between two faults of those that happen once: 0.1 failures a second over five minutes are thirty, which come
/// in a quarter of a minute.
const BETWEEN: Duration = Duration::from_millis(500);

/// An alert of the guide that can fire on nothing that voxprobe exports.
struct Mute {
    alert: &'static str,
    /// What shows that its fault is there all the same.
    fault: &'static str,
    why: &'static str,
}

const GPU: Mute = Mute {
    alert: "GPUMemoryExhaustion",
    fault: "worker_gpu_memory_used_bytes / on (instance, gpu_id) group_left () worker_gpu_memory_total_bytes > 0.95",
    why: "the guide's catalogue gives the label `worker` to the used bytes and not to the total, so that its \
          division matches nothing",
};

const GONE: Mute = Mute {
    alert: "WorkerUnavailable",
    fault: "voxprobe_watched_processes{role=\"worker\"} == 0",
    why: "it asks for the scrape of a worker's own endpoint (job `tts-workers`), and a scrape of voxprobe says \
          nothing of one worker",
};

fn mute(alert: &str) -> Option<Mute> {
    [GPU, GONE].into_iter().find(|mute| mute.alert == alert)
}

/// What is compared in an expression that compares something with a number.
fn compared(expression: &str) -> &str {
    let (compared, _) = expression.rsplit_once(['>', '=']).expect("a comparison");
    compared.trim_end_matches(['=', ' '])
}

/// Everything each alert went through.
#[derive(Default)]
struct Story(BTreeMap<String, Vec<(String, Duration)>>);

impl Story {
    /// Notes the states now; `since` is when the faults began.
    fn note(&mut self, prometheus: &Server, alerts: &[String], since: Instant) {
        for alert in alerts {
            let state = prometheus.state(alert);
            let seen = self.0.entry(alert.clone()).or_default();
            if seen.last().is_none_or(|(last, _)| *last != state) {
                seen.push((state, since.elapsed()));
            }
        }
    }

    fn states(&self, alert: &str) -> Vec<&str> {
        let seen = self.0.get(alert).into_iter().flatten();
        seen.map(|(state, _)| state.as_str()).collect()
    }
}

#[test]
#[allow(
    clippy::print_stdout,
    reason = "what fired, when, and why others cannot"
)]
fn guides_alerts_word_for_word_fire_on_the_faults_they_are_about() {
    if unprivileged() {
        return;
    }
    let lab = Lab::new();
    let Some(mut voice) = Voice::start(&lab, FULL_GPU_MEMORY) else {
        return;
    };
    let Some(prometheus) = servers::prometheus_of_guide(&lab, voice.probe.address()) else {
        return;
    };
    let rules = read(&guide("alerts.yml"));
    let alerts: Vec<_> = rules
        .iter()
        .map(|rule| rule.name.text().to_owned())
        .collect();
    let seen = |query: &str| eventually(SEEN, || !prometheus.query(query).is_empty());

    // Well, but for the GPU that is full from the start: everything that alerts read is there.
    for series in [
        "orchestrator_latency_fal_ms_count > 10",
        "orchestrator_latency_barge_in_ms_count > 5",
        "worker_audio_frame_jitter_ms_count{pacing=\"paced\"} > 500",
        "sum(redis_command_latency_ms_count) > 50",
    ] {
        assert!(seen(series), "no {series}: {}", voice.probe.log());
    }
    for alert in &alerts {
        assert_eq!(
            prometheus.state(alert),
            "inactive",
            "{alert}, without a fault"
        );
    }

    // Ill.
    let mut story = Story::default();
    let since = Instant::now();
    let firing = |alert: &String| prometheus.state(alert) == "firing";
    let all_fire = || {
        alerts
            .iter()
            .filter(|alert| mute(alert).is_none())
            .all(firing)
    };
    while !all_fire() && since.elapsed() < SOON {
        voice.fail();
        thread::sleep(BETWEEN);
        story.note(&prometheus, &alerts, since);
    }
    let told = prometheus.alerts("HighFrameJitter");
    assert!(
        seen(GPU.fault),
        "the GPU is not full: {}",
        voice.probe.log()
    );
    for rule in rules.iter().filter(|rule| mute(rule.name.text()).is_some()) {
        let found = prometheus.query(compared(&rule.expr));
        assert!(found.is_empty(), "{}: {found:?}", rule.expr);
    }
    voice.kill_worker();
    assert!(seen(GONE.fault), "the worker lives: {}", voice.probe.log());
    // Longer than the alert would wait (3 s) and is asked.
    let until = Instant::now() + SEEN / 5;
    while Instant::now() < until {
        story.note(&prometheus, &alerts, since);
        thread::sleep(BETWEEN);
    }

    println!(
        "faults: frames up to {FAULT_MS} ms off, {SLOW} ms, failing sessions and Redis commands, a full GPU, a \
         worker killed"
    );
    for alert in &alerts {
        let told = story.0[alert]
            .iter()
            .map(|(state, at)| format!("{state} at {:.1} s", at.as_secs_f64()));
        println!("{alert}: {}", told.collect::<Vec<_>>().join(", "));
        let states = story.states(alert);
        if let Some(mute) = mute(alert) {
            println!("  cannot fire: {}", mute.why);
            assert_eq!(states, ["inactive"], "{alert}");
            continue;
        }
        let fired = states.windows(2).any(|two| two == ["pending", "firing"]);
        assert!(fired, "{alert}: {states:?}");
    }
    // As the guide words it, of what voxprobe saw.
    let of_worker = |one: &&Value| one["labels"]["worker"] == WORKER;
    let told = told.iter().find(of_worker).expect("an alert of the worker");
    let summary = &told["annotations"]["summary"];
    assert_eq!(summary, "p95 Frame jitter exceeds 10ms SLO", "{told}");
}

#[test]
fn alerts_that_cannot_fire_are_alerts_of_the_guide() {
    let rules = read(&guide("alerts.yml"));
    for Mute { alert, .. } in [GPU, GONE] {
        assert!(
            rules.iter().any(|rule| rule.name.text() == alert),
            "{alert}"
        );
    }
}
