//! Which container a process runs in: the id in its control group's path.

use std::fmt;

/// Letters of a container's id, as every runtime makes it (OCI runtimes: 32 random bytes, hexadecimal).
const LETTERS: usize = 64;

/// A container's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// The innermost container of a control group's path; `None` for a process in none. A runtime may
    /// write its own name before the id and `.scope` behind it.
    pub fn of_cgroup(path: &str) -> Option<Self> {
        path.rsplit('/').find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            Self::parse(part.rsplit('-').next().unwrap_or(part))
        })
    }

    /// An id and nothing else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        (text.len() == LETTERS && is_hexadecimal(text)).then(|| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether it is a part of an id.
pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtimes_path_gives_the_id() {
        let id = "0123456789abcdef".repeat(4);
        let outer = "f".repeat(64);
        let pod = "kubepods-burstable-podb8a1c7f0_8f3e_4b5e_9c39_6f0d7a2b1c11.slice";
        for path in [
            format!("/kubepods.slice/kubepods-burstable.slice/{pod}/cri-containerd-{id}.scope"),
            format!("/kubepods.slice/{pod}/crio-{id}.scope"),
            format!("/kubepods/burstable/podb8a1c7f0-8f3e-4b5e-9c39-6f0d7a2b1c11/{id}"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/docker/{outer}/kubelet/kubepods/besteffort/pod1/{id}"),
            format!("/../cri-containerd-{id}.scope/init.scope"),
        ] {
            let found = ContainerId::of_cgroup(&path);
            assert_eq!(
                found.map(|found| found.to_string()),
                Some(id.clone()),
                "{path}"
            );
        }
    }

    #[test]
    fn other_groups_are_no_containers() {
        let short = "a".repeat(63);
        let upper = "A".repeat(64);
        for path in [
            "",
            "/",
            "/user.slice/user-1000.slice/session-2.scope",
            "/system.slice/voice.service",
            &format!("/docker/{short}"),
            &format!("/docker/{upper}"),
        ] {
            assert_eq!(ContainerId::of_cgroup(path), None, "{path}");
        }
    }
}
