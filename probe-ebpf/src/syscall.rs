//! Syscall numbers to the calls of `probe_abi::call`.

use probe_abi::call;

use crate::file;

/// What a syscall number means here, with the argument details that differ between variants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Syscall {
    /// Moves bytes: one of `call::READ` … `call::SENDMMSG`.
    Transfer(u8),
    Socket,
    Connect,
    Accept,
    Close,
    Shutdown,
    /// `dup`: the new descriptor is chosen by the kernel.
    Dup,
    /// `dup2`, `dup3`: the new descriptor is the second argument.
    DupOnto,
    /// `fcntl`: only `F_DUPFD` and `F_DUPFD_CLOEXEC` matter.
    Fcntl,
    CloseRange,
    /// `open`: the path is the first argument.
    Open,
    /// `openat`, `openat2`: the path is the second argument.
    OpenAt,
    /// `pread64`, `preadv`, `preadv2`: only files can be read so.
    ReadAt,
    Map,
    Unmap,
}

impl Syscall {
    /// Whether it matters only where files are followed.
    #[inline(always)]
    fn is_of_files(self) -> bool {
        matches!(
            self,
            Self::Open | Self::OpenAt | Self::ReadAt | Self::Map | Self::Unmap
        )
    }
}

macro_rules! numbers {
    ($($number:literal => $meaning:expr),+ $(,)?) => {
        /// The meaning of a syscall number; `None` for a call that is not followed.
        #[inline(always)]
        pub fn meaning(number: u32) -> Option<Syscall> {
            let meaning = listed(number)?;
            (!meaning.is_of_files() || file::follows()).then_some(meaning)
        }

        #[inline(always)]
        fn listed(number: u32) -> Option<Syscall> {
            use Syscall::{
                Accept, Close, CloseRange, Connect, Dup, DupOnto, Fcntl, Map, Open, OpenAt, ReadAt,
                Shutdown, Socket, Transfer, Unmap,
            };
            Some(match number {
                $($number => $meaning,)+
                _ => return None,
            })
        }
    };
}

// Source: arch/x86/entry/syscalls/syscall_64.tbl.
#[cfg(bpf_target_arch = "x86_64")]
numbers! {
    0 => Transfer(call::READ),
    1 => Transfer(call::WRITE),
    2 => Open,
    3 => Close,
    9 => Map,
    11 => Unmap,
    17 => ReadAt,
    19 => Transfer(call::READV),
    20 => Transfer(call::WRITEV),
    32 => Dup,
    33 => DupOnto,
    41 => Socket,
    42 => Connect,
    43 => Accept,
    44 => Transfer(call::SENDTO),
    45 => Transfer(call::RECVFROM),
    46 => Transfer(call::SENDMSG),
    47 => Transfer(call::RECVMSG),
    48 => Shutdown,
    72 => Fcntl,
    257 => OpenAt,
    288 => Accept,
    292 => DupOnto,
    295 => ReadAt,
    299 => Transfer(call::RECVMMSG),
    307 => Transfer(call::SENDMMSG),
    327 => ReadAt,
    436 => CloseRange,
    437 => OpenAt,
}

// Source: include/uapi/asm-generic/unistd.h.
#[cfg(bpf_target_arch = "aarch64")]
numbers! {
    23 => Dup,
    24 => DupOnto,
    25 => Fcntl,
    56 => OpenAt,
    57 => Close,
    63 => Transfer(call::READ),
    64 => Transfer(call::WRITE),
    65 => Transfer(call::READV),
    66 => Transfer(call::WRITEV),
    67 => ReadAt,
    69 => ReadAt,
    198 => Socket,
    202 => Accept,
    203 => Connect,
    206 => Transfer(call::SENDTO),
    207 => Transfer(call::RECVFROM),
    210 => Shutdown,
    211 => Transfer(call::SENDMSG),
    212 => Transfer(call::RECVMSG),
    215 => Unmap,
    222 => Map,
    242 => Accept,
    243 => Transfer(call::RECVMMSG),
    269 => Transfer(call::SENDMMSG),
    286 => ReadAt,
    436 => CloseRange,
    437 => OpenAt,
}
