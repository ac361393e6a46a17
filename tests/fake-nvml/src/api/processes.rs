//! Processes on a device: their memory and their share of the SM time.

use std::ffi::{c_uint, c_ulonglong};
use std::time::{SystemTime, UNIX_EPOCH};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlProcessInfo_t, nvmlProcessUtilizationSample_t,
    nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED, nvmlReturn_t,
};

use crate::call::{self, Answer};
use crate::scenario::Kind;

/// `NVML_VALUE_NOT_AVAILABLE` in an `unsigned long long`.
const NOT_AVAILABLE: c_ulonglong = c_ulonglong::MAX;

/// How often the stand-in takes a utilisation sample, in microseconds: finer than any test's
/// rounds, so that each round sees a new one.
const SAMPLE_PERIOD_US: c_ulonglong = 5_000;

fn running(symbol: &str, device: nvmlDevice_t, kind: Kind) -> Answer<Vec<nvmlProcessInfo_t>> {
    let found = call::device(symbol, device)?;
    let listed = found.processes()?;
    let wanted = listed
        .iter()
        .filter(|(process, _, _)| process.kind == kind || process.kind == Kind::Both);
    Ok(wanted
        .filter_map(|(process, gpu_instance, compute_instance)| {
            Some(nvmlProcessInfo_t {
                pid: process.pid.resolve()?,
                usedGpuMemory: found
                    .read(process.memory_bytes.as_ref())
                    .unwrap_or(NOT_AVAILABLE),
                gpuInstanceId: *gpu_instance,
                computeInstanceId: *compute_instance,
            })
        })
        .collect())
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    let symbol = "nvmlDeviceGetComputeRunningProcesses_v3";
    let answer = running(symbol, device, Kind::Compute);
    // SAFETY: the module's contract.
    unsafe { call::give_list(infos, count, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> nvmlReturn_t {
    let symbol = "nvmlDeviceGetGraphicsRunningProcesses_v3";
    let answer = running(symbol, device, Kind::Graphics);
    // SAFETY: the module's contract.
    unsafe { call::give_list(infos, count, answer) }
}

fn utilisation(
    device: nvmlDevice_t,
    last_seen: c_ulonglong,
) -> Answer<Vec<nvmlProcessUtilizationSample_t>> {
    let found = call::device("nvmlDeviceGetProcessUtilization", device)?;
    if found.gpu()?.readings.utilization_percent.is_none() || !found.gpu()?.migs.is_empty() {
        return Err(NOT_SUPPORTED);
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as c_ulonglong);
    let taken = now - now % SAMPLE_PERIOD_US;
    if taken <= last_seen {
        return Err(NOT_FOUND);
    }
    let samples: Vec<_> = found
        .processes()?
        .into_iter()
        .filter_map(|(process, _, _)| {
            let share = found.read_u32(process.sm_percent.as_ref()).ok()?;
            Some(nvmlProcessUtilizationSample_t {
                pid: process.pid.resolve()?,
                timeStamp: taken,
                smUtil: share,
                memUtil: 0,
                encUtil: 0,
                decUtil: 0,
            })
        })
        .filter(|sample| sample.smUtil > 0)
        .collect();
    if samples.is_empty() {
        return Err(NOT_FOUND);
    }
    Ok(samples)
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: nvmlDevice_t,
    samples: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    last_seen: c_ulonglong,
) -> nvmlReturn_t {
    let answer = utilisation(device, last_seen);
    // SAFETY: the module's contract.
    unsafe { call::give_list(samples, count, answer) }
}
