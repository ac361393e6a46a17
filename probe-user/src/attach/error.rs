//! Why the programs could not be attached, and what would fix it.

use aya::{
    EbpfError,
    maps::MapError,
    programs::{ProgramError, TracePointError},
};

use super::{Refusal, kernel::Version, paranoia};

/// What a person can do about it, in one sentence.
pub type Remedy = String;

/// The programs could not be attached. Displays as one line: what failed, and the remedy.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {remedy}")]
pub struct AttachError {
    /// What failed.
    pub what: String,
    /// What would fix it.
    pub remedy: Remedy,
    /// Whether it is a lack of privileges.
    pub permission: bool,
}

const PRIVILEGES: &str = "run voxprobe as root or with CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE and \
                          CAP_DAC_READ_SEARCH";

impl AttachError {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
            permission: false,
        }
    }

    pub(super) fn not_permitted() -> Self {
        Self {
            permission: true,
            ..Self::new("no permission to load eBPF programs", PRIVILEGES)
        }
    }

    pub(super) fn no_object() -> Self {
        Self::new(
            "this voxprobe was built without its eBPF programs",
            "build it with `cargo xtask build`",
        )
    }

    pub(super) fn no_btf() -> Self {
        Self::new(
            "this kernel has no type information (BTF, /sys/kernel/btf/vmlinux)",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y, or set hooks.without_btf = true in the \
             configuration to go on with the syscall hooks, which can do without",
        )
    }

    pub(super) fn damaged(name: &str) -> Self {
        Self::new(
            format!("the eBPF object has no `{name}`"),
            "build voxprobe and its eBPF programs from one tree with `cargo xtask build`",
        )
    }

    pub(super) fn no_tracefs(place: &str, error: rustix::io::Errno) -> Self {
        Self::new(
            format!("tracefs is not mounted and cannot be mounted at {place} ({error})"),
            format!(
                "run `mount -t tracefs tracefs {place}`, or mount the host's into the container"
            ),
        )
    }

    pub(super) fn no_tracepoint(category: &str, name: &str) -> Self {
        Self::new(
            format!("this kernel has no tracepoint {category}:{name}"),
            "use a kernel with CONFIG_FTRACE_SYSCALLS=y, 5.10 or newer",
        )
    }

    pub(super) fn files_need_syscalls() -> Self {
        Self::new(
            "hooks of sockets do not tell which files are read (models.roots)",
            "see syscalls (`--hooks tracepoints`), or leave models.roots empty",
        )
    }

    pub(super) fn no_socket_tracepoint(category: &str, name: &str) -> Self {
        Self::new(
            format!("this kernel has no tracepoint {category}:{name}"),
            "use Linux 6.3 or newer, or other hooks (`--hooks auto`)",
        )
    }

    pub(super) fn sockets_are_preempted((major, minor): Version) -> Self {
        Self::new(
            format!(
                "Linux {major}.{minor} preempts the programs of tracepoints and skips some (from 7.2 on), \
                 which may leave one connection's bytes with another"
            ),
            "use other hooks (`--hooks auto`)",
        )
    }

    pub(super) fn no_trampolines() -> Self {
        Self::new(
            "this kernel refuses programs at its functions (fentry) and permits others: it is locked down or \
             was built without trampolines",
            "use other hooks (`--hooks auto`)",
        )
    }

    pub(super) fn no_probes() -> Self {
        Self::new(
            "this kernel has no probes (CONFIG_KPROBE_EVENTS)",
            "use other hooks (`--hooks auto`)",
        )
    }

    pub(super) fn fentry_is_preempted() -> Self {
        Self::new(
            "this kernel may preempt programs at its functions, and skips one while another thread of its CPU \
             is inside it",
            "use probes, which are not preempted, or name it (`--hooks fentry`): what is skipped is counted",
        )
    }

    pub(super) fn no_field(structure: &str, field: &str) -> Self {
        Self::new(
            format!("this kernel has no field {field} of {structure}, or has it otherwise"),
            "see syscalls (`--hooks tracepoints`), and report this line with the output of `uname -r`",
        )
    }

    pub(super) fn sockets_need_btf() -> Self {
        Self::new(
            "hooks of sockets need the kernel's type information (BTF, /sys/kernel/btf/vmlinux)",
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y, or see syscalls (`--hooks tracepoints`)",
        )
    }

    /// No tier that was tried can be had.
    pub(super) fn no_tier(mut refused: Vec<Refusal>) -> Self {
        // It asks for least.
        let Some(last) = refused.pop() else {
            return Self::new("no way to see sockets is tried", "name one with `--hooks`");
        };
        if refused.is_empty() || last.error.permission {
            return last.error;
        }
        refused.push(last);
        let reasons = refused
            .iter()
            .map(|Refusal { tier, error }| format!("{tier}: {}", error.what));
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        Self::new(format!("sockets cannot be seen here ({reasons})"), UPDATE)
    }

    pub(super) fn other_layout(category: &str, name: &str, field: &str) -> Self {
        Self::new(
            format!("this kernel has field {field} of tracepoint {category}:{name} elsewhere"),
            "use a newer voxprobe, and report this line with the output of `uname -r`",
        )
    }

    pub(super) fn load(error: &EbpfError) -> Self {
        match error {
            EbpfError::MapError(map) if map_permission(map) => Self::not_permitted(),
            EbpfError::BtfError(_) => Self::new(
                format!("the kernel's type information cannot be used ({error})"),
                "use a kernel with CONFIG_DEBUG_INFO_BTF=y, so that /sys/kernel/btf/vmlinux exists",
            ),
            _ => Self::new(
                format!("the eBPF object cannot be loaded ({})", chain(error)),
                UPDATE,
            ),
        }
    }

    pub(super) fn map(error: &MapError) -> Self {
        Self::new(format!("an eBPF map cannot be used ({error})"), UPDATE)
    }

    /// A distribution's kernel asks for more than Linux does.
    fn paranoid(level: i32) -> Self {
        Self {
            permission: true,
            ..Self::new(
                format!(
                    "kernel.perf_event_paranoid is {level}: this kernel (Debian's, Ubuntu's) lets only \
                     CAP_SYS_ADMIN attach eBPF programs"
                ),
                "set it to Linux' own default (`sysctl kernel.perf_event_paranoid=2`), or run voxprobe as \
                 root or with CAP_SYS_ADMIN too",
            )
        }
    }

    pub(super) fn program(name: &str, error: &ProgramError) -> Self {
        if program_permission(error) {
            return Self::not_permitted();
        }
        if perf_refuses(error)
            && let Some(level) = paranoia::level()
        {
            return Self::paranoid(level);
        }
        if let ProgramError::TracePointError(TracePointError::FileError { filename, .. }) = error {
            return Self::new(
                format!(
                    "eBPF program {name} cannot be attached: {} is missing",
                    filename.display()
                ),
                "use a kernel with CONFIG_FTRACE_SYSCALLS=y, 5.10 or newer",
            );
        }
        tracing::debug!(program = name, error = %full(error), "refused by the kernel");
        Self::new(
            format!("eBPF program {name} was refused ({})", chain(error)),
            UPDATE,
        )
    }
}

