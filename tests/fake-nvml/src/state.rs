//! The library's one state: scenario, clock, handles and event sets.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::scenario::Scenario;

/// Names the scenario file.
const SCENARIO_VARIABLE: &str = "FAKE_NVML_SCENARIO";

static STATE: Mutex<State> = Mutex::new(State::new());

/// Everything that lives between calls.
pub(crate) struct State {
    /// `nvmlInit_v2` calls that no `nvmlShutdown` has undone.
    pub(crate) references: u32,
    start: Option<Instant>,
    loaded: Option<Loaded>,
    /// UUIDs; a device handle is a position here plus one. Handles stay valid when a scenario is
    /// read again.
    handles: Vec<String>,
    /// XID errors known so far with the time from which an event set can see them.
    pub(crate) xids: Vec<XidEvent>,
    /// Event sets by handle.
    pub(crate) event_sets: BTreeMap<usize, EventSet>,
    /// Event sets made so far.
    pub(crate) event_sets_made: usize,
}

struct Loaded {
    stamp: Option<Stamp>,
    scenario: Arc<Scenario>,
}

/// What tells one content of the scenario file from another. The time alone does not: the kernel's
/// clock for it ticks every few milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: (i64, i64),
    inode: u64,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: (meta.mtime(), meta.mtime_nsec()),
            inode: meta.ino(),
            bytes: meta.size(),
        })
    }
}

/// An XID error that happens or has happened.
#[derive(Clone, Debug)]
pub(crate) struct XidEvent {
    pub(crate) uuid: String,
    pub(crate) code: u64,
    /// As written in the scenario.
    at_s: f64,
    /// When it happens: as written, but not before the scenario that has it was read.
    pub(crate) happens_s: f64,
}

/// One `nvmlEventSet_t`.
#[derive(Debug, Default)]
pub(crate) struct EventSet {
    /// GPUs it watches, with the time of registration in seconds.
    pub(crate) registered: Vec<(String, f64)>,
    /// Positions in [`State::xids`] that it has delivered.
    pub(crate) delivered: Vec<usize>,
}

/// The state, locked. No NVML call sleeps while it holds the lock.
pub(crate) fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    pub(crate) const fn new() -> Self {
        Self {
            references: 0,
            start: None,
            loaded: None,
            handles: Vec::new(),
            xids: Vec::new(),
            event_sets: BTreeMap::new(),
            event_sets_made: 0,
        }
    }

    /// Seconds since NVML was first initialised.
    pub(crate) fn seconds(&mut self) -> f64 {
        self.start
            .get_or_insert_with(Instant::now)
            .elapsed()
            .as_secs_f64()
    }

    /// The scenario, read again when its file has changed. A file that cannot be read or parsed
    /// leaves the one before in force, and says so on standard error.
    pub(crate) fn scenario(&mut self) -> Option<Arc<Scenario>> {
        let path = scenario_path()?;
        let stamp = Stamp::of(&path);
        let current = self.loaded.as_ref();
        if current.is_some_and(|loaded| loaded.stamp == stamp) {
            return current.map(|loaded| Arc::clone(&loaded.scenario));
        }
        match read(&path) {
            Ok(scenario) => self.adopt(Arc::new(scenario), stamp),
            Err(message) => complain(&path, &message),
        }
        self.loaded
            .as_ref()
            .map(|loaded| Arc::clone(&loaded.scenario))
    }

    fn adopt(&mut self, scenario: Arc<Scenario>, stamp: Option<Stamp>) {
        let now = self.seconds();
        for xid in &scenario.xids {
            let Some(gpu) = scenario.gpus.get(xid.gpu) else {
                continue;
            };
            let known = self.xids.iter().any(|event| {
                event.uuid == gpu.uuid
                    && event.code == xid.code
                    && event.at_s.total_cmp(&xid.at_s).is_eq()
            });
            if !known {
                self.xids.push(XidEvent {
                    uuid: gpu.uuid.clone(),
                    code: xid.code,
                    at_s: xid.at_s,
                    happens_s: xid.at_s.max(now),
                });
            }
        }
        self.loaded = Some(Loaded { stamp, scenario });
    }

    /// The handle of a GPU or MIG device: never zero, the same for the life of the process.
    pub(crate) fn handle_of(&mut self, uuid: &str) -> usize {
        let known = self.handles.iter().position(|known| known == uuid);
        known.map_or_else(
            || {
                self.handles.push(uuid.to_owned());
                self.handles.len()
            },
            |position| position + 1,
        )
    }

    /// The UUID that a handle stands for.
    pub(crate) fn uuid_of(&self, handle: usize) -> Option<&str> {
        self.handles.get(handle.checked_sub(1)?).map(String::as_str)
    }
}

fn read(path: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Scenario::parse(&text).map_err(|error| error.to_string())
}

#[allow(
    clippy::print_stderr,
    reason = "the C interface has no other way to tell a test what is wrong with its scenario"
)]
fn complain(path: &Path, message: &str) {
    eprintln!("fake-nvml: {}: {message}", path.display());
}

/// The file that `FAKE_NVML_SCENARIO` names, else the one beside the library.
pub(crate) fn scenario_path() -> Option<PathBuf> {
    std::env::var_os(SCENARIO_VARIABLE)
        .map(PathBuf::from)
        .or_else(|| library_path().map(|path| path.with_extension("toml")))
}

/// The file that this code was loaded from.
fn library_path() -> Option<PathBuf> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let here = (&raw const STATE).cast();
    // SAFETY: `here` is an address inside this library and `info` is writable; dladdr keeps neither.
    let found = unsafe { libc::dladdr(here, &raw mut info) } != 0;
    if !found || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: dladdr succeeded, so the name is a C string of the loaded object, which outlives this.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}
