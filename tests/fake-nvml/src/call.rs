//! What every exported function does first: check, find the device, suffer the scenario's faults.

use std::ffi::{CStr, c_char, c_uint};
use std::sync::Arc;
use std::time::Duration;

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST as GPU_IS_LOST,
    nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE as INSUFFICIENT_SIZE,
    nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT as INVALID_ARGUMENT,
    nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED as NOT_SUPPORTED,
    nvmlReturn_enum_NVML_ERROR_UNINITIALIZED as UNINITIALIZED,
    nvmlReturn_enum_NVML_ERROR_UNKNOWN as UNKNOWN, nvmlReturn_enum_NVML_SUCCESS as SUCCESS,
    nvmlReturn_t,
};

use crate::fault::Fault;
use crate::scenario::{Gpu, Mig, Process, Readings, Scenario};
use crate::state;
use crate::value::Value;

/// What a call answers; `Err` is an NVML error code.
pub(crate) type Answer<T> = Result<T, nvmlReturn_t>;

/// A call that the scenario lets through.
pub(crate) struct Call {
    pub(crate) scenario: Arc<Scenario>,
    /// Seconds since NVML was initialised.
    pub(crate) t: f64,
}

/// Begins a call that concerns no device.
pub(crate) fn system(symbol: &str) -> Answer<Call> {
    begin(symbol, None, true)
}

/// Begins `nvmlInit_v2` or `nvmlInitWithFlags`.
pub(crate) fn initialisation(symbol: &str) -> Answer<Call> {
    begin(symbol, None, false)
}

/// Begins a call on the GPU at a position of the scenario.
pub(crate) fn at_position(symbol: &str, position: usize) -> Answer<Call> {
    begin(symbol, Some(position), true)
}

fn begin(symbol: &str, gpu: Option<usize>, initialised: bool) -> Answer<Call> {
    let call = {
        let mut state = state::lock();
        if initialised && state.references == 0 {
            return Err(UNINITIALIZED);
        }
        Call {
            scenario: state.scenario().ok_or(UNKNOWN)?,
            t: state.seconds(),
        }
    };
    let faults = call.scenario.faults.iter();
    let striking: Vec<&Fault> = faults
        .filter(|fault| fault.strikes(symbol, gpu, call.t))
        .collect();
    suffer(&striking)?;
    Ok(call)
}

fn suffer(faults: &[&Fault]) -> Answer<()> {
    for fault in faults {
        std::thread::sleep(Duration::from_millis(fault.hang_ms));
        if let Some(error) = fault.error {
            return Err(error.0);
        }
    }
    Ok(())
}

/// A call on a device that is there.
pub(crate) struct DeviceCall {
    pub(crate) call: Call,
    /// Position of the GPU in the scenario.
    pub(crate) gpu: usize,
    /// Position of the MIG device in the GPU, for a MIG handle.
    pub(crate) mig: Option<usize>,
}

/// Begins a call on a device handle.
pub(crate) fn device(symbol: &str, handle: nvmlDevice_t) -> Answer<DeviceCall> {
    let (gpu, mig) = find(handle)?;
    let call = at_position(symbol, gpu)?;
    let found = DeviceCall { call, gpu, mig };
    let t = found.call.t;
    let there = found.gpu()?;
    if [&there.lost, &there.absent]
        .into_iter()
        .flatten()
        .any(|window| window.contains(t))
    {
        return Err(GPU_IS_LOST);
    }
    Ok(found)
}

/// Position of the GPU, and of the MIG device in it, that a handle stands for.
fn find(handle: nvmlDevice_t) -> Answer<(usize, Option<usize>)> {
    let mut state = state::lock();
    if state.references == 0 {
        return Err(UNINITIALIZED);
    }
    let scenario = state.scenario().ok_or(UNKNOWN)?;
    let uuid = state.uuid_of(handle.addr()).ok_or(INVALID_ARGUMENT)?;
    for (position, gpu) in scenario.gpus.iter().enumerate() {
        if gpu.uuid == uuid {
            return Ok((position, None));
        }
        if let Some(mig) = gpu.migs.iter().position(|mig| mig.uuid == uuid) {
            return Ok((position, Some(mig)));
        }
    }
    // The scenario no longer has it: pulled out.
    Err(GPU_IS_LOST)
}

impl DeviceCall {
    /// The GPU; for a MIG handle, the one it is part of.
    pub(crate) fn gpu(&self) -> Answer<&Gpu> {
        self.call.scenario.gpus.get(self.gpu).ok_or(UNKNOWN)
    }

