//! Puts the eBPF programs into the kernel and takes them out again.
//!
//! Takes the embedded object; gives the ring and the maps. Dropping [`Attached`] detaches
//! everything; the links are file descriptors of this process, so even a killed agent leaves
//! nothing behind.

mod btf;
mod connections;
mod error;
mod fetch;
mod functions;
mod hooks;
pub mod kernel;
mod layout;
mod links;
mod memory;
mod paranoia;
mod programs;
mod sched;
mod sockets;
mod syscalls;
mod tier;
mod tracefs;

use std::{borrow::Cow, cell::OnceCell};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray, RingBuf, lpm_trie::Key},
};
use aya_log::EbpfLogger;
use probe_abi::{Connection, FdEntry, FdKey, FileEntry, Layout, Process, ROOT_BYTES, global, map};

pub use connections::Connections;
pub use error::{AttachError, Remedy};
pub use hooks::{HookFault, HookState, HookTarget, LibraryHooks, Location};
pub use programs::Hooks;
pub use sched::Following;
pub use tier::{Choice, Refusal, Tier};

/// The object, aligned as ELF parsing needs it.
#[cfg(ebpf_object)]
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("VOXPROBE_EBPF_OBJECT"));
#[cfg(not(ebpf_object))]
static OBJECT: &[u8] = &[];

/// Plain-data wrappers: the contract crate knows nothing of aya, and `Pod` is aya's trait.
macro_rules! pod {
    ($($name:ident($inner:ty)),+ $(,)?) => {$(
        /// A value of the kernel contract as aya's maps take it.
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug)]
        pub struct $name(pub $inner);
        // SAFETY: the contract's types are `repr(C)` integers without padding.
        unsafe impl aya::Pod for $name {}
    )+};
}
pod!(
    ProcessValue(Process),
    FdKeyValue(FdKey),
    FdValue(FdEntry),
    ConnectionValue(Connection),
    LayoutValue(Layout),
    FileValue(FileEntry)
);

/// The maps the agent writes and reads.
#[allow(missing_debug_implementations, reason = "aya's per-CPU array has none")]
pub struct Maps {
    /// Watched processes.
    pub processes: HashMap<MapData, u32, ProcessValue>,
    /// Their slots.
    pub watched: Array<MapData, u32>,
    /// Stream sockets.
    pub fds: HashMap<MapData, FdKeyValue, FdValue>,
    /// Connections.
    pub connections: Connections,
    /// Connections that the agent found, by the inodes of their sockets.
    pub found: HashMap<MapData, u64, u64>,
    /// Descriptors of files under model roots.
    pub files: HashMap<MapData, FdKeyValue, FileValue>,
    /// What was not recorded, by `probe_abi::loss`.
    pub losses: PerCpuArray<MapData, u64>,
    unread_fields: Array<MapData, u32>,
}

/// Programs in the kernel. Dropping it detaches them.
pub struct Attached {
    // Before the programs, which would otherwise be detached one by one.
    #[expect(dead_code, reason = "held for its end")]
    links: links::Links,
    ebpf: Ebpf,
    logger: Option<EbpfLogger<&'static dyn log::Log>>,
    /// The maps the agent writes and reads.
    pub maps: Maps,
    /// How sockets are seen.
    pub tier: Tier,
    /// Ways that were tried before.
    pub refused: Vec<Refusal>,
    /// Whether scheduling is followed.
    pub following: Following,
}

/// The kernel's types as the loader wants them, read once, where a tier needs them.
#[derive(Default)]
struct KernelTypes(OnceCell<Btf>);

impl KernelTypes {
    fn get(&self) -> Result<&Btf, AttachError> {
        if let Some(types) = self.0.get() {
            return Ok(types);
        }
        let types = Btf::from_sys_fs().map_err(|_| AttachError::sockets_need_btf())?;
        Ok(self.0.get_or_init(|| types))
    }
}

