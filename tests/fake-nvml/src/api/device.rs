//! Finding devices and telling what they are.

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::{
    NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE, NVML_DEVICE_PCI_BUS_ID_BUFFER_V2_SIZE, nvmlDevice_t,
    nvmlPciInfo_t, nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST as GPU_IS_LOST,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_FOUND as NOT_FOUND, nvmlReturn_t,
};

use crate::call::{self, Answer, Call};
use crate::scenario::Gpu;
use crate::state;

/// GPUs that are listed now, with their positions in the scenario.
fn listed(call: &Call) -> impl Iterator<Item = (usize, &Gpu)> {
    let t = call.t;
    let present = move |gpu: &Gpu| !gpu.absent.iter().any(|window| window.contains(t));
    call.scenario
        .gpus
        .iter()
        .enumerate()
        .filter(move |(_, gpu)| present(gpu))
}

/// The handle of a GPU or MIG device.
pub(super) fn handle(uuid: &str) -> nvmlDevice_t {
    std::ptr::without_provenance_mut(state::lock().handle_of(uuid))
}

/// The handle of the first listed GPU (or MIG device of one) that `wanted` picks.
fn look_up(symbol: &str, wanted: impl Fn(usize, &Gpu) -> Option<String>) -> Answer<nvmlDevice_t> {
    let call = call::system(symbol)?;
    let found = listed(&call)
        .enumerate()
        .find_map(|(index, (position, gpu))| Some((position, wanted(index, gpu)?)));
    let (position, uuid) = found.ok_or(NOT_FOUND)?;
    let call = call::at_position(symbol, position)?;
    let gpu = call.scenario.gpus.get(position).ok_or(NOT_FOUND)?;
    if gpu.lost.iter().any(|window| window.contains(call.t)) {
        return Err(GPU_IS_LOST);
    }
    Ok(handle(&uuid))
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> nvmlReturn_t {
    let answer = call::system("nvmlDeviceGetCount_v2");
    // SAFETY: the module's contract.
    unsafe { call::give(count, answer.map(|call| listed(&call).count() as c_uint)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    let wanted = |at: usize, gpu: &Gpu| (at == index as usize).then(|| gpu.uuid.clone());
    let answer = look_up("nvmlDeviceGetHandleByIndex_v2", wanted).map_err(|code| match code {
        NOT_FOUND => INVALID_ARGUMENT,
        other => other,
    });
    // SAFETY: the module's contract.
    unsafe { call::give(device, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    // SAFETY: the module's contract.
    let answer = unsafe { call::taken(uuid) }.and_then(|uuid| {
        look_up("nvmlDeviceGetHandleByUUID", |_, gpu| {
            let mut all = std::iter::once(&gpu.uuid).chain(gpu.migs.iter().map(|mig| &mig.uuid));
            all.find(|known| *known == uuid).cloned()
        })
    });
    // SAFETY: the module's contract.
    unsafe { call::give(device, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(
    bus_id: *const c_char,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    // SAFETY: the module's contract.
    let answer = unsafe { call::taken(bus_id) }.and_then(|bus_id| {
        look_up("nvmlDeviceGetHandleByPciBusId_v2", |_, gpu| {
            (gpu.pci_bus_id == bus_id).then(|| gpu.uuid.clone())
        })
    });
    // SAFETY: the module's contract.
    unsafe { call::give(device, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetIndex(
    device: nvmlDevice_t,
    index: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetIndex", device).and_then(|found| {
        let position = found.mig.or_else(|| {
            let mut all = listed(&found.call);
            all.position(|(position, _)| position == found.gpu)
        });
        position.map(|at| at as c_uint).ok_or(NOT_FOUND)
    });
    // SAFETY: the module's contract.
    unsafe { call::give(index, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetMinorNumber(
    device: nvmlDevice_t,
    minor: *mut c_uint,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetMinorNumber", device);
    // SAFETY: the module's contract.
    unsafe { call::give(minor, answer.map(|found| found.gpu as c_uint)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetName(
    device: nvmlDevice_t,
    name: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let found = call::device("nvmlDeviceGetName", device);
    let answer = found
        .as_ref()
        .map_err(|code| *code)
        .and_then(|found| match found.mig()? {
            Some(mig) => Ok(mig.name.as_str()),
            None => Ok(found.gpu()?.name.as_str()),
        });
    // SAFETY: the module's contract.
    unsafe { call::give_text(name, length, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetUUID(
    device: nvmlDevice_t,
    uuid: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let found = call::device("nvmlDeviceGetUUID", device);
    let answer = found
        .as_ref()
        .map_err(|code| *code)
        .and_then(|found| match found.mig()? {
            Some(mig) => Ok(mig.uuid.as_str()),
            None => Ok(found.gpu()?.uuid.as_str()),
        });
    // SAFETY: the module's contract.
    unsafe { call::give_text(uuid, length, answer) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: nvmlDevice_t,
    info: *mut nvmlPciInfo_t,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetPciInfo_v3", device)
        .and_then(|found| pci_info(&found.gpu()?.pci_bus_id).ok_or(INVALID_ARGUMENT));
    // SAFETY: the module's contract.
    unsafe { call::give(info, answer) }
}

fn pci_info(bus_id: &str) -> Option<nvmlPciInfo_t> {
    let mut parts = bus_id.split([':', '.']);
    let mut part = || u32::from_str_radix(parts.next()?, 16).ok();
    let (domain, bus, device) = (part()?, part()?, part()?);
    let legacy = format!("{domain:04X}:{bus:02X}:{device:02X}.0");
    Some(nvmlPciInfo_t {
        busIdLegacy: padded::<{ NVML_DEVICE_PCI_BUS_ID_BUFFER_V2_SIZE as usize }>(&legacy),
        domain,
        bus,
        device,
        pciDeviceId: 0x20B2_10DE, // A100-SXM4-80GB, NVIDIA
        pciSubSystemId: 0x1463_10DE,
        busId: padded::<{ NVML_DEVICE_PCI_BUS_ID_BUFFER_SIZE as usize }>(bus_id),
    })
}

/// Text in a fixed array, ended by at least one zero.
fn padded<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    for (place, byte) in array.iter_mut().take(N - 1).zip(text.bytes()) {
        *place = byte as c_char;
    }
    array
}
