use std::collections::BTreeSet;

use prometheus::{Gauge, IntCounter};

use super::catalogue::{self, Entry, Kind};
use super::*;

/// The observability guide's metrics, one a line: name, kind, labels (`+` marks this project's
/// additions, `=` a closed list of values), upper bounds without `+Inf`.
const GUIDE: &str = include_str!("../../../../tests/data/guide.metrics");

/// Name, kind, label names and bounds of each.
fn guide() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>, Vec<f64>)> {
    let lines = GUIDE.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let mut column = || columns.next().unwrap_or_default();
        let (name, kind, labels, bounds) = (column(), column(), column(), column());
        let labels = labels.split(',').filter(|label| *label != "-");
        let labels = labels.filter_map(|label| label.trim_start_matches('+').split('=').next());
        let bounds = bounds.split(',').filter(|bound| !bound.is_empty());
        let bounds = bounds.map(|bound| bound.parse().unwrap());
        (name, kind, labels.collect(), bounds.collect())
    })
}

/// Worker metrics that the guide does not have.
const ADDED: [&str; 3] = [
    "worker_audio_frame_lateness_ms",
    "worker_audio_underruns_total",
    "worker_control_effect_ms",
];

fn entry(name: &str) -> &'static Entry {
    catalogue::all()
        .find(|entry| entry.name == name)
        .unwrap_or_else(|| panic!("{name} is not in the catalogue"))
}

#[test]
fn catalogue_holds_the_guides_metrics_exactly() {
    assert_eq!(guide().count(), 40);
    for (name, kind, labels, bounds) in guide() {
        let entry = entry(name);
        assert_eq!(entry.labels, labels, "{name}");
        let (found, found_bounds) = match entry.kind {
            Kind::Counter => ("counter", &[][..]),
            Kind::Gauge => ("gauge", &[][..]),
            Kind::Histogram(bounds) => ("histogram", bounds),
        };
        assert_eq!(found, kind, "{name}");
        assert_eq!(found_bounds, bounds, "{name}");
    }
}

#[test]
fn catalogue_adds_only_the_metrics_it_names() {
    let guide: BTreeSet<&str> = guide().map(|(name, ..)| name).chain(ADDED).collect();
    let ours: BTreeSet<&str> = catalogue::all()
        .map(|entry| entry.name)
        .filter(|name| !name.starts_with("voxprobe_"))
        .collect();
    assert_eq!(ours, guide);
}

#[test]
fn catalogue_names_follow_the_naming_rules() {
    for entry in catalogue::all() {
        let counter = matches!(entry.kind, Kind::Counter);
        assert_eq!(counter, entry.name.ends_with("_total"), "{}", entry.name);
        assert!(entry.help.ends_with('.'), "{}", entry.name);
        if let Some((label, _)) = entry.bounded {
            assert!(entry.labels.contains(&label), "{}", entry.name);
        }
        if entry.name.starts_with("voxprobe_") {
            assert!(!entry.name.contains("_ms"), "{}", entry.name);
            assert!(!entry.name.contains("percent"), "{}", entry.name);
        }
    }
}

#[test]
fn every_entry_of_the_catalogue_is_registered_once() {
    let metrics = Metrics::default();
    for entry in catalogue::all() {
        let again: Family<Gauge> = Family::new(entry, 1, None, None).unwrap();
        assert!(
            metrics.registry().register(Box::new(again)).is_err(),
            "{} was not registered",
            entry.name
        );
    }
    let names: BTreeSet<&str> = catalogue::all().map(|entry| entry.name).collect();
    assert_eq!(names.len(), catalogue::all().count());
}

#[test]
fn series_whose_joined_values_agree_are_still_two() {
    let metrics = Metrics::default();
    let family: &Family<IntCounter> = &metrics.worker.synthesis_requests;
    family.with(&["a", "bc"]).inc();
    family.with(&["ab", "c"]).inc_by(2);
    assert_eq!(family.len(), 2);
    assert_eq!(family.with(&["a", "bc"]).get(), 1);
}

