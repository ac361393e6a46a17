//! Readings of a device: memory, utilisation, temperature, power, clocks, ECC, PCIe.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlClockType_enum_NVML_CLOCK_GRAPHICS as CLOCK_GRAPHICS,
    nvmlClockType_enum_NVML_CLOCK_MEM as CLOCK_MEM, nvmlClockType_enum_NVML_CLOCK_SM as CLOCK_SM,
    nvmlClockType_t, nvmlDevice_t, nvmlEccCounterType_enum_NVML_VOLATILE_ECC as VOLATILE_ECC,
    nvmlEccCounterType_t, nvmlEnableState_enum_NVML_FEATURE_ENABLED as ENABLED, nvmlEnableState_t,
    nvmlMemory_t, nvmlMemory_v2_t,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_CORRECTED as CORRECTED,
    nvmlMemoryErrorType_enum_NVML_MEMORY_ERROR_TYPE_UNCORRECTED as UNCORRECTED,
    nvmlMemoryErrorType_t, nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES as PCIE_RX,
    nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES as PCIE_TX, nvmlPcieUtilCounter_t,
    nvmlPstates_t, nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH as VERSION_MISMATCH,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_t,
    nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU as TEMPERATURE_GPU, nvmlTemperatureSensors_t,
    nvmlUtilization_t,
};

use crate::call::{self, Answer};

/// `NVML_STRUCT_VERSION(Memory, 2)` of `nvml.h`: size of the structure, version in the top byte.
const MEMORY_V2: c_uint = size_of::<nvmlMemory_v2_t>() as c_uint | (2 << 24);

/// Exports functions that give one reading of the device.
macro_rules! readings {
    ($($symbol:ident: $type:ty = $read:ident($field:ident);)*) => {$(
        #[unsafe(no_mangle)]
        pub(super) unsafe extern "C" fn $symbol(device: nvmlDevice_t, value: *mut $type) -> nvmlReturn_t {
            let answer = call::device(stringify!($symbol), device)
                .and_then(|found| found.$read(found.readings()?.$field.as_ref()));
            // SAFETY: the module's contract.
            unsafe { call::give(value, answer) }
        }
    )*};
}

readings! {
    nvmlDeviceGetPowerUsage: c_uint = read_u32(power_milliwatts);
    nvmlDeviceGetEnforcedPowerLimit: c_uint = read_u32(power_limit_milliwatts);
    nvmlDeviceGetTotalEnergyConsumption: c_ulonglong = read(energy_millijoules);
    nvmlDeviceGetPerformanceState: nvmlPstates_t = read_u32(performance_state);
    nvmlDeviceGetCurrentClocksThrottleReasons: c_ulonglong = read(throttle_reasons);
    nvmlDeviceGetCurrentClocksEventReasons: c_ulonglong = read(throttle_reasons);
    nvmlDeviceGetPcieReplayCounter: c_uint = read_u32(pcie_replays);
    nvmlDeviceGetCurrPcieLinkGeneration: c_uint = read_u32(pcie_generation);
    nvmlDeviceGetCurrPcieLinkWidth: c_uint = read_u32(pcie_width);
    nvmlDeviceGetMaxPcieLinkGeneration: c_uint = read_u32(max_pcie_generation);
    nvmlDeviceGetMaxPcieLinkWidth: c_uint = read_u32(max_pcie_width);
}

