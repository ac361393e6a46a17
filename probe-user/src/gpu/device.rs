//! All readings of one device.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PcieUtilCounter, TemperatureSensor,
};
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use probe_core::record::{GpuReadings, GpuState};

use super::fault::Fault;
use super::meter::Meter;

/// How long an answer "not supported" or "no permission" holds before the question is put again:
/// long enough to cost nothing, short enough to see a changed mode (MIG, persistence, permissions).
const REFUSAL_HOLDS: Duration = Duration::from_mins(5);

/// NVML gives power in milliwatts. Divided by, not multiplied with its inverse: the quotient is the
/// double nearest to the true value.
const MILLIWATTS_PER_WATT: f64 = 1e3;
/// NVML gives clocks in megahertz.
const MEGAHERTZ: u64 = 1_000_000;
/// NVML gives PCIe throughput in "KB/s", which are 1024 bytes.
const KIB: u64 = 1024;

/// A question to a device: NVML function, and which of its values where it has several.
type Question = (&'static str, &'static str);

/// What is known of one device from earlier rounds.
#[derive(Debug)]
pub(super) struct Memory {
    refused: BTreeSet<Question>,
    refused_since: Instant,
    /// Product name.
    pub(super) name: Option<String>,
    /// Time of the latest process utilisation sample seen, in the driver's microseconds.
    pub(super) last_sample: u64,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            refused: BTreeSet::new(),
            refused_since: Instant::now(),
            name: None,
            last_sample: 0,
        }
    }
}

/// Puts one round's questions to one device. After the GPU is lost or the thread given up, it asks
/// no more.
#[derive(Debug)]
pub(super) struct Asker<'a> {
    meter: &'a Meter,
    gpu: u32,
    pub(super) memory: &'a mut Memory,
    end: Option<Fault>,
    reason: Option<String>,
}

impl<'a> Asker<'a> {
    /// An asker for (a MIG device of) the GPU with an NVML index.
    pub(super) fn new(meter: &'a Meter, gpu: u32, memory: &'a mut Memory) -> Self {
        if memory.refused_since.elapsed() >= REFUSAL_HOLDS {
            memory.refused.clear();
            memory.refused_since = Instant::now();
        }
        Self {
            meter,
            gpu,
            memory,
            end: None,
            reason: None,
        }
    }

    /// Puts a question; `None` for every answer without a value.
    pub(super) fn ask<T>(
        &mut self,
        question: Question,
        call: impl FnOnce() -> Result<T, NvmlError>,
    ) -> Option<T> {
        self.try_ask(question, call).ok()
    }

    /// Puts a question and tells why there is no value.
    pub(super) fn try_ask<T>(
        &mut self,
        question: Question,
        call: impl FnOnce() -> Result<T, NvmlError>,
    ) -> Result<T, Fault> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        if self.memory.refused.contains(&question) {
            return Err(Fault::Unsupported);
        }
        let answer = self.meter.call(question.0, Some(self.gpu), call);
        match &answer {
            Ok(_) | Err(Fault::Nothing) => {}
            Err(Fault::Unsupported | Fault::Denied) => {
                self.memory.refused.insert(question);
            }
            Err(Fault::Failed(reason)) => {
                let name = question.0;
                self.reason
                    .get_or_insert_with(|| format!("{name}: {reason}"));
            }
            Err(end @ (Fault::Lost | Fault::Abandoned)) => self.end = Some(end.clone()),
        }
        answer
    }

    /// State of the device after all questions.
    ///
    /// # Errors
    ///
    /// The thread has been given up.
    pub(super) fn state(self) -> Result<GpuState, Fault> {
        match (self.end, self.reason) {
            (Some(Fault::Abandoned), _) => Err(Fault::Abandoned),
            (Some(_), _) => Ok(GpuState::Lost),
            (None, Some(reason)) => Ok(GpuState::Failing(reason)),
            (None, None) => Ok(GpuState::Ok),
        }
    }
}

/// Memory of a GPU or MIG device.
pub(super) fn memory(asker: &mut Asker<'_>, device: &Device<'_>) -> GpuReadings {
    let memory = asker.ask(("nvmlDeviceGetMemoryInfo_v2", ""), || device.memory_info());
    GpuReadings {
        memory_used_bytes: memory.as_ref().map(|memory| memory.used),
        memory_total_bytes: memory.as_ref().map(|memory| memory.total),
        ..GpuReadings::default()
    }
}

