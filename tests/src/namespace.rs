//! Network namespaces.

use std::process::Command;

use crate::skip::skip;

/// Least, first and largest buffers of a namespace's sockets, bytes: less than half a second of one
/// stream's speech. Source: Documentation/networking/ip-sysctl.rst, `tcp_rmem` and `tcp_wmem`.
const SMALL_BUFFERS: &str = "for buffer in tcp_rmem tcp_wmem
do echo 4096 16384 16384 > /proc/sys/net/ipv4/$buffer || exit
done";

/// A network namespace; gone when dropped.
#[derive(Debug)]
pub struct Namespace {
    /// What `ip netns` calls it.
    pub name: String,
}

impl Namespace {
    /// `None` where there cannot be one, which is said. A process has one at a time.
    pub fn new() -> Option<Self> {
        let name = format!("voxprobe-{}", std::process::id());
        if !ip(&["netns", "add", &name]) {
            skip("no network namespace can be made with `ip netns`");
            return None;
        }
        Some(Self { name })
    }

    /// One for a worker with its client, whose sockets are full soon after nobody reads them.
    pub fn of_small_buffers() -> Option<Self> {
        let namespace = Self::new()?;
        let name = namespace.name.as_str();
        // Packets as large as loopback's would not fit into the buffers.
        let mut made = ip(&["-n", name, "link", "set", "lo", "mtu", "1500", "up"]);
        made &= ip(&["netns", "exec", name, "sh", "-c", SMALL_BUFFERS]);
        assert!(made, "a namespace's own settings can be set");
        Some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "delete", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).status();
    status.is_ok_and(|status| status.success())
}
