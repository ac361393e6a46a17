//! The symbols as a C caller uses them.

use std::ffi::{CStr, c_uint, c_ulonglong};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use nvml_wrapper_sys::bindings as nvml;
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t, nvmlMemory_v2_t, nvmlProcessInfo_t,
};

use super::device::{nvmlDeviceGetCount_v2, nvmlDeviceGetHandleByIndex_v2, nvmlDeviceGetName};
use super::events::{nvmlDeviceRegisterEvents, nvmlEventSetCreate, nvmlEventSetWait_v2};
use super::processes::nvmlDeviceGetComputeRunningProcesses_v3;
use super::readings::{
    nvmlDeviceGetMemoryInfo_v2, nvmlDeviceGetPowerUsage, nvmlDeviceGetTemperature,
};
use super::system::{nvmlErrorString, nvmlInit_v2, nvmlShutdown};
use crate::state::{self, State};

/// One test at a time: the library has one state.
static TURN: Mutex<()> = Mutex::new(());

/// A scenario that plays from now on until this is dropped.
struct Played {
    path: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Played {
    fn new(scenario: &str) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        *state::lock() = State::new();
        let path = state::scenario_path().unwrap();
        std::fs::write(&path, scenario).unwrap();
        Self { path, _turn: turn }
    }

    /// Replaces the scenario while it plays.
    fn change(&self, scenario: &str) {
        std::fs::write(&self.path, scenario).unwrap();
        let later = SystemTime::now() + Duration::from_secs(1);
        let file = std::fs::File::options().write(true).open(&self.path);
        file.unwrap().set_modified(later).unwrap();
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        std::fs::remove_file(&self.path).ok();
    }
}

const ONE: &str = "driver = \"1\"\n[[gpu]]\nuuid = \"GPU-1\"\nname = \"Card\"\n";

fn first() -> nvmlDevice_t {
    let mut device = std::ptr::null_mut();
    // SAFETY: the place is valid.
    let code = unsafe { nvmlDeviceGetHandleByIndex_v2(0, &raw mut device) };
    assert_eq!(code, nvml::nvmlReturn_enum_NVML_SUCCESS);
    device
}

fn power(device: nvmlDevice_t) -> Result<u32, u32> {
    let mut value = 0;
    // SAFETY: the place is valid.
    match unsafe { nvmlDeviceGetPowerUsage(device, &raw mut value) } {
        0 => Ok(value),
        code => Err(code),
    }
}

#[test]
fn call_before_initialisation_is_refused() {
    let _played = Played::new(ONE);
    let mut count: c_uint = 0;
    // SAFETY: the place is valid.
    let code = unsafe { nvmlDeviceGetCount_v2(&raw mut count) };
    assert_eq!(code, nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED);
    assert_eq!(
        nvmlShutdown(),
        nvml::nvmlReturn_enum_NVML_ERROR_UNINITIALIZED
    );
}

#[test]
fn initialisation_with_a_scripted_error_fails_with_it() {
    let _played = Played::new("driver = \"1\"\ninit_error = 18");
    assert_eq!(
        nvmlInit_v2(),
        nvml::nvmlReturn_enum_NVML_ERROR_LIB_RM_VERSION_MISMATCH
    );
}

#[test]
fn null_place_is_an_invalid_argument() {
    let _played = Played::new(ONE);
    assert_eq!(nvmlInit_v2(), 0);
    let device = first();
    let invalid = nvml::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
    let null = std::ptr::null_mut::<nvmlProcessInfo_t>();
    // SAFETY: null is allowed everywhere.
    unsafe {
        assert_eq!(nvmlDeviceGetCount_v2(std::ptr::null_mut()), invalid);
        assert_eq!(
            nvmlDeviceGetMemoryInfo_v2(device, std::ptr::null_mut()),
            invalid
        );
        assert_eq!(nvmlDeviceGetName(device, std::ptr::null_mut(), 96), invalid);
        assert_eq!(
            nvmlDeviceGetPowerUsage(device, std::ptr::null_mut()),
            invalid
        );
        assert_eq!(
            nvmlDeviceGetComputeRunningProcesses_v3(device, std::ptr::null_mut(), null),
            invalid
        );
    }
    assert_eq!(power(std::ptr::null_mut()), Err(invalid));
}

#[test]
fn reading_that_the_scenario_leaves_out_is_not_supported() {
    let _played = Played::new(ONE);
    assert_eq!(nvmlInit_v2(), 0);
    assert_eq!(
        power(first()),
        Err(nvml::nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)
    );
}

#[test]
fn memory_structure_of_another_version_is_refused() {
    let played = format!("{ONE}readings = {{ memory_total_bytes = 9, memory_used_bytes = 4 }}");
    let _played = Played::new(&played);
    assert_eq!(nvmlInit_v2(), 0);
    let mut memory = nvmlMemory_v2_t {
        version: 1,
        total: 0,
        reserved: 0,
        free: 0,
        used: 0,
    };
    // SAFETY: the place is valid.
    let code = unsafe { nvmlDeviceGetMemoryInfo_v2(first(), &raw mut memory) };
    assert_eq!(
        code,
        nvml::nvmlReturn_enum_NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    );
    memory.version = (size_of::<nvmlMemory_v2_t>() | 2 << 24) as u32;
    // SAFETY: the place is valid.
    let code = unsafe { nvmlDeviceGetMemoryInfo_v2(first(), &raw mut memory) };
    assert_eq!((code, memory.total, memory.free), (0, 9, 5));
}

