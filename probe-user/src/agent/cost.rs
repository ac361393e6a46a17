//! What the probe costs, what it saw, and what it lost.

use std::time::Duration;

use prometheus::{Counter, CounterVec, Gauge, GaugeVec, IntCounterVec, Opts, Registry};

use super::hooks::HookGauge;
use crate::{
    attach::{Hooks, Tier},
    ingest::Ingest,
};

/// The shell's own metrics, in base units.
pub struct CostMetrics {
    kernel_records: Counter,
    losses: IntCounterVec,
    program_seconds: CounterVec,
    program_runs: CounterVec,
    cpu: Counter,
    resident: Gauge,
    watched: GaugeVec,
    hooks: HookGauge,
}

impl CostMetrics {
    /// Makes and registers them.
    ///
    /// # Panics
    /// When two metrics have one name: they are constant, and a test registers them.
    pub fn register(registry: &Registry) -> Self {
        let info = GaugeVec::new(
            Opts::new("voxprobe_build_info", "Version of this voxprobe; always 1."),
            &["version"],
        );
        let metrics = Self::build(registry, info);
        metrics.expect("the metrics are constant, and a test registers them")
    }

    fn build(registry: &Registry, info: prometheus::Result<GaugeVec>) -> prometheus::Result<Self> {
        let info = info?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        registry.register(Box::new(info))?;
        let metrics = Self {
            kernel_records: Counter::new(
                "voxprobe_kernel_records_total",
                "Records read from the ring buffer.",
            )?,
            losses: IntCounterVec::new(
                Opts::new(
                    "voxprobe_kernel_losses_total",
                    "Things the kernel side could not record, by reason.",
                ),
                &["reason"],
            )?,
            program_seconds: CounterVec::new(
                Opts::new(
                    "voxprobe_program_run_seconds_total",
                    "Time spent in each eBPF program; 0 unless kernel.bpf_stats_enabled is set.",
                ),
                &["program"],
            )?,
            program_runs: CounterVec::new(
                Opts::new(
                    "voxprobe_program_runs_total",
                    "Runs of each eBPF program; 0 unless kernel.bpf_stats_enabled is set.",
                ),
                &["program"],
            )?,
            cpu: Counter::new(
                "voxprobe_cpu_seconds_total",
                "CPU time of the agent, user and system, in seconds.",
            )?,
            resident: Gauge::new(
                "voxprobe_resident_memory_bytes",
                "Resident memory of the agent.",
            )?,
            watched: GaugeVec::new(
                Opts::new("voxprobe_watched_processes", "Processes watched, by role."),
                &["role"],
            )?,
            hooks: HookGauge::register(registry)?,
        };
        registry.register(Box::new(metrics.kernel_records.clone()))?;
        registry.register(Box::new(metrics.losses.clone()))?;
        registry.register(Box::new(metrics.program_seconds.clone()))?;
        registry.register(Box::new(metrics.program_runs.clone()))?;
        registry.register(Box::new(metrics.cpu.clone()))?;
        registry.register(Box::new(metrics.resident.clone()))?;
        registry.register(Box::new(metrics.watched.clone()))?;
        Ok(metrics)
    }

    /// Says how sockets are seen.
    pub fn hooks(registry: &Registry, tier: Tier) -> prometheus::Result<()> {
        let backend = GaugeVec::new(
            Opts::new(
                "voxprobe_hook_backend",
                "How sockets are seen; 1 for the one in use.",
            ),
            &["backend"],
        )?;
        let name = match tier {
            Tier::Tracepoints => "syscall_tracepoints",
            Tier::Raw => "raw_syscalls",
            Tier::Fentry => "socket_trampolines",
            Tier::Kprobe => "socket_probes",
            Tier::Sockets => "socket_tracepoints",
        };
        backend.with_label_values(&[name]).set(1.0);
        registry.register(Box::new(backend))
    }

    /// Hooks of the configuration before are gone.
    pub(super) fn forget_hooks(&self) {
        self.hooks.forget();
    }

    pub(super) fn update(&self, ingest: &Ingest) {
        raise(&self.kernel_records, ingest.records() as f64);
        for (reason, count) in ingest.losses() {
            let counter = self.losses.with_label_values(&[reason]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        let malformed = self.losses.with_label_values(&["malformed"]);
        malformed.inc_by(ingest.malformed().saturating_sub(malformed.get()));
        let unassigned = self.losses.with_label_values(&["hook_unassigned"]);
        let total = ingest.tracker.hooks().unassigned();
        unassigned.inc_by(total.saturating_sub(unassigned.get()));
        self.hooks.update(ingest);
        let all_told = self.losses.with_label_values(&["program_missed"]);
        let mut all_missed = 0;
        for Hooks {
            program,
            run_time,
            run_count,
            missed,
        } in ingest.tracker.attached().hooks()
        {
            let seconds = self.program_seconds.with_label_values(&[&program]);
            raise(&seconds, run_time.as_secs_f64());
            raise(
                &self.program_runs.with_label_values(&[&program]),
                run_count as f64,
            );
            all_missed += missed;
            if missed > 0 && all_told.get() == 0 {
                tracing::warn!(program, missed, "the kernel skipped a program");
            }
        }
        all_told.inc_by(all_missed.saturating_sub(all_told.get()));
        if let Some(cpu) = cpu_time() {
            raise(&self.cpu, cpu.as_secs_f64());
        }
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes as f64);
        }
        for role in ["orchestrator", "worker", "redis"] {
            let processes = ingest.tracker.processes().values();
            let count = processes
                .filter(|process| process.role.as_str() == role)
                .count();
            self.watched.with_label_values(&[role]).set(count as f64);
        }
    }
}

/// Raises a counter to a total that only grows.
fn raise(counter: &Counter, total: f64) {
    let missing = total - counter.get();
    if missing > 0.0 {
        counter.inc_by(missing);
    }
}

/// User and system time of this process.
fn cpu_time() -> Option<Duration> {
    let stat = procfs::process::Process::myself().ok()?.stat().ok()?;
    Some(Duration::from_secs_f64(
        (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
    ))
}

/// Resident memory of this process.
fn resident_bytes() -> Option<u64> {
    let statm = procfs::process::Process::myself().ok()?.statm().ok()?;
    Some(statm.resident * procfs::page_size())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_cost_is_registered_and_read() {
        let registry = Registry::new();
        CostMetrics::register(&registry);
        CostMetrics::hooks(&registry, Tier::Raw).unwrap();
        assert!(
            registry
                .gather()
                .iter()
                .any(|family| family.name() == "voxprobe_build_info")
        );
        assert!(cpu_time().is_some());
        assert!(resident_bytes().unwrap() > 0);
    }
}