#[test]
fn values_beyond_the_bound_share_other_until_one_leaves() {
    let metrics = Metrics::new(Limits {
        models: 2,
        ..Limits::default()
    });
    let family = &metrics.worker.model_loads;
    for model in ["a", "b", "c", "d"] {
        family.with(&["w", model]).inc();
    }
    assert_eq!(family.len(), 3);
    assert_eq!(family.with(&["w", OTHER]).get(), 2);
    assert_eq!(
        metrics
            .probe
            .series_overflow
            .with(&["worker_model_manager_loads_total"])
            .get(),
        2
    );
    // The bound is on values: a known one may appear in another series.
    family.with(&["x", "a"]).inc();
    assert_eq!(family.len(), 4);
    family.remove(&["w", "b"]);
    assert!(family.has_room());
    family.with(&["w", "c"]).inc();
    assert_eq!(family.with(&["w", "c"]).get(), 1);
    family.remove(&["w", OTHER]);
    assert_eq!(family.with(&["w", OTHER]).get(), 2);
}

#[test]
fn removed_worker_leaves_every_family_and_no_other_worker_does() {
    let metrics = Metrics::default();
    for worker in ["gone", "stays"] {
        metrics
            .worker
            .control_commands
            .with(&[worker, "PAUSE"])
            .inc();
        metrics
            .worker
            .inference_latency
            .with(&[worker, "m"])
            .observe(1.0);
        metrics
            .worker
            .inference_queue_depth
            .with(&[worker])
            .set(1.0);
    }
    metrics.worker.remove_worker("gone");
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&metrics.registry().gather())
        .unwrap();
    assert!(!text.contains("gone"), "{text}");
    assert_eq!(text.matches("worker=\"stays\"").count(), 10, "{text}");
}

#[test]
fn readings_replace_the_ones_before() {
    let metrics = Metrics::new(Limits {
        gpus: 2,
        ..Limits::default()
    });
    let family: &Family<Gauge> = &metrics.gpu.temperature;
    family.replace(&[(vec!["0"], 50.0), (vec!["1"], 60.0), (vec!["2"], 70.0)]);
    assert_eq!(family.len(), 2, "beyond the bound a reading is left out");
    family.replace(&[(vec!["2"], 71.0)]);
    assert_eq!(family.len(), 1);
    assert!((family.with(&["2"]).get() - 71.0).abs() < f64::EPSILON);
}

#[test]
fn label_values_are_escaped_in_the_exposition() {
    let metrics = Metrics::default();
    let family: &Family<Histogram> = &metrics.worker.inference_latency;
    family.with(&["w\n\"\\", "m"]).observe(1.0);
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&metrics.registry().gather())
        .unwrap();
    assert!(text.contains(r#"worker="w\n\"\\""#), "{text}");
}

#[test]
fn calls_follow_the_interpreters_totals() {
    let metrics = Metrics::default();
    let counts = |known, refused| crate::interpret::Counts {
        known,
        refused,
        ..Default::default()
    };
    metrics.probe.count_calls(&counts(3, 0));
    metrics.probe.count_calls(&counts(5, 2));
    assert_eq!(metrics.probe.flow_calls.with(&["known"]).get(), 5);
    assert_eq!(metrics.probe.state_refused.with(&["call"]).get(), 2);
}

#[test]
fn observed_histogram_tells_each_value_with_its_labels() {
    let (metrics, observations) = Metrics::observed(Limits::default());
    let latency = metrics.worker.inference_latency.with(&["w", "m"]);
    latency.observe(12.5);
    latency.observe(0.5);
    let told: Vec<_> = observations.take();
    let values: Vec<_> = told.iter().map(|one| one.value).collect();
    assert_eq!(values, [12.5, 0.5]);
    assert_eq!(told[0].metric, "worker_inference_latency_ms");
    assert_eq!(
        *told[0].labels,
        [("worker", "w".into()), ("model_id", "m".into())]
    );
    assert_eq!(latency.get_sample_count(), 2);
    assert!(observations.take().is_empty());
}
