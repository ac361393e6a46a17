//! Why a hook is not attached.

/// Why a hook is not attached to a library. Displays as one line: what is wrong, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HookFault {
    /// The kernel does not take the programs.
    #[error("{0}")]
    NoPrograms(String),
    /// The file cannot be opened.
    #[error("the library cannot be read; run voxprobe with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH")]
    Unreadable,
    /// The file is no library.
    #[error("the file is no ELF library; narrow the hook's `library` pattern")]
    NotElf,
    /// The function is not in it.
    #[error(
        "the library has no such symbol (stripped, or another version); look with `nm -D`, or give \
         the hook's `offset`"
    )]
    NoSymbol,
    /// There is no code where the function should be.
    #[error(
        "there is no code at that place of the library; correct the hook's `symbol` or `offset`"
    )]
    NotCode,
    /// The kernel does not set the breakpoint.
    #[error(
        "the kernel refused the hook ({0}); where that is a lack of permission run voxprobe with \
         CAP_SYS_ADMIN, and restart it where the hook is new; else report this line with the output of \
         `uname -r`"
    )]
    Refused(String),
    /// Too many libraries.
    #[error("too many library files; narrow the hook's `library` pattern")]
    TooMany,
}

impl HookFault {
    /// Whether this host does not offer such hooks, whatever the library.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::NoPrograms(_))
    }
}

/// The kernel's programs for library hooks cannot be loaded.
pub(super) fn no_programs(error: &aya::programs::ProgramError) -> HookFault {
    let error = super::super::AttachError::program(probe_abi::program::HOOK_ENTER, error);
    HookFault::NoPrograms(if error.permission {
        error.to_string()
    } else {
        "this kernel has no attach cookies for uprobes: use Linux 5.15 or newer".to_owned()
    })
}
