//! The exposition by Prometheus' own linter.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, Server};
use probe_tests::probe::Probe;
use probe_tests::skip::{program, unprivileged};

/// Exit status of `promtool check metrics` when it has remarks.
const REMARKS: i32 = 3;

/// What the linter may say about the names that the observability guide fixed: the end of the
/// name, and the remark.
const ABOUT_FIXED_NAMES: [(&str, &str); 2] = [
    ("_ms", "metric names should not contain abbreviated units"),
    (
        "_resident_count",
        "non-histogram and non-summary metrics should not have \"_count\" suffix",
    ),
];

#[test]
fn linter_remarks_only_on_names_that_the_guide_fixed() {
    if unprivileged() {
        return;
    }
    let Some(promtool) = program("promtool") else {
        return;
    };
    let lab = Lab::new();
    let worker = Server::tonic(&lab, &["--load-ms", "20"]);
    let scenario = artifacts::peers().join("../data/nvml/healthy.toml");
    let mut command = Command::new(artifacts::voxprobe());
    command
        .args(["run", "--pid", &worker.pid().to_string(), "--nvml-lib"])
        .arg(artifacts::fake_nvml())
        .env("FAKE_NVML_SCENARIO", scenario);
    let probe = Probe::start(&lab, command);
    probe.wait_watching(1);
    let arguments = [
        "--sessions",
        "2",
        "--controls",
        "--inspect",
        "--utterances",
        "2",
    ];
    Client::tonic(&lab, &worker, &arguments).finish(Duration::from_mins(1));
    let seen = |scrape: &probe_tests::exposition::Exposition| {
        scrape.sum("worker_model_manager_loads_total", &[]) > 0.0
            && scrape.sum("worker_gpu_power_watts", &[]) > 0.0
    };
    let scrape = probe.scrape_until(Duration::from_secs(5), seen);
    assert!(seen(&scrape), "models and GPUs are in the exposition");

    let mut linter = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("run promtool");
    let mut stdin = linter.stdin.take().expect("stdin is piped");
    stdin
        .write_all(probe.metrics().as_bytes())
        .expect("write to promtool");
    drop(stdin);
    let output = linter.wait_with_output().expect("wait for promtool");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        matches!(output.status.code(), Some(0 | REMARKS)),
        "promtool cannot read the exposition: {said}"
    );
    let unexpected: Vec<&str> = said
        .lines()
        .filter(|line| !is_about_fixed_name(line))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
}

fn is_about_fixed_name(line: &str) -> bool {
    line.split_once(' ').is_some_and(|(name, remark)| {
        let fixed = |(end, known): &(&str, &str)| name.ends_with(end) && remark == *known;
        name.starts_with("worker_") && ABOUT_FIXED_NAMES.iter().any(fixed)
    })
}
