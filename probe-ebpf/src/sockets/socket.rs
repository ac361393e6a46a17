//! One `struct sock`: what it is, and how it is told from every other.

use aya_ebpf::helpers::bpf_get_current_task;

use crate::layout::{layout, load_word, read};

/// Source: include/linux/socket.h, include/linux/net.h, include/uapi/linux/in.h.
pub const AF_UNIX: u16 = 1;
pub const AF_INET: u16 = 2;
pub const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const IPPROTO_TCP: u16 = 6;

/// Kinds of sockets.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tcp,
    /// A unix stream.
    Unix,
    /// No stream.
    Other,
}

/// The address of a `struct sock`. It is given again to another one when a socket is gone: together with
/// its inode's number it is nobody else's.
#[derive(Clone, Copy)]
pub struct Socket(pub u64);

impl Socket {
    /// Of a `struct socket`.
    #[inline(always)]
    pub fn of(socket: u64) -> Self {
        Self(read(socket, layout!(socket_sock)))
    }

    /// Its `struct socket`; 0 where it has none: nobody has accepted it yet, or it is closed.
    #[inline(always)]
    fn socket(self) -> u64 {
        read(self.0, layout!(sock_socket))
    }

    /// Number of its inode, as `/proc` shows it; 0 where it has none.
    #[inline(always)]
    pub fn inode(self) -> u64 {
        let socket = self.socket();
        if socket == 0 {
            return 0;
        }
        read(socket, layout!(socket_inode))
    }

    /// The same of one that a tracepoint was given, by loads. 0 also where it has no file.
    #[inline(always)]
    pub fn loaded_inode(self) -> u64 {
        let socket = load_word(self.0, layout!(sock_socket));
        let file = load_word(socket, layout!(socket_file));
        let inode = load_word(file, layout!(file_inode));
        load_word(inode, layout!(inode_number))
    }

    #[inline(always)]
    pub fn family(self) -> u16 {
        read(self.0, layout!(sock_family))
    }

    #[inline(always)]
    pub fn kind(self) -> Kind {
        match self.family() {
            AF_INET | AF_INET6 if read::<u16>(self.0, layout!(sock_protocol)) == IPPROTO_TCP => {
                Kind::Tcp
            }
            AF_UNIX if read::<u16>(self.0, layout!(sock_type)) == SOCK_STREAM => Kind::Unix,
            _ => Kind::Other,
        }
    }

    /// What the current thread has behind a descriptor, if that is a socket's; an address of 0, or that of nothing,
    /// where it is none.
    #[inline(always)]
    pub fn behind(fd: i32) -> Self {
        let file = file(fd);
        if file == 0 {
            return Self(0);
        }
        Self::of(read(file, layout!(file_private)))
    }

    /// Whether this is what the current thread has behind a descriptor.
    #[inline(always)]
    pub fn is_behind(self, fd: i32) -> bool {
        let file = file(fd);
        let socket = self.socket();
        file != 0 && socket != 0 && read::<u64>(file, layout!(file_private)) == socket
    }
}

/// Whether the current thread uses io_uring: what it does for a ring it may do inside any of its calls.
#[inline(always)]
pub fn works_for_ring() -> bool {
    // SAFETY: no argument, no side effect.
    let task = unsafe { bpf_get_current_task() };
    let ring: u64 = read(task, layout!(task_ring));
    layout!(task_ring) != 0 && ring != 0
}

/// The `struct file` behind a descriptor of the current thread; 0 for none.
#[inline(always)]
fn file(fd: i32) -> u64 {
    // SAFETY: no argument, no side effect.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = read(task, layout!(task_files));
    let table: u64 = read(files, layout!(files_table));
    let size: u32 = read(table, layout!(table_size));
    if fd < 0 || fd as u32 >= size {
        return 0;
    }
    let all: u64 = read(table, layout!(table_files));
    read(all + u64::from(fd as u32) * 8, 0)
}