/// Every reading of a whole GPU.
pub(super) fn readings(asker: &mut Asker<'_>, device: &Device<'_>) -> GpuReadings {
    let memory = memory(asker, device);
    let rates = asker.ask(("nvmlDeviceGetUtilizationRates", ""), || {
        device.utilization_rates()
    });
    let mut clock = |clock: Clock, detail| {
        let mhz = asker.ask(("nvmlDeviceGetClockInfo", detail), || {
            device.clock_info(clock)
        });
        mhz.map(|mhz| u64::from(mhz) * MEGAHERTZ)
    };
    let (sm_clock_hertz, memory_clock_hertz) =
        (clock(Clock::SM, "sm"), clock(Clock::Memory, "mem"));
    let mut ecc = |kind: MemoryError, detail| {
        asker.ask(("nvmlDeviceGetTotalEccErrors", detail), || {
            device.total_ecc_errors(kind, EccCounter::Volatile)
        })
    };
    let ecc_corrected = ecc(MemoryError::Corrected, "corrected");
    let ecc_uncorrected = ecc(MemoryError::Uncorrected, "uncorrected");
    let mut throughput = |counter: PcieUtilCounter, detail| {
        let kib = asker.ask(("nvmlDeviceGetPcieThroughput", detail), || {
            device.pcie_throughput(counter)
        });
        kib.map(|kib| u64::from(kib) * KIB)
    };
    let sent = throughput(PcieUtilCounter::Send, "sent");
    let received = throughput(PcieUtilCounter::Receive, "received");
    GpuReadings {
        utilization_percent: rates.as_ref().map(|rates| rates.gpu),
        memory_utilization_percent: rates.as_ref().map(|rates| rates.memory),
        temperature_celsius: asker.ask(("nvmlDeviceGetTemperature", ""), || {
            device.temperature(TemperatureSensor::Gpu)
        }),
        power_watts: asker
            .ask(("nvmlDeviceGetPowerUsage", ""), || device.power_usage())
            .map(|milliwatts| f64::from(milliwatts) / MILLIWATTS_PER_WATT),
        power_limit_watts: asker
            .ask(("nvmlDeviceGetEnforcedPowerLimit", ""), || {
                device.enforced_power_limit()
            })
            .map(|milliwatts| f64::from(milliwatts) / MILLIWATTS_PER_WATT),
        sm_clock_hertz,
        memory_clock_hertz,
        max_sm_clock_hertz: asker
            .ask(("nvmlDeviceGetMaxClockInfo", "sm"), || {
                device.max_clock_info(Clock::SM)
            })
            .map(|mhz| u64::from(mhz) * MEGAHERTZ),
        throttle_reasons: asker.ask(("nvmlDeviceGetCurrentClocksThrottleReasons", ""), || {
            throttle_reasons(device)
        }),
        ecc_corrected,
        ecc_uncorrected,
        pcie_sent_bytes_per_second: sent,
        pcie_received_bytes_per_second: received,
        pcie_replays: asker
            .ask(("nvmlDeviceGetPcieReplayCounter", ""), || {
                device.pcie_replay_counter()
            })
            .map(u64::from),
        pcie_generation: asker.ask(("nvmlDeviceGetCurrPcieLinkGeneration", ""), || {
            device.current_pcie_link_gen()
        }),
        pcie_width: asker.ask(("nvmlDeviceGetCurrPcieLinkWidth", ""), || {
            device.current_pcie_link_width()
        }),
        ..memory
    }
}

/// The whole bit mask: the wrapper's own method drops bits that it does not know.
fn throttle_reasons(device: &Device<'_>) -> Result<u64, NvmlError> {
    let library = device.nvml().lib();
    let symbol = nvml_sym(library.nvmlDeviceGetCurrentClocksThrottleReasons.as_ref())?;
    let mut reasons = 0;
    // SAFETY: the handle is the device's own, `reasons` is writable, and the symbol has the type
    // that nvml-wrapper-sys declares from nvml.h.
    nvml_try(unsafe { symbol(device.handle(), &raw mut reasons) })?;
    Ok(reasons)
}
