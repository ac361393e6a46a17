//! The image: built the same each time, and run with the least privileges on a real worker.

use std::fs;
use std::time::Duration;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, LONG_TALK, Server};
use probe_tests::probe::{Probe, SETTLE};
use probe_tests::process::eventually;
use probe_tests::skip::{restricted, unprivileged};

use super::engine::Engine;
use crate::live::servers;

/// A GPU.
const SCENARIO: &str = include_str!("../../data/nvml/healthy.toml");

/// Most bytes of the image's files: 5 MB of agent, the C library, and room.
const MOST_BYTES: u64 = 32 << 20;

/// How long Prometheus may take to find its targets: it looks every five seconds.
const FOUND: Duration = Duration::from_secs(30);

#[test]
fn same_files_give_the_same_image() {
    let lab = Lab::new();
    if unprivileged() {
        return;
    }
    let Some(engine) = Engine::find(&lab) else {
        return;
    };
    assert_eq!(engine.build(), engine.build());
    let binary = artifacts::image()
        .expect("it was found")
        .join("rootfs/usr/bin/voxprobe");
    let size = fs::metadata(binary).expect("the agent").len();
    assert!(size < MOST_BYTES, "{size} bytes: is it stripped?");
}

#[test]
fn image_with_four_capabilities_watches_a_worker_and_its_gpu_and_is_scraped() {
    if unprivileged() || restricted() {
        return;
    }
    let lab = Lab::new();
    let Some(engine) = Engine::find(&lab) else {
        return;
    };
    engine.build();
    let worker = Server::tonic(&lab, &[]);
    let _talk = Client::tonic(&lab, &worker, &LONG_TALK);
    let scenario = lab.write(
        "nvml.toml",
        SCENARIO.replace("4242", &worker.pid().to_string()),
    );
    let mount = |from: &std::path::Path, to: &str| format!("--volume={}:{to}:ro", from.display());
    let mut command = engine.agent(&[
        // As the NVIDIA container runtime gives the driver's library.
        mount(
            &artifacts::fake_nvml(),
            "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
        ),
        mount(&scenario, "/nvml.toml"),
        "--env=FAKE_NVML_SCENARIO=/nvml.toml".to_owned(),
    ]);
    command.args(["run", "--pid", &worker.pid().to_string()]);
    let probe = Probe::start(&lab, command);
    let seen = probe.scrape_until(SETTLE, |scrape| {
        scrape.sum("worker_audio_frames_emitted_total", &[]) > 0.0
            && scrape.sum("worker_gpu_memory_used_bytes", &[]) > 0.0
    });
    assert!(
        seen.sum("worker_audio_frames_emitted_total", &[]) > 0.0,
        "{}",
        probe.log()
    );
    // The driver's library was loaded, and its process ids are the host's.
    assert_eq!(
        seen.sum("worker_gpu_memory_used_bytes", &[("gpu_id", "0")]),
        17_179_869_184.0
    );
    let nobody = "127.0.0.1:9".parse().expect("an address");
    if let Some(prometheus) = servers::prometheus(&lab, probe.address(), nobody) {
        let up = || {
            let frames = "sum(worker_audio_frames_emitted_total) > 0 and sum(up) == 1";
            !prometheus.query(frames).is_empty()
        };
        assert!(eventually(FOUND, up), "{}", prometheus.log());
    }
    probe.stop();
}