/// How the programs are attached.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// How sockets are to be seen.
    pub choice: Choice,
    /// Whether to go on without the kernel's type information: tracefs then is the only witness of
    /// where the programs find what they read.
    pub without_btf: bool,
    /// Shortest stretch of a thread's scheduling that has a record of its own; `None` to leave
    /// scheduling alone.
    pub stretch: Option<std::time::Duration>,
    /// Share of the records that are lost at the ring as if it were full, of 2^32. For tests of what
    /// losses do.
    pub refused_records: u32,
}

/// Whether the kernel tells its types (from 5.2, with `CONFIG_DEBUG_INFO_BTF`).
pub fn has_btf() -> bool {
    std::path::Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Whether this binary carries its kernel side.
pub fn has_object() -> bool {
    !OBJECT.is_empty()
}

impl Attached {
    /// Loads the programs of the first tier that works and attaches them; gives the ring of records
    /// beside it. Files under `roots` (paths that end in a slash) are followed; without any, no syscall
    /// of files is hooked.
    ///
    /// # Errors
    /// [`AttachError`] says what the host lacks and what would fix it.
    pub fn attach(
        settings: Settings,
        log_level: log::LevelFilter,
        roots: &[String],
    ) -> Result<(Self, RingBuf<MapData>), AttachError> {
        if OBJECT.is_empty() {
            return Err(AttachError::no_object());
        }
        if !(has_btf() || settings.without_btf) {
            return Err(AttachError::no_btf());
        }
        raise_memlock_limit();
        tracefs::ensure()?;
        tracefs::check(&programs::PROCESS_LAYOUT)?;
        let mut refused = Vec::new();
        let types = KernelTypes::default();
        for &tier in settings.choice.tiers() {
            match Self::attach_tier(tier, &types, settings, log_level, roots) {
                Ok((mut attached, ring)) => {
                    drop(types);
                    memory::give_back();
                    attached.refused = refused;
                    return Ok((attached, ring));
                }
                Err(error) => {
                    tracing::debug!(%tier, %error, "sockets cannot be seen in this way");
                    refused.push(Refusal { tier, error });
                }
            }
        }
        Err(AttachError::no_tier(refused))
    }

    fn attach_tier(
        tier: Tier,
        types: &KernelTypes,
        settings: Settings,
        log_level: log::LevelFilter,
        roots: &[String],
    ) -> Result<(Self, RingBuf<MapData>), AttachError> {
        let is_named = settings.choice != Choice::Auto;
        programs::can_run(tier, !roots.is_empty(), is_named)?;
        let layout = if tier.is_of_sockets() {
            layout::of_kernel()?
        } else {
            Layout::default()
        };
        let layout = LayoutValue(layout);
        let has_fetch = fetch::is_there();
        let object = if has_fetch {
            Cow::Borrowed(OBJECT)
        } else {
            fetch::without(OBJECT)
        };
        let has_fetch = u32::from(has_fetch);
        let level = aya_log_level(log_level);
        let stretch_ns = sched::stretch_ns(settings.stretch);
        let follows_files = u32::from(!roots.is_empty());
        let mut loader = EbpfLoader::new();
        // The programs read the kernel's structures by `layout`: there is nothing to relocate.
        loader
            .btf(None)
            .override_global("AYA_LOG_LEVEL", &level, false)
            .override_global(global::FOLLOWS_FILES, &follows_files, true)
            .override_global(global::LAYOUT, &layout, true)
            .override_global(global::HAS_FETCH, &has_fetch, true)
            .override_global(global::REFUSED_RECORDS, &settings.refused_records, true);
        if !tier.is_of_sockets() {
            // Room for all of it is taken when a map is made.
            for name in map::OF_SOCKETS.into_iter().chain([map::FOUND]) {
                loader.map_max_entries(name, 1);
            }
        }
        if tier != Tier::Sockets {
            loader.map_max_entries(map::SENDERS, 1);
        }
        sched::prepare(&mut loader, stretch_ns.as_ref());
        let mut ebpf = loader
            .load(&object)
            .map_err(|error| AttachError::load(&error))?;
        let logger = (log_level > log::LevelFilter::Off)
            .then(|| EbpfLogger::init(&mut ebpf))
            .and_then(|logger| {
                logger
                    .inspect_err(|error| tracing::debug!(%error, "no kernel-side log"))
                    .ok()
            });
        let ring = RingBuf::try_from(take(&mut ebpf, map::RECORDS)?)
            .map_err(|error| AttachError::map(&error))?;
        let maps = Maps::take(&mut ebpf)?;
        let mut trie = LpmTrie::try_from(take(&mut ebpf, map::MODEL_ROOTS)?)
            .map_err(|error| AttachError::map(&error))?;
        for root in roots {
            trie.insert(&prefix(root), 1_u32, 0)
                .map_err(|error| AttachError::map(&error))?;
        }
        let links = programs::attach_all(&mut ebpf, tier, types, !roots.is_empty())?;
        let following = stretch_ns.map_or(Following::Off, |ns| sched::attach(&mut ebpf, ns));
        let attached = Self {
            links,
            ebpf,
            logger,
            maps,
            tier,
            refused: Vec::new(),
            following,
        };
        Ok((attached, ring))
    }

    /// From now on content of these fields stays where it is ([`Profile::unread_fields`]).
    ///
    /// [`Profile::unread_fields`]: probe_core::profile::Profile::unread_fields
    pub fn leave_unread(&mut self, fields: u32) {
        // It has one place, which is there.
        if let Err(error) = self.maps.unread_fields.set(0, fields, 0) {
            tracing::debug!(%error, "content is copied, and not read");
        }
    }

    /// Hands the kernel side's own log messages to the log.
    pub fn flush_log(&mut self) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
    }

    /// Programs in the kernel, with run time and count since their load where the kernel keeps
    /// them (`kernel.bpf_stats_enabled`).
    pub fn hooks(&self) -> Vec<Hooks> {
        programs::hooks(&self.ebpf)
    }
}