    /// The MIG device, for a MIG handle.
    pub(crate) fn mig(&self) -> Answer<Option<&Mig>> {
        let Some(position) = self.mig else {
            return Ok(None);
        };
        self.gpu()?.migs.get(position).map(Some).ok_or(UNKNOWN)
    }

    /// What the handle's device reads.
    pub(crate) fn readings(&self) -> Answer<&Readings> {
        Ok(match self.mig()? {
            Some(mig) => &mig.readings,
            None => &self.gpu()?.readings,
        })
    }

    /// Processes on the handle's device, each with the ids of the MIG instances it runs on.
    pub(crate) fn processes(&self) -> Answer<Vec<(&Process, u32, u32)>> {
        let running = |process: &&Process| process.during.contains(self.call.t);
        let of_mig = |mig: &'_ Mig| (mig.gpu_instance, mig.compute_instance);
        let gpu = self.gpu()?;
        let mut listed = Vec::new();
        if self.mig.is_none() {
            let whole = gpu.processes.iter().filter(running);
            listed.extend(whole.map(|process| (process, u32::MAX, u32::MAX)));
        }
        for (position, mig) in gpu.migs.iter().enumerate() {
            if self.mig.is_none_or(|wanted| wanted == position) {
                let (instance, compute) = of_mig(mig);
                let own = mig.processes.iter().filter(running);
                listed.extend(own.map(|process| (process, instance, compute)));
            }
        }
        Ok(listed)
    }

    /// A reading now; "not supported" where the scenario has none.
    pub(crate) fn read(&self, value: Option<&Value>) -> Answer<u64> {
        value
            .map(|value| value.at(self.call.t))
            .ok_or(NOT_SUPPORTED)
    }

    /// A reading now as `unsigned int`; "not supported" where the scenario has none.
    pub(crate) fn read_u32(&self, value: Option<&Value>) -> Answer<u32> {
        value
            .map(|value| value.at_u32(self.call.t))
            .ok_or(NOT_SUPPORTED)
    }
}

/// Ends a call: gives its value to the caller's place for it.
///
/// # Safety
///
/// `place` is null or valid for a write of `T`.
pub(crate) unsafe fn give<T>(place: *mut T, answer: Answer<T>) -> nvmlReturn_t {
    if place.is_null() {
        return INVALID_ARGUMENT;
    }
    match answer {
        Ok(value) => {
            // SAFETY: not null, and the caller vouches for the rest.
            unsafe { place.write(value) };
            SUCCESS
        }
        Err(code) => code,
    }
}

/// Ends a call that gives text.
///
/// # Safety
///
/// `buffer` is null or valid for writes of `length` bytes.
pub(crate) unsafe fn give_text(
    buffer: *mut c_char,
    length: c_uint,
    answer: Answer<&str>,
) -> nvmlReturn_t {
    if buffer.is_null() {
        return INVALID_ARGUMENT;
    }
    let text = match answer {
        Ok(text) => text,
        Err(code) => return code,
    };
    if text.len() >= length as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the buffer has room for the text and its terminator; the two do not overlap.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), buffer, text.len());
        buffer.add(text.len()).write(0);
    }
    SUCCESS
}

/// Ends a call that gives a list: the count goes to `count` in any case, and a list that is too
/// small (or absent) gives "insufficient size".
///
/// # Safety
///
/// `count` is null or valid for a read and a write; `list` is null or valid for writes of as many
/// elements as `*count` says.
pub(crate) unsafe fn give_list<T>(
    list: *mut T,
    count: *mut c_uint,
    answer: Answer<Vec<T>>,
) -> nvmlReturn_t {
    if count.is_null() {
        return INVALID_ARGUMENT;
    }
    let values = match answer {
        Ok(values) => values,
        Err(code) => return code,
    };
    // SAFETY: not null, and the caller vouches for the rest.
    let room = unsafe { count.read() } as usize;
    let needed = c_uint::try_from(values.len()).unwrap_or(c_uint::MAX);
    // SAFETY: as above.
    unsafe { count.write(needed) };
    if values.is_empty() {
        return SUCCESS;
    }
    if list.is_null() || room < values.len() {
        return INSUFFICIENT_SIZE;
    }
    for (position, value) in values.into_iter().enumerate() {
        // SAFETY: `position` is below `room`, which the caller vouches for.
        unsafe { list.add(position).write(value) };
    }
    SUCCESS
}

/// Text that the caller gave.
///
/// # Safety
///
/// `text` is null or a C string that lives as long as the answer is used.
pub(crate) unsafe fn taken<'a>(text: *const c_char) -> Answer<&'a str> {
    if text.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| INVALID_ARGUMENT)
}
