//! Event sets: XID errors.

use std::ffi::{c_uint, c_ulonglong};
use std::time::{Duration, Instant};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlEventTypeXidCriticalError,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED,
    nvmlReturn_enum_NVML_ERROR_TIMEOUT as TIMEOUT, nvmlReturn_enum_NVML_SUCCESS as SUCCESS,
    nvmlReturn_t,
};

use crate::call::{self, Answer};
use crate::state::{self, EventSet, State};

/// The event types that the stand-in can raise.
const SUPPORTED: c_ulonglong = nvmlEventTypeXidCriticalError as c_ulonglong;

/// How often a waiting call looks for a new event.
const POLL: Duration = Duration::from_millis(2);

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlEventSetCreate(set: *mut nvmlEventSet_t) -> nvmlReturn_t {
    let answer = call::system("nvmlEventSetCreate").map(|_| {
        let mut state = state::lock();
        state.event_sets_made += 1;
        let made = state.event_sets_made;
        state.event_sets.insert(made, EventSet::default());
        std::ptr::without_provenance_mut(made)
    });
    // SAFETY: the module's contract.
    unsafe { call::give(set, answer) }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn nvmlEventSetFree(set: nvmlEventSet_t) -> nvmlReturn_t {
    match state::lock().event_sets.remove(&set.addr()) {
        Some(_) => SUCCESS,
        None => INVALID_ARGUMENT,
    }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlDeviceGetSupportedEventTypes(
    device: nvmlDevice_t,
    types: *mut c_ulonglong,
) -> nvmlReturn_t {
    let answer = call::device("nvmlDeviceGetSupportedEventTypes", device);
    // SAFETY: the module's contract.
    unsafe { call::give(types, answer.map(|_| SUPPORTED)) }
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn nvmlDeviceRegisterEvents(
    device: nvmlDevice_t,
    types: c_ulonglong,
    set: nvmlEventSet_t,
) -> nvmlReturn_t {
    register(device, types, set).err().unwrap_or(SUCCESS)
}

fn register(device: nvmlDevice_t, types: c_ulonglong, set: nvmlEventSet_t) -> Answer<()> {
    let found = call::device("nvmlDeviceRegisterEvents", device)?;
    if types & !SUPPORTED != 0 || found.mig.is_some() {
        return Err(NOT_SUPPORTED);
    }
    let uuid = found.gpu()?.uuid.clone();
    let mut state = state::lock();
    let set = state
        .event_sets
        .get_mut(&set.addr())
        .ok_or(INVALID_ARGUMENT)?;
    if !set.registered.iter().any(|(known, _)| *known == uuid) {
        set.registered.push((uuid, found.call.t));
    }
    Ok(())
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlEventSetWait_v2(
    set: nvmlEventSet_t,
    data: *mut nvmlEventData_t,
    timeout_ms: c_uint,
) -> nvmlReturn_t {
    let answer = wait(set, Duration::from_millis(timeout_ms.into()));
    // SAFETY: the module's contract.
    unsafe { call::give(data, answer) }
}

fn wait(set: nvmlEventSet_t, timeout: Duration) -> Answer<nvmlEventData_t> {
    let deadline = Instant::now() + timeout;
    loop {
        call::system("nvmlEventSetWait_v2")?;
        let event = next(&mut state::lock(), set.addr())?;
        if let Some((uuid, code)) = event {
            return Ok(nvmlEventData_t {
                device: super::device::handle(&uuid),
                eventType: SUPPORTED,
                eventData: code,
                gpuInstanceId: c_uint::MAX,
                computeInstanceId: c_uint::MAX,
            });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TIMEOUT);
        }
        std::thread::sleep(POLL.min(left));
    }
}

/// The next event of a set: UUID of the GPU and XID code.
fn next(state: &mut State, set: usize) -> Answer<Option<(String, u64)>> {
    let now = state.seconds();
    let set = state.event_sets.get_mut(&set).ok_or(INVALID_ARGUMENT)?;
    let waiting = state.xids.iter().enumerate().find(|(position, event)| {
        event.happens_s <= now
            && !set.delivered.contains(position)
            && set
                .registered
                .iter()
                .any(|(uuid, since)| *uuid == event.uuid && *since <= event.happens_s)
    });
    let Some((position, event)) = waiting else {
        return Ok(None);
    };
    set.delivered.push(position);
    Ok(Some((event.uuid.clone(), event.code)))
}
