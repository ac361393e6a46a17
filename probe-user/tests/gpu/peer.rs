//! NVIDIA's own client reads the same.

use std::path::Path;
use std::process::Command;

use probe_core::record::GpuSample;

use crate::fake::{Fake, scenario_file};

#[test]
fn nvidias_own_client_reads_the_same() {
    let Some(python) = std::env::var_os("VOXPROBE_PYTHON") else {
        println!("skipped: VOXPROBE_PYTHON does not name a Python that has nvidia-ml-py");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/nvml_read.py");
    for scenario in ["healthy.toml", "mig.toml"] {
        let fake = Fake::playing(scenario);
        let link = fake.folder.path().join("libnvidia-ml.so.1");
        std::os::unix::fs::symlink(fake.library(), link).unwrap();
        let output = Command::new(&python)
            .arg(&script)
            .env("LD_LIBRARY_PATH", fake.folder.path())
            .env("FAKE_NVML_SCENARIO", scenario_file(scenario))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let theirs: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let ours = fake.sample().next();
        assert_same(&ours, &theirs);
    }
}

/// Compares all that NVIDIA's client read.
fn assert_same(ours: &GpuSample, theirs: &serde_json::Value) {
    let listed = theirs["gpus"].as_array().unwrap();
    assert_eq!(ours.gpus.len(), listed.len());
    for (our, their) in ours.gpus.iter().zip(listed) {
        assert_eq!(their["id"], our.id.as_str());
        assert_eq!(their["uuid"], our.uuid.as_str());
        assert_eq!(their["name"], our.name.as_str());
        let readings = serde_json::to_value(our.readings).unwrap();
        for (name, value) in their["readings"].as_object().unwrap() {
            assert_eq!(&readings[name], value, "{} {name}", our.id);
        }
        let processes = their["processes"].as_array().unwrap();
        assert_eq!(our.processes.len(), processes.len());
        for (process, listed) in our.processes.iter().zip(processes) {
            assert_eq!(listed["pid"], process.pid);
            let memory = serde_json::to_value(process.memory_bytes).unwrap();
            assert_eq!(listed["memory_bytes"], memory);
            // NVIDIA's client lists shares of those that used the GPU only.
            if !listed["sm_percent"].is_null() {
                assert_eq!(listed["sm_percent"], process.sm_percent.unwrap());
            }
        }
    }
}