fn memory(symbol: &str, device: nvmlDevice_t) -> Answer<nvmlMemory_v2_t> {
    let found = call::device(symbol, device)?;
    let readings = found.readings()?;
    let total = found.read(readings.memory_total_bytes.as_ref())?;
    let used = found.read(readings.memory_used_bytes.as_ref())?;
    let reserved = found
        .read(readings.memory_reserved_bytes.as_ref())
        .unwrap_or(0);
    Ok(nvmlMemory_v2_t {
        version: MEMORY_V2,
        total,
        reserved,
        free: total.saturating_sub(used).saturating_sub(reserved),
        used,
    })
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetMemoryInfo(
    device: nvmlDevice_t,
    info: *mut nvmlMemory_t,
) -> nvmlReturn_t {
    // The first version has no field for the reserved part and counts it as used.
    let answer = memory("nvmlDeviceGetMemoryInfo", device).map(|memory| nvmlMemory_t {
        total: memory.total,
        free: memory.free,
        used: memory.used.saturating_add(memory.reserved),
    });
    // SAFETY: the module's contract.
    unsafe { call::give(info, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvmlDevice_t,
    info: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    if info.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: not null, and the module's contract; the first field is all that is read.
    let version = unsafe { (&raw const (*info).version).read() };
    if version != MEMORY_V2 {
        return VERSION_MISMATCH;
    }
    let answer = memory("nvmlDeviceGetMemoryInfo_v2", device);
    // SAFETY: the module's contract.
    unsafe { call::give(info, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetBAR1MemoryInfo(
    device: nvmlDevice_t,
    info: *mut nvmlBAR1Memory_t,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetBAR1MemoryInfo", device).and_then(|found| {
        let readings = found.readings()?;
        let total = found.read(readings.bar1_total_bytes.as_ref())?;
        let used = found.read(readings.bar1_used_bytes.as_ref())?;
        Ok(nvmlBAR1Memory_t {
            bar1Total: total,
            bar1Free: total.saturating_sub(used),
            bar1Used: used,
        })
    });
    // SAFETY: the module's contract.
    unsafe { call::give(info, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    rates: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetUtilizationRates", device).and_then(|found| {
        let readings = found.readings()?;
        Ok(nvmlUtilization_t {
            gpu: found.read_u32(readings.utilization_percent.as_ref())?,
            memory: found
                .read_u32(readings.memory_utilization_percent.as_ref())
                .unwrap_or(0),
        })
    });
    // SAFETY: the module's contract.
    unsafe { call::give(rates, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetTemperature(
    device: nvmlDevice_t,
    sensor: nvmlTemperatureSensors_t,
    celsius: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetTemperature", device).and_then(|found| {
        if sensor != TEMPERATURE_GPU {
            return Err(INVALID_ARGUMENT);
        }
        found.read_u32(found.readings()?.temperature_celsius.as_ref())
    });
    // SAFETY: the module's contract.
    unsafe { call::give(celsius, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetClockInfo(
    device: nvmlDevice_t,
    clock: nvmlClockType_t,
    mhz: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetClockInfo", device).and_then(|found| {
        let readings = found.readings()?;
        match clock {
            CLOCK_GRAPHICS => found.read_u32(readings.graphics_clock_mhz.as_ref()),
            CLOCK_SM => found.read_u32(readings.sm_clock_mhz.as_ref()),
            CLOCK_MEM => found.read_u32(readings.memory_clock_mhz.as_ref()),
            _ => Err(NOT_SUPPORTED),
        }
    });
    // SAFETY: the module's contract.
    unsafe { call::give(mhz, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetMaxClockInfo(
    device: nvmlDevice_t,
    clock: nvmlClockType_t,
    mhz: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetMaxClockInfo", device).and_then(|found| {
        let readings = found.readings()?;
        match clock {
            CLOCK_SM | CLOCK_GRAPHICS => found.read_u32(readings.max_sm_clock_mhz.as_ref()),
            CLOCK_MEM => found.read_u32(readings.max_memory_clock_mhz.as_ref()),
            _ => Err(NOT_SUPPORTED),
        }
    });
    // SAFETY: the module's contract.
    unsafe { call::give(mhz, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetEccMode(
    device: nvmlDevice_t,
    current: *mut nvmlEnableState_t,
    pending: *mut nvmlEnableState_t,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetEccMode", device).and_then(|found| {
        let readings = found.readings()?;
        found.read(readings.ecc_corrected.as_ref()).map(|_| ENABLED)
    });
    // SAFETY: the module's contract.
    match unsafe { call::give(current, answer) } {
        // SAFETY: the module's contract.
        0 => unsafe { call::give(pending, Ok(ENABLED)) },
        code => code,
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: nvmlDevice_t,
    kind: nvmlMemoryErrorType_t,
    counter: nvmlEccCounterType_t,
    errors: *mut c_ulonglong,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetTotalEccErrors", device).and_then(|found| {
        let readings = found.readings()?;
        match (kind, counter) {
            (CORRECTED, VOLATILE_ECC) => found.read(readings.ecc_corrected.as_ref()),
            (UNCORRECTED, VOLATILE_ECC) => found.read(readings.ecc_uncorrected.as_ref()),
            _ => Err(NOT_SUPPORTED),
        }
    });
    // SAFETY: the module's contract.
    unsafe { call::give(errors, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetPcieThroughput(
    device: nvmlDevice_t,
    counter: nvmlPcieUtilCounter_t,
    kib_per_second: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetPcieThroughput", device).and_then(|found| {
        let readings = found.readings()?;
        match counter {
            PCIE_TX => found.read_u32(readings.pcie_sent_kib_per_second.as_ref()),
            PCIE_RX => found.read_u32(readings.pcie_received_kib_per_second.as_ref()),
            _ => Err(INVALID_ARGUMENT),
        }
    });
    // SAFETY: the module's contract.
    unsafe { call::give(kib_per_second, answer) }
}
