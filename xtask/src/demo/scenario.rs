//! What the demo writes for its parts: the agent's settings, and the GPU that the stand-in NVML
//! plays.

use std::fmt::Write as _;
use std::path::Path;

/// Label `worker` of the demo's worker.
pub(super) const WORKER: &str = "tts-demo@0";

/// Models that the worker keeps at most.
pub(super) const RESIDENT_CAP: u8 = 3;

/// The agent's settings: the processes to watch, found by their executables and arguments as they
/// start, and why frames are late. Every other key has its default.
pub(super) fn configuration(voicelab: &Path, redis_port: u16) -> String {
    let exe = quoted(&format!("^{}$", literally(&voicelab.to_string_lossy())));
    format!(
        r#"# Settings of the demo; config/voxprobe.toml shows every key.

[models]
resident_cap = {RESIDENT_CAP}

[diagnosis]
enabled = true

[[target]]
role = "worker"
exe = {exe}
cmdline = '(^|/)voicelab worker\s'
name = "{WORKER}"

[[target]]
role = "orchestrator"
exe = {exe}
cmdline = '(^|/)voicelab orchestrator\s'

# Its arguments, or the title that it gives itself.
[[target]]
role = "redis"
cmdline = '^redis-server .*[ :]{redis_port}(\s|$)'
"#
    )
}

/// A regular expression for this text and no other.
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$#&-~ ".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                // Writing to a string does not fail.
                write!(quoted, "\\u{:04X}", u32::from(control)).ok();
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// One GPU that is busy in waves and holds the model of process `pid`. Units are NVML's own.
pub(super) fn gpu(pid: u32) -> String {
    format!(
        r#"driver = "550.54.15"

[[gpu]]
uuid = "GPU-5a1e0c1d-0000-4000-8000-0000000000de"
name = "stand-in GPU"
pci_bus_id = "00000000:07:00.0"

[gpu.readings]
memory_total_bytes = 85899345920
memory_used_bytes = {{ mean = 21474836480, amplitude = 1073741824, period_s = 20 }}
utilization_percent = {{ mean = 50, amplitude = 40, period_s = 13 }}
memory_utilization_percent = 12
temperature_celsius = [[0, 54], [20, 61]]
power_milliwatts = {{ mean = 187450, amplitude = 60000, period_s = 13 }}
power_limit_milliwatts = 400000
graphics_clock_mhz = 1410
sm_clock_mhz = 1410
memory_clock_mhz = 1593
throttle_reasons = 0

[[gpu.process]]
pid = {pid}
memory_bytes = 17179869184
sm_percent = 30
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worker_is_a_process_of_the_gpu() {
        assert!(gpu(4711).contains("\n[[gpu.process]]\npid = 4711\n"));
    }

    #[test]
    fn target_is_this_tree_s_worker_and_no_other() {
        let text = configuration(Path::new("/src/a.b (c)/voicelab"), 4711);
        assert!(
            text.contains(r#"exe = "^/src/a\\.b\\ \\(c\\)/voicelab$""#),
            "{text}"
        );
    }

    #[test]
    fn quote_and_control_character_do_not_end_the_string() {
        assert_eq!(quoted("a\"b\\\n"), "\"a\\\"b\\\\\\u000A\"");
    }
}
