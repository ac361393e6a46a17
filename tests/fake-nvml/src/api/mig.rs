//! MIG devices.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    NVML_DEVICE_MIG_DISABLE, NVML_DEVICE_MIG_ENABLE, nvmlDevice_t, nvmlDeviceAttributes_t,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND, nvmlReturn_t,
};

use super::device::handle;
use crate::call;

/// MIG devices that an A100 can be cut into (NVIDIA's MIG user guide, "supported profiles").
const MAX_MIG_DEVICES: c_uint = 7;

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetMigMode", device).and_then(|found| {
        Ok(if found.gpu()?.migs.is_empty() {
            NVML_DEVICE_MIG_DISABLE
        } else {
            NVML_DEVICE_MIG_ENABLE
        })
    });
    // SAFETY: the module's contract.
    match unsafe { call::give(current, answer) } {
        // SAFETY: the module's contract.
        0 => unsafe { call::give(pending, answer) },
        code => code,
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(
    device: nvmlDevice_t,
    count: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetMaxMigDeviceCount", device);
    // SAFETY: the module's contract.
    unsafe { call::give(count, answer.map(|_| MAX_MIG_DEVICES)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    mig: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetMigDeviceHandleByIndex", device).and_then(|found| {
        if index >= MAX_MIG_DEVICES {
            return Err(INVALID_ARGUMENT);
        }
        let mig = found.gpu()?.migs.get(index as usize).ok_or(NOT_FOUND)?;
        Ok(handle(&mig.uuid))
    });
    // SAFETY: the module's contract.
    unsafe { call::give(mig, answer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
    mig: nvmlDevice_t,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    let symbol = "nvmlDeviceGetDeviceHandleFromMigDeviceHandle";
    let answer = call::device(symbol, mig).and_then(|found| {
        found.mig()?.ok_or(INVALID_ARGUMENT)?;
        Ok(handle(&found.gpu()?.uuid))
    });
    // SAFETY: the module's contract.
    unsafe { call::give(device, answer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceIsMigDeviceHandle(
    device: nvmlDevice_t,
    is_mig: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceIsMigDeviceHandle", device);
    // SAFETY: the module's contract.
    unsafe { call::give(is_mig, answer.map(|found| u32::from(found.mig.is_some()))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(
    device: nvmlDevice_t,
    id: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetGpuInstanceId", device)
        .and_then(|found| Ok(found.mig()?.ok_or(INVALID_ARGUMENT)?.gpu_instance));
    // SAFETY: the module's contract.
    unsafe { call::give(id, answer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeInstanceId(
    device: nvmlDevice_t,
    id: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetComputeInstanceId", device)
        .and_then(|found| Ok(found.mig()?.ok_or(INVALID_ARGUMENT)?.compute_instance));
    // SAFETY: the module's contract.
    unsafe { call::give(id, answer) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetAttributes_v2(
    device: nvmlDevice_t,
    attributes: *mut nvmlDeviceAttributes_t,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetAttributes_v2", device).and_then(|found| {
        found.mig()?.ok_or(INVALID_ARGUMENT)?;
        let total = found.read(found.readings()?.memory_total_bytes.as_ref())?;
        Ok(nvmlDeviceAttributes_t {
            multiprocessorCount: 42, // of the profile 3g.40gb, as all below
            sharedCopyEngineCount: 3,
            sharedDecoderCount: 2,
            sharedEncoderCount: 0,
            sharedJpegCount: 0,
            sharedOfaCount: 0,
            gpuInstanceSliceCount: 3,
            computeInstanceSliceCount: 3,
            memorySizeMB: total >> 20,
        })
    });
    // SAFETY: the module's contract.
    unsafe { call::give(attributes, answer) }
}
