//! A network that loses or delays what the worker sends.

use std::process::Command;

use probe_tests::namespace::Namespace;
use probe_tests::skip::skip;

/// Everything that a port sends over loopback is thrown away; no more when dropped.
pub(crate) struct Lossy {
    port: String,
}

impl Lossy {
    /// `None` where there cannot be such a rule, which is said.
    pub(crate) fn new(port: u16) -> Option<Self> {
        let lossy = Self {
            port: port.to_string(),
        };
        if !lossy.rule("-I") {
            skip("iptables makes no rule");
            return None;
        }
        Some(lossy)
    }

    fn rule(&self, change: &str) -> bool {
        ["iptables", "ip6tables"].into_iter().all(|tables| {
            run(&format!(
                "{tables} -w {change} INPUT -i lo -p tcp --sport {} -j DROP",
                self.port
            ))
        })
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.rule("-D");
    }
}

/// This host's end of the path, where the worker is (RFC 2544's benchmark network).
pub(crate) const HERE: &str = "198.18.77.1";
const THERE: &str = "198.18.77.2";

/// What waits in the path's queue, bytes: more than is sent in a test.
const QUEUE: &str = "limit 33554432";

/// A path to a network namespace, whose queue can be held up; its device goes with the namespace.
#[derive(Debug)]
pub(crate) struct Path {
    pub(crate) there: Namespace,
    device: String,
}

impl Path {
    /// `None` where there cannot be one, which is said.
    pub(crate) fn new() -> Option<Self> {
        let path = Self {
            there: Namespace::new()?,
            device: format!("vox{}", std::process::id()),
        };
        let (namespace, device) = (&path.there.name, &path.device);
        let inside = format!("ip -n {namespace}");
        let made = [
            format!("ip link add {device} type veth peer name eth0 netns {namespace}"),
            format!("ip address add {HERE}/30 dev {device}"),
            format!("ip link set {device} up"),
            format!("{inside} address add {THERE}/30 dev eth0"),
            format!("{inside} link set eth0 up"),
        ];
        let made = made.iter().all(|command| run(command));
        if !made || !path.queue("replace", "10gbit burst 1mb") {
            skip("no path to a network namespace with a token bucket before it can be made");
            return None;
        }
        Some(path)
    }

    /// Nothing arrives for now, or all that waits does at once.
    pub(crate) fn hold(&self, holds: bool) {
        // A packet takes more than a second.
        let rate = if holds {
            "8kbit burst 2kb"
        } else {
            "10gbit burst 1mb"
        };
        assert!(self.queue("change", rate), "tc changes the queue");
    }

    fn queue(&self, change: &str, rate: &str) -> bool {
        run(&format!(
            "tc qdisc {change} dev {} root tbf rate {rate} {QUEUE}",
            self.device
        ))
    }
}

/// Whether a command of words without blanks succeeds.
fn run(command: &str) -> bool {
    let mut words = command.split(' ');
    let Some(program) = words.next() else {
        return false;
    };
    let status = Command::new(program).args(words).status();
    status.is_ok_and(|status| status.success())
}
