//! One round over every GPU and MIG device.

use std::collections::{BTreeMap, BTreeSet};

use nvml_wrapper::{Device, Nvml};
use probe_core::record::{GpuProcess, GpuReadings, GpuState};

use super::device::{self, Asker, Memory};
use super::fault::Fault;
use super::meter::Meter;
use super::processes;
use super::xid::XidEvents;

/// GPUs read on one host; the largest machines hold 16.
pub(super) const MAX_GPUS: u32 = 64;

/// MIG devices read on one GPU; hardware allows 7 (NVIDIA's MIG user guide).
const MAX_MIG_DEVICES: u32 = 16;

/// Devices remembered between rounds. Beyond it (devices made anew again and again), everything is
/// forgotten and asked again.
const MAX_REMEMBERED: usize = 512;

/// `nvmlDeviceGetMigMode`: MIG mode is on (`NVML_DEVICE_MIG_ENABLE` of `nvml.h`).
const MIG_ENABLED: u32 = 1;

/// What one round read of one device.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// NVML index of the GPU.
    pub(super) index: u32,
    /// Position of the MIG device in it.
    pub(super) mig: Option<u32>,
    /// UUID and name; `None` when the GPU did not even tell these.
    pub(super) identity: Option<Identity>,
    pub(super) state: GpuState,
    pub(super) readings: GpuReadings,
    pub(super) processes: Vec<GpuProcess>,
}

/// Which device it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uuid: String,
    pub(super) name: String,
}

/// What a round finds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    Reading(Box<Reading>),
    /// UUID of the GPU and XID code.
    Xid(String, u64),
}

/// Reads every device, round after round, with what it learnt in the rounds before.
pub(super) struct Rounds<'n> {
    nvml: &'n Nvml,
    meter: &'n Meter,
    memories: BTreeMap<String, Memory>,
    xids: Option<XidEvents<'n>>,
}

impl<'n> Rounds<'n> {
    pub(super) fn new(nvml: &'n Nvml, meter: &'n Meter) -> Self {
        Self {
            nvml,
            meter,
            memories: BTreeMap::new(),
            xids: None,
        }
    }

    /// One round, without the GPUs whose indices are in `skip`.
    ///
    /// # Errors
    ///
    /// NVML does not list the GPUs, or the thread has been given up.
    pub(super) fn round(
        &mut self,
        skip: &BTreeSet<u32>,
        emit: &mut impl FnMut(Found),
    ) -> Result<(), Fault> {
        if self.xids.is_none() {
            self.xids = XidEvents::open(self.nvml, self.meter)?;
        }
        let count = self
            .meter
            .call("nvmlDeviceGetCount_v2", None, || self.nvml.device_count())?;
        for index in (0..count.min(MAX_GPUS)).filter(|index| !skip.contains(index)) {
            self.gpu(index, emit)?;
        }
        if let Some(xids) = &self.xids {
            let sound = xids.poll(self.meter, |uuid, code| emit(Found::Xid(uuid, code)))?;
            if !sound {
                self.close()?;
            }
        }
        Ok(())
    }

    /// Frees what the rounds hold of NVML.
    ///
    /// # Errors
    ///
    /// The thread has been given up.
    pub(super) fn close(&mut self) -> Result<(), Fault> {
        self.xids
            .take()
            .map_or(Ok(()), |xids| xids.close(self.meter))
    }