impl Maps {
    fn take(ebpf: &mut Ebpf) -> Result<Self, AttachError> {
        let failed = |error| AttachError::map(&error);
        Ok(Self {
            processes: HashMap::try_from(take(ebpf, map::PROCESSES)?).map_err(failed)?,
            watched: Array::try_from(take(ebpf, map::WATCHED)?).map_err(failed)?,
            fds: HashMap::try_from(take(ebpf, map::FDS)?).map_err(failed)?,
            connections: Connections::take(ebpf)?,
            found: HashMap::try_from(take(ebpf, map::FOUND)?).map_err(failed)?,
            files: HashMap::try_from(take(ebpf, map::FILES)?).map_err(failed)?,
            losses: PerCpuArray::try_from(take(ebpf, map::LOSSES)?).map_err(failed)?,
            unread_fields: Array::try_from(take(ebpf, map::UNREAD_FIELDS)?).map_err(failed)?,
        })
    }
}

fn take(ebpf: &mut Ebpf, name: &'static str) -> Result<aya::maps::Map, AttachError> {
    ebpf.take_map(name)
        .ok_or_else(|| AttachError::damaged(name))
}

/// Everything that begins with a path.
fn prefix(path: &str) -> Key<[u8; ROOT_BYTES]> {
    let mut start = [0; ROOT_BYTES];
    for (to, from) in start.iter_mut().zip(path.bytes()) {
        *to = from;
    }
    let bits = path.len().min(ROOT_BYTES) as u32 * 8;
    Key::new(bits, start)
}

/// Kernels before 5.11 count maps against `RLIMIT_MEMLOCK`. Newer ones do not, so that a refusal
/// (no `CAP_SYS_RESOURCE`) is only worth a line.
fn raise_memlock_limit() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = setrlimit(Resource::Memlock, unlimited) {
        tracing::debug!(%error, "the locked-memory limit stays; kernels before 5.11 may refuse maps");
    }
}

/// `aya_log_common::Level` numbers: error 1 … trace 5; 0 is off.
fn aya_log_level(level: log::LevelFilter) -> u8 {
    level as u8
}
