//! Every GPU seen since start, with its state now.

use probe_core::record::{Gpu, GpuReadings, GpuState};

use super::round::Reading;

/// GPUs and MIG devices kept, vanished ones included: those that one host has, many times over.
const MAX_KNOWN: usize = 256;

/// XID codes counted of one GPU. NVIDIA's list of XIDs has fewer than 200.
const MAX_XID_CODES: usize = 256;

/// GPUs by UUID. An index is only where a GPU is now: it moves when another one vanishes.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Vec<Entry>,
    round: u64,
}

#[derive(Debug)]
struct Entry {
    gpu: Gpu,
    index: u32,
    mig: Option<u32>,
    /// Last round in which it was read.
    round: u64,
}

impl Entry {
    fn is_at(&self, index: u32) -> bool {
        self.index == index && self.gpu.state != GpuState::Vanished
    }

    /// Puts it in a state in which it has no readings.
    fn silence(&mut self, state: GpuState) {
        self.gpu.state = state;
        self.gpu.readings = GpuReadings::default();
        self.gpu.processes.clear();
    }
}

impl Registry {
    /// A round begins.
    pub(super) fn begin(&mut self) {
        self.round += 1;
    }

    /// A device was read.
    pub(super) fn apply(&mut self, reading: Reading) {
        let round = self.round;
        let Some(identity) = reading.identity else {
            self.silence(reading.index, &reading.state);
            return;
        };
        // Whoever was thought to be at this place is not.
        self.entries
            .retain(|entry| !(entry.gpu.uuid.is_empty() && entry.index == reading.index));
        let entry = match self.position(&identity.uuid) {
            Some(position) => self.entries.get_mut(position),
            None => self.insert(),
        };
        let Some(entry) = entry else { return };
        entry.index = reading.index;
        entry.mig = reading.mig;
        entry.round = round;
        entry.gpu.id = id(reading.index, reading.mig);
        entry.gpu.uuid = identity.uuid;
        if !identity.name.is_empty() {
            entry.gpu.name = identity.name;
        }
        if reading.state == GpuState::Lost {
            self.silence(reading.index, &GpuState::Lost);
        } else {
            entry.gpu.state = reading.state;
            entry.gpu.readings = reading.readings;
            entry.gpu.processes = reading.processes;
        }
    }

    /// The GPU at an index, and its MIG devices, are in a state without readings.
    pub(super) fn silence(&mut self, index: u32, state: &GpuState) {
        let known = self.entries.iter().any(|entry| entry.is_at(index));
        if !known && let Some(entry) = self.insert() {
            entry.index = index;
            entry.gpu.id = id(index, None);
        }
        let round = self.round;
        for entry in self.entries.iter_mut().filter(|entry| entry.is_at(index)) {
            entry.silence(state.clone());
            entry.round = round;
        }
    }

    /// Nothing could be read at all, with the reason.
    pub(super) fn silence_all(&mut self, reason: &str) {
        for entry in &mut self.entries {
            if entry.gpu.state != GpuState::Vanished {
                entry.silence(GpuState::Failing(reason.to_owned()));
            }
        }
    }

    /// The round has read all that is listed: what it did not read has vanished.
    pub(super) fn settle(&mut self) {
        for entry in &mut self.entries {
            if entry.round != self.round {
                entry.silence(GpuState::Vanished);
            }
        }
        self.entries
            .retain(|entry| !(entry.gpu.uuid.is_empty() && entry.gpu.state == GpuState::Vanished));
    }

    /// A GPU raised an XID error.
    pub(super) fn count_xid(&mut self, uuid: &str, code: u64) {
        let Some(entry) = self
            .position(uuid)
            .and_then(|position| self.entries.get_mut(position))
        else {
            return;
        };
        let xids = &mut entry.gpu.xids;
        if xids.len() < MAX_XID_CODES || xids.contains_key(&code) {
            *xids.entry(code).or_default() += 1;
        }
    }

    /// Indices already read in this round.
    pub(super) fn read_in_this_round(&self) -> impl Iterator<Item = u32> {
        self.entries
            .iter()
            .filter(|entry| entry.round == self.round && entry.mig.is_none())
            .map(|entry| entry.index)
    }

    /// Whether a GPU is lost or gone, so that a fresh look at the hardware could find it again.
    pub(super) fn misses_a_gpu(&self) -> bool {
        self.entries.iter().any(|entry| {
            let gone = matches!(entry.gpu.state, GpuState::Lost | GpuState::Vanished);
            gone && entry.mig.is_none()
        })
    }

    /// Every GPU, in the order of NVML.
    pub(super) fn gpus(&self) -> Vec<Gpu> {
        let mut entries: Vec<&Entry> = self.entries.iter().collect();
        entries.sort_by_key(|entry| (entry.index, entry.mig));
        entries.into_iter().map(|entry| entry.gpu.clone()).collect()
    }

