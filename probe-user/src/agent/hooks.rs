//! How the library hooks are doing, as a metric.

use prometheus::{GaugeVec, Opts, Registry};

use crate::{attach::HookState, ingest::Ingest};

/// `voxprobe_hooks`.
pub(super) struct HookGauge(GaugeVec);

impl HookGauge {
    /// Makes and registers it.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = GaugeVec::new(
            Opts::new(
                "voxprobe_hooks",
                "Library files at which each hook is set (active) or cannot be set (unavailable where \
                 the kernel has no such hooks, else failed); waiting is 1 while no watched process has \
                 the library.",
            ),
            &["name", "state"],
        )?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(Self(gauge))
    }

    /// Hooks of the configuration before are gone.
    pub(super) fn forget(&self) {
        self.0.reset();
    }

    pub(super) fn update(&self, ingest: &Ingest) {
        for state in ingest.tracker.hooks().states() {
            for (name, files) in counts(&state) {
                let gauge = self.0.with_label_values(&[&*state.name, name]);
                gauge.set(files as f64);
            }
        }
    }
}

/// Files by state, each state named.
fn counts(state: &HookState) -> [(&'static str, usize); 4] {
    let count = |unavailable: bool| {
        state
            .faults
            .iter()
            .filter(|(fault, _)| fault.is_unavailable() == unavailable)
            .map(|(_, files)| files)
            .sum::<usize>()
    };
    [
        ("active", state.active),
        ("waiting", usize::from(state.is_waiting())),
        ("unavailable", count(true)),
        ("failed", count(false)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::HookFault;

    #[test]
    fn every_state_is_told_and_waiting_only_without_a_library() {
        let mut state = HookState {
            name: "vad".to_owned(),
            active: 0,
            faults: Vec::new(),
        };
        let told = |state: &HookState| counts(state).map(|(_, files)| files);
        assert_eq!(told(&state), [0, 1, 0, 0]);
        state.active = 2;
        assert_eq!(told(&state), [2, 0, 0, 0]);
        state.faults = vec![
            (HookFault::NoSymbol, 3),
            (HookFault::NoPrograms(String::new()), 1),
        ];
        assert_eq!(told(&state), [2, 0, 1, 3]);
    }
}