const UPDATE: &str = "use Linux 5.10 or newer with CONFIG_BPF_SYSCALL=y, and report this line with \
                      the output of `uname -r`";

/// An error with its causes.
pub(super) fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// An error with its causes on one line; of the verifier's log only the verdict.
fn chain(error: &dyn std::error::Error) -> String {
    let text = full(error);
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    lines.next_back().map_or_else(
        || first.clone(),
        |last| format!("{first} … {}", last.trim()),
    )
}

/// `EPERM`: the kernel lacks a capability of us. `EACCES` is the verifier's or perf's refusal.
fn denied(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error())
}

/// Whether `perf_event_open` lacks a capability of us: `EACCES`, where other calls say `EPERM`.
fn perf_refuses(error: &ProgramError) -> bool {
    let ProgramError::SyscallError(error) = error else {
        return false;
    };
    let refused = error.io_error.kind() == std::io::ErrorKind::PermissionDenied;
    refused && error.call.starts_with("perf_event_open")
}

fn map_permission(error: &MapError) -> bool {
    match error {
        MapError::CreateError { io_error, .. } => denied(io_error),
        MapError::SyscallError(error) => denied(&error.io_error),
        MapError::IoError(error) => denied(error),
        _ => false,
    }
}

fn program_permission(error: &ProgramError) -> bool {
    match error {
        ProgramError::LoadError { io_error, .. } => denied(io_error),
        ProgramError::SyscallError(error) => denied(&error.io_error),
        ProgramError::IOError(error) => denied(error),
        ProgramError::TracePointError(TracePointError::FileError { io_error, .. }) => {
            io_error.kind() == std::io::ErrorKind::PermissionDenied
        }
        ProgramError::MapError(error) => map_permission(error),
        _ => false,
    }
}
