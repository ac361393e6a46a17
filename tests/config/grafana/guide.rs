//! The guide's dashboards, panel by panel: the panel is there, asks for what the guide asks for, and
//! has its thresholds and objectives.

use super::dashboards::{Dashboard, Panel, filled, shipped};
use crate::expressions::parts;
use crate::rules::{Name, shipped as rules};

/// A panel of the guide: its name, how it is drawn, the metrics it asks for, and where its colours or
/// lines begin.
type Expected = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static [f64],
);

/// "Current Active Sessions" turns yellow above 5 and red above 10; sessions are whole, and Grafana's
/// steps include their bound.
const REALTIME: [Expected; 6] = [
    (
        "Current Active Sessions",
        "gauge",
        &["orchestrator_sessions_active"],
        &[6.0, 11.0],
    ),
    (
        "First Audio Latency (p50/p95/p99)",
        "timeseries",
        &["orchestrator_latency_fal_ms_bucket"],
        &[300.0],
    ),
    (
        "Barge-in Latency (p95)",
        "timeseries",
        &["orchestrator_latency_barge_in_ms_bucket"],
        &[50.0],
    ),
    (
        "Frame Jitter (p95)",
        "timeseries",
        &["worker_audio_frame_jitter_ms_bucket"],
        &[10.0],
    ),
    (
        "Session Start Rate",
        "timeseries",
        &["orchestrator_sessions_started_total"],
        &[],
    ),
    (
        "Error Rate",
        "timeseries",
        &["orchestrator_session_errors_total"],
        &[],
    ),
];

const RESOURCES: [Expected; 5] = [
    (
        "GPU Memory Usage",
        "timeseries",
        &[
            "worker_gpu_memory_total_bytes",
            "worker_gpu_memory_used_bytes",
        ],
        &[95.0],
    ),
    (
        "GPU Utilization",
        "timeseries",
        &["worker_gpu_utilization_percent"],
        &[],
    ),
    (
        "Inference Queue Depth",
        "timeseries",
        &["worker_inference_queue_depth"],
        &[],
    ),
    (
        "Model Manager Resident Count",
        "timeseries",
        &["worker_model_manager_resident_count"],
        &[],
    ),
    (
        "Redis Command Latency (p95)",
        "timeseries",
        &["redis_command_latency_ms_bucket"],
        &[],
    ),
];

/// The series that an expression reads in the end: through the rules that record what it selects.
fn sources(expression: &str) -> Vec<String> {
    let recorded = rules();
    let mut found = Vec::new();
    for selector in parts(expression).selectors {
        let of_rule = recorded
            .iter()
            .find(|rule| rule.name == Name::Record(selector.name.clone()));
        match of_rule {
            Some(rule) => found.extend(sources(&rule.expr)),
            None => found.push(selector.name),
        }
    }
    found.sort();
    found.dedup();
    found
}

fn steps(panel: &Panel) -> Vec<f64> {
    let steps = panel.look["defaults"]["thresholds"]["steps"].as_array();
    let steps = steps.expect("steps of a threshold").iter();
    steps.filter_map(|step| step["value"].as_f64()).collect()
}

#[track_caller]
fn has_panels(title: &str, expected: &[Expected]) {
    let all = shipped();
    let found: Option<&Dashboard> = all.iter().find(|dashboard| dashboard.title == title);
    let dashboard = found.unwrap_or_else(|| panic!("no dashboard {title}"));
    // In the guide's order, and before everything that is not the guide's.
    let panels = dashboard.panels.iter().zip(expected);
    for (panel, (title, kind, metrics, bounds)) in panels {
        assert_eq!(panel.title, *title);
        assert_eq!(panel.kind, *kind, "{title}");
        assert_eq!(steps(panel), *bounds, "{title}");
        let style = &panel.look["defaults"]["custom"]["thresholdsStyle"]["mode"];
        let lines = !bounds.is_empty() && *kind == "timeseries";
        assert_eq!(*style == "dashed", lines, "{title}: lines");
        for target in &panel.targets {
            let asked = sources(&filled(&target.expr));
            assert_eq!(asked, *metrics, "{title}: {}", target.expr);
        }
    }
}

#[test]
fn realtime_performance_has_the_guides_panels() {
    has_panels("Realtime Performance", &REALTIME);
    let dashboard = shipped()
        .into_iter()
        .find(|d| d.title == "Realtime Performance");
    let latency = dashboard.expect("it is there").panels[1].clone();
    let quantiles: Vec<_> = latency
        .targets
        .iter()
        .filter_map(|target| target.legend.split(' ').next())
        .collect();
    assert_eq!(quantiles, ["p50", "p95", "p99"]);
}

#[test]
fn resource_utilization_has_the_guides_panels() {
    has_panels("Resource Utilization", &RESOURCES);
    let dashboard = shipped()
        .into_iter()
        .find(|d| d.title == "Resource Utilization");
    let memory = &dashboard.expect("it is there").panels[0];
    let stacking = &memory.look["defaults"]["custom"]["stacking"]["mode"];
    assert_eq!(stacking, "normal", "stacked per worker");
}
