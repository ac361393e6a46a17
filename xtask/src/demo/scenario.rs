//! What the demo writes for its parts: the GPU that the stand-in NVML plays, the agent's settings.

/// The agent's settings: every default holds, what the demo chooses is on the command line.
pub(super) const CONFIGURATION: &str = "\
# Settings of the demo. Every key has its default; the target, the address and the NVML library are
# named on the command line.
";

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
utilization_percent = {{ mean = 50, amplitude = 40, period_s = 10 }}
memory_utilization_percent = 12
temperature_celsius = [[0, 54], [20, 61]]
power_milliwatts = {{ mean = 187450, amplitude = 60000, period_s = 10 }}
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
}