    fn position(&self, uuid: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.gpu.uuid == uuid)
    }

    /// A new entry; in a full registry it takes the place of the one vanished for longest, if any.
    fn insert(&mut self) -> Option<&mut Entry> {
        if self.entries.len() >= MAX_KNOWN {
            let vanished = self.entries.iter().enumerate();
            let (oldest, _) = vanished
                .filter(|(_, entry)| entry.gpu.state == GpuState::Vanished)
                .min_by_key(|(_, entry)| entry.round)?;
            self.entries.remove(oldest);
        }
        self.entries.push(Entry {
            gpu: Gpu::default(),
            index: 0,
            mig: None,
            round: self.round,
        });
        self.entries.last_mut()
    }
}

/// Label `gpu_id`.
fn id(index: u32, mig: Option<u32>) -> String {
    match mig {
        None => index.to_string(),
        Some(mig) => format!("{index}:{mig}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::round::Identity;
    use super::*;

    fn reading(index: u32, mig: Option<u32>, uuid: &str) -> Reading {
        Reading {
            index,
            mig,
            identity: Some(Identity {
                uuid: uuid.to_owned(),
                name: "Card".to_owned(),
            }),
            state: GpuState::Ok,
            readings: GpuReadings {
                temperature_celsius: Some(50),
                ..GpuReadings::default()
            },
            processes: Vec::new(),
        }
    }

    fn round(registry: &mut Registry, readings: Vec<Reading>) {
        registry.begin();
        for reading in readings {
            registry.apply(reading);
        }
        registry.settle();
    }

    fn states(registry: &Registry) -> Vec<(String, GpuState)> {
        let gpus = registry.gpus().into_iter();
        gpus.map(|gpu| (gpu.id, gpu.state)).collect()
    }

    #[test]
    fn gpu_not_read_has_vanished_and_comes_back_with_its_history() {
        let mut registry = Registry::default();
        round(
            &mut registry,
            vec![reading(0, None, "A"), reading(1, None, "B")],
        );
        registry.count_xid("B", 79);
        round(&mut registry, vec![reading(0, None, "A")]);
        let gone = &registry.gpus()[1];
        assert_eq!(gone.state, GpuState::Vanished);
        assert_eq!(gone.readings, GpuReadings::default());
        assert!(registry.misses_a_gpu());
        round(
            &mut registry,
            vec![reading(0, None, "A"), reading(1, None, "B")],
        );
        let back = &registry.gpus()[1];
        assert_eq!((&back.state, back.xids[&79]), (&GpuState::Ok, 1));
        assert!(!registry.misses_a_gpu());
    }

    #[test]
    fn gpu_that_moves_to_another_index_stays_the_same_gpu() {
        let mut registry = Registry::default();
        round(
            &mut registry,
            vec![reading(0, None, "A"), reading(1, None, "B")],
        );
        round(&mut registry, vec![reading(0, None, "B")]);
        let gpus = registry.gpus();
        assert_eq!(gpus.len(), 2);
        let moved = gpus.iter().find(|gpu| gpu.uuid == "B").unwrap();
        assert_eq!((moved.id.as_str(), &moved.state), ("0", &GpuState::Ok));
    }

    #[test]
    fn lost_gpu_takes_its_mig_devices_with_it() {
        let mut registry = Registry::default();
        round(
            &mut registry,
            vec![reading(0, None, "A"), reading(0, Some(1), "M")],
        );
        let nameless = Reading {
            identity: None,
            state: GpuState::Lost,
            ..reading(0, None, "")
        };
        round(&mut registry, vec![nameless]);
        let lost = |id: &str| (id.to_owned(), GpuState::Lost);
        assert_eq!(states(&registry), [lost("0"), lost("0:1")]);
    }

    #[test]
    fn gpu_that_never_told_its_name_is_listed_by_index_until_it_does() {
        let mut registry = Registry::default();
        let failing = GpuState::Failing("nvmlDeviceGetUUID: no permission".to_owned());
        let nameless = Reading {
            identity: None,
            state: failing.clone(),
            ..reading(3, None, "")
        };
        round(&mut registry, vec![nameless]);
        assert_eq!(states(&registry), [("3".to_owned(), failing)]);
        round(&mut registry, vec![reading(3, None, "A")]);
        assert_eq!(states(&registry), [("3".to_owned(), GpuState::Ok)]);
    }

    #[test]
    fn registry_that_is_full_forgets_the_one_vanished_for_longest() {
        let mut registry = Registry::default();
        for number in 0..=MAX_KNOWN {
            round(&mut registry, vec![reading(0, None, &format!("G{number}"))]);
        }
        let gpus = registry.gpus();
        assert_eq!(gpus.len(), MAX_KNOWN);
        assert!(!gpus.iter().any(|gpu| gpu.uuid == "G0"));
    }

    #[test]
    fn xid_codes_are_bounded() {
        let mut registry = Registry::default();
        round(&mut registry, vec![reading(0, None, "A")]);
        for code in 0..2 * MAX_XID_CODES as u64 {
            registry.count_xid("A", code);
        }
        assert_eq!(registry.gpus()[0].xids.len(), MAX_XID_CODES);
    }
}
