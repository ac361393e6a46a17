//! Initialisation, versions and error texts.

use std::ffi::{c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::{
    nvmlReturn_enum_NVML_ERROR_UNINITIALIZED as UNINITIALIZED,
    nvmlReturn_enum_NVML_SUCCESS as SUCCESS, nvmlReturn_t,
};

use crate::call::{self, Answer};
use crate::fault::ERRORS;
use crate::state;

fn initialise(symbol: &str) -> Answer<()> {
    let call = call::initialisation(symbol)?;
    if let Some(error) = call.scenario.init_error {
        return Err(error.0);
    }
    let mut state = state::lock();
    state.references = state.references.saturating_add(1);
    Ok(())
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    initialise("nvmlInit_v2").err().unwrap_or(SUCCESS)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> nvmlReturn_t {
    initialise("nvmlInitWithFlags").err().unwrap_or(SUCCESS)
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    let mut state = state::lock();
    let Some(left) = state.references.checked_sub(1) else {
        return UNINITIALIZED;
    };
    state.references = left;
    if left == 0 {
        state.event_sets.clear();
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub(super) extern "C" fn nvmlErrorString(result: nvmlReturn_t) -> *const c_char {
    ERRORS
        .iter()
        .find(|(code, _, _)| *code == result)
        .map_or(c"Unknown Error", |(_, _, text)| *text)
        .as_ptr()
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlSystemGetDriverVersion(
    version: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let call = call::system("nvmlSystemGetDriverVersion");
    let answer = call.as_ref().map(|call| call.scenario.driver.as_str());
    // SAFETY: the module's contract.
    unsafe { call::give_text(version, length, answer.map_err(|code| *code)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlSystemGetNVMLVersion(
    version: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    let call = call::system("nvmlSystemGetNVMLVersion");
    let answer = call.as_ref().map(|call| call.scenario.nvml.as_str());
    // SAFETY: the module's contract.
    unsafe { call::give_text(version, length, answer.map_err(|code| *code)) }
}

#[unsafe(no_mangle)]
pub(super) unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(
    version: *mut c_int,
) -> nvmlReturn_t {
    let answer = call::system("nvmlSystemGetCudaDriverVersion_v2");
    // SAFETY: the module's contract.
    unsafe { call::give(version, answer.map(|call| call.scenario.cuda)) }
}