    fn gpu(&mut self, index: u32, emit: &mut impl FnMut(Found)) -> Result<(), Fault> {
        const HANDLE: &str = "nvmlDeviceGetHandleByIndex_v2";
        let by_index = || self.nvml.device_by_index(index);
        let device = match self.meter.call(HANDLE, Some(index), by_index) {
            Ok(device) => device,
            Err(fault) => return nameless(index, &fault, HANDLE, emit),
        };
        let uuid = match self
            .meter
            .call("nvmlDeviceGetUUID", Some(index), || device.uuid())
        {
            Ok(uuid) => uuid,
            Err(fault) => return nameless(index, &fault, "nvmlDeviceGetUUID", emit),
        };
        if let Some(xids) = &mut self.xids {
            xids.register(self.meter, index, &device, &uuid)?;
        }
        let mut asker = Asker::new(self.meter, index, remembered(&mut self.memories, &uuid));
        let name = name(&mut asker, &device);
        let readings = device::readings(&mut asker, &device);
        let mode = asker.ask(("nvmlDeviceGetMigMode", ""), || device.mig_mode());
        let cut_up = mode.is_some_and(|mode| mode.current == MIG_ENABLED);
        // With MIG, each process is told with the MIG device that it runs on.
        let processes = if cut_up {
            Vec::new()
        } else {
            let idle = readings.utilization_percent == Some(0);
            processes::read(&mut asker, &device, idle)
        };
        let migs = if cut_up {
            migs(&mut asker, &device)
        } else {
            Vec::new()
        };
        let state = asker.state()?;
        emit(Found::Reading(Box::new(Reading {
            index,
            mig: None,
            identity: Some(Identity { uuid, name }),
            state,
            readings,
            processes,
        })));
        for (position, mig) in migs {
            self.mig(index, position, &mig, emit)?;
        }
        Ok(())
    }

    fn mig(
        &mut self,
        index: u32,
        position: u32,
        device: &Device<'_>,
        emit: &mut impl FnMut(Found),
    ) -> Result<(), Fault> {
        let uuid = match self
            .meter
            .call("nvmlDeviceGetUUID", Some(index), || device.uuid())
        {
            Ok(uuid) => uuid,
            Err(Fault::Abandoned) => return Err(Fault::Abandoned),
            // Taken apart between being listed and being asked.
            Err(_) => return Ok(()),
        };
        let mut asker = Asker::new(self.meter, index, remembered(&mut self.memories, &uuid));
        let name = name(&mut asker, device);
        let readings = device::memory(&mut asker, device);
        let processes = processes::read(&mut asker, device, false);
        let state = asker.state()?;
        emit(Found::Reading(Box::new(Reading {
            index,
            mig: Some(position),
            identity: Some(Identity { uuid, name }),
            state,
            readings,
            processes,
        })));
        Ok(())
    }
}

/// The GPU at an index that did not tell who it is.
fn nameless(
    index: u32,
    fault: &Fault,
    call: &str,
    emit: &mut impl FnMut(Found),
) -> Result<(), Fault> {
    if *fault == Fault::Abandoned {
        return Err(Fault::Abandoned);
    }
    emit(Found::Reading(Box::new(Reading {
        index,
        mig: None,
        identity: None,
        state: fault.state(call),
        readings: GpuReadings::default(),
        processes: Vec::new(),
    })));
    Ok(())
}

fn remembered<'m>(memories: &'m mut BTreeMap<String, Memory>, uuid: &str) -> &'m mut Memory {
    if memories.len() >= MAX_REMEMBERED && !memories.contains_key(uuid) {
        memories.clear();
    }
    memories.entry(uuid.to_owned()).or_insert_with(Memory::new)
}

/// The product name, asked until it is told once.
fn name(asker: &mut Asker<'_>, device: &Device<'_>) -> String {
    if asker.memory.name.is_none() {
        asker.memory.name = asker.ask(("nvmlDeviceGetName", ""), || device.name());
    }
    asker.memory.name.clone().unwrap_or_default()
}

/// MIG devices of a GPU by position. Positions may have holes.
fn migs<'n>(asker: &mut Asker<'_>, device: &Device<'n>) -> Vec<(u32, Device<'n>)> {
    let count = asker.ask(("nvmlDeviceGetMaxMigDeviceCount", ""), || {
        device.mig_device_count()
    });
    (0..count.unwrap_or(0).min(MAX_MIG_DEVICES))
        .filter_map(|position| {
            let mig = asker.ask(("nvmlDeviceGetMigDeviceHandleByIndex", ""), || {
                device.mig_device_by_index(position)
            })?;
            Some((position, mig))
        })
        .collect()
}