#[test]
fn list_that_is_too_small_tells_the_size_it_needs() {
    let one_process = "[[gpu.process]]\npid = 7\nmemory_bytes = 5\n";
    let _played = Played::new(&format!("{ONE}{one_process}{one_process}"));
    assert_eq!(nvmlInit_v2(), 0);
    let mut infos = [nvmlProcessInfo_t {
        pid: 0,
        usedGpuMemory: 0,
        gpuInstanceId: 0,
        computeInstanceId: 0,
    }; 2];
    let small = nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;
    for (room, expected) in [(0, small), (1, small), (2, 0)] {
        let mut count = room;
        // SAFETY: the list has room for two, and no more is told.
        let code = unsafe {
            nvmlDeviceGetComputeRunningProcesses_v3(first(), &raw mut count, infos.as_mut_ptr())
        };
        assert_eq!((code, count), (expected, 2));
    }
    assert_eq!((infos[1].pid, infos[1].usedGpuMemory), (7, 5));
}

#[test]
fn name_buffer_that_is_too_small_is_left_alone() {
    let _played = Played::new(ONE);
    assert_eq!(nvmlInit_v2(), 0);
    let mut name = [1; 5];
    // SAFETY: the buffer has the length given.
    unsafe {
        let code = nvmlDeviceGetName(first(), name.as_mut_ptr(), 4);
        assert_eq!(code, nvml::nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE);
        assert_eq!(name, [1; 5]);
        assert_eq!(nvmlDeviceGetName(first(), name.as_mut_ptr(), 5), 0);
        assert_eq!(CStr::from_ptr(name.as_ptr()), c"Card");
    }
}

#[test]
fn scenario_changed_while_playing_is_read_again() {
    let played = Played::new(ONE);
    assert_eq!(nvmlInit_v2(), 0);
    let device = first();
    played.change(&format!("{ONE}readings = {{ power_milliwatts = 5 }}"));
    assert_eq!(power(device), Ok(5));
    played.change("driver = ");
    assert_eq!(power(device), Ok(5), "a broken file leaves the one before");
    played.change("driver = \"1\"");
    assert_eq!(
        power(device),
        Err(nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST)
    );
}

#[test]
fn hang_delays_the_call_and_leaves_other_calls_alone() {
    let readings = "readings = { temperature_celsius = 50, power_milliwatts = 5 }";
    let fault = "[[fault]]\ncall = \"nvmlDeviceGetTemperature\"\nhang_ms = 80\n";
    let _played = Played::new(&format!("{ONE}{readings}\n{fault}"));
    assert_eq!(nvmlInit_v2(), 0);
    let device = first();
    let start = Instant::now();
    assert_eq!(power(device), Ok(5));
    assert!(start.elapsed() < Duration::from_millis(80));
    let mut celsius = 0;
    // SAFETY: the place is valid.
    let code = unsafe { nvmlDeviceGetTemperature(device, 0, &raw mut celsius) };
    assert_eq!((code, celsius), (0, 50));
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[test]
fn lost_gpu_refuses_its_handle_and_its_calls() {
    let played = Played::new(ONE);
    assert_eq!(nvmlInit_v2(), 0);
    let device = first();
    played.change(&format!("{ONE}lost = [{{}}]\n"));
    let lost = nvml::nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST;
    assert_eq!(power(device), Err(lost));
    let mut again = std::ptr::null_mut();
    // SAFETY: the place is valid.
    let code = unsafe { nvmlDeviceGetHandleByIndex_v2(0, &raw mut again) };
    assert_eq!(code, lost);
}

#[test]
fn xid_is_delivered_once_to_a_set_registered_before_it() {
    let played = Played::new(ONE);
    assert_eq!(nvmlInit_v2(), 0);
    let mut set: nvmlEventSet_t = std::ptr::null_mut();
    let mut data = nvmlEventData_t {
        device: std::ptr::null_mut(),
        eventType: 0,
        eventData: 0,
        gpuInstanceId: 0,
        computeInstanceId: 0,
    };
    let timeout = nvml::nvmlReturn_enum_NVML_ERROR_TIMEOUT;
    let xid = c_ulonglong::from(nvml::nvmlEventTypeXidCriticalError);
    // SAFETY: the places are valid.
    unsafe {
        assert_eq!(nvmlEventSetCreate(&raw mut set), 0);
        assert_eq!(nvmlDeviceRegisterEvents(first(), xid, set), 0);
        assert_eq!(nvmlEventSetWait_v2(set, &raw mut data, 0), timeout);
        played.change(&format!("{ONE}\n[[xid]]\ngpu = 0\ncode = 79\nat_s = 0\n"));
        assert_eq!(nvmlEventSetWait_v2(set, &raw mut data, 50), 0);
        assert_eq!((data.device, data.eventData), (first(), 79));
        assert_eq!(nvmlEventSetWait_v2(set, &raw mut data, 10), timeout);
    }
}

#[test]
fn error_text_is_nvidias() {
    // SAFETY: the text is a static C string.
    let text = unsafe { CStr::from_ptr(nvmlErrorString(15)) };
    assert_eq!(text, c"GPU is lost");
}
