//! The closed list of causes: what each looks like, what it means, and what to do next. The metric
//! label, the report and the tests all read these rules.

/// Why a frame was late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Ready to run, and something else had the CPU.
    CpuContention,
    /// The control group's CPU quota was used up.
    CgroupThrottled,
    /// The sending thread was computing.
    CpuSelf,
    /// It waited for another thread of its process to let go.
    Lock,
    /// The kernel's timer fired late.
    TimerOvershoot,
    /// The process itself asked to be woken too late.
    OwnTimer,
    /// The socket had no room: the receiver does not read.
    SocketBackpressure,
    /// The stream or its connection had no HTTP/2 window: the receiver does not take what it has.
    Http2Window,
    /// The network lost or delayed what was sent.
    PacketLoss,
    /// Storage or memory.
    DiskOrPageFault,
    /// The process was stopped or frozen.
    Stopped,
    /// The text to speak came late.
    LateUpstreamText,
    /// A model was being loaded.
    ModelLoad,
    /// A PAUSE held the stream.
    Pause,
    /// The GPU had an error.
    GpuError,
    /// The GPU ran below its clock.
    GpuThrottle,
    /// Another process used the GPU.
    GpuNeighbour,
    /// The evidence is there, and no one cause stands out.
    Unexplained,
    /// The evidence is not there.
    Unknown,
}

/// What is known about one cause.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Which.
    pub cause: Cause,
    /// As written in labels and JSON.
    pub label: &'static str,
    /// One line for people.
    pub title: &'static str,
    /// By what it is told from others: most of the lateness has this shape.
    pub shape: &'static str,
    /// What to do next.
    pub next_step: &'static str,
}

/// Every cause, in the order of [`Cause`].
pub const RULES: [Rule; 19] = [
    Rule {
        cause: Cause::CpuContention,
        label: "cpu_contention",
        title: "other threads had the CPU",
        shape: "the thread could run and waited for a CPU on which others ran",
        next_step: "Give the worker CPUs of its own (cpuset, CPU requests), move or limit what ran \
                    instead, or raise the worker's weight (cpu.weight, nice).",
    },
    Rule {
        cause: Cause::CgroupThrottled,
        label: "cgroup_throttled",
        title: "its CPU quota was used up",
        shape: "the thread could run and waited for a CPU while cpu.stat counted throttling",
        next_step: "Raise or remove the CPU limit of the worker's container (cpu.max, limits.cpu); \
                    requests alone do not throttle.",
    },
    Rule {
        cause: Cause::CpuSelf,
        label: "cpu_self",
        title: "the sending thread itself was computing",
        shape: "the thread that sends the frames was on a CPU beyond the time of one frame",
        next_step: "Profile the worker's sending thread at that time; move synthesis, encoding or \
                    garbage collection off the thread that sends frames.",
    },
    Rule {
        cause: Cause::Lock,
        label: "lock",
        title: "it waited for another thread of the worker",
        shape: "the thread waited in futex until a busy thread of its own process woke it",
        next_step: "Look at what the named thread does at that time: it held a lock (in Python, the \
                    GIL) that sending needs. Hold it shorter, or do that work in another process.",
    },
    Rule {
        cause: Cause::TimerOvershoot,
        label: "timer_overshoot",
        title: "the kernel's timer fired late",
        shape: "a timed wait ended later than it had asked for",
        next_step: "Look for long stretches with interrupts off, a paused virtual machine (steal \
                    time) or deep CPU idle states; compare with cyclictest.",
    },
    Rule {
        cause: Cause::OwnTimer,
        label: "own_timer",
        title: "the worker itself waited too long",
        shape: "a timed wait of the worker ended when it had asked for, beyond the frame's time",
        next_step: "Look at the worker's pacing: the time it sleeps for, retries with a back-off, \
                    or a pacing clock that was set late.",
    },
    Rule {
        cause: Cause::SocketBackpressure,
        label: "socket_backpressure",
        title: "the receiver did not read",
        shape: "a send found no room in the socket, waited in it, or ended within a frame",
        next_step: "Look at the receiver of this connection (orchestrator, client) and the network \
                    between: it reads slower than the audio plays.",
    },
    Rule {
        cause: Cause::Http2Window,
        label: "http2_window",
        title: "the HTTP/2 window was used up",
        shape: "the frame's stream or its connection had no window until a WINDOW_UPDATE came",
        next_step: "Look at the receiver's application (orchestrator, client): it takes messages \
                    slower than the audio plays. If it keeps up, give it larger HTTP/2 windows.",
    },
    Rule {
        cause: Cause::PacketLoss,
        label: "packet_loss",
        title: "the network lost or delayed what was sent",
        shape: "a frame found no room in the socket or the HTTP/2 window while what was sent before \
                stayed unacknowledged and the receiver's TCP window had room",
        next_step: "Look at the path to the receiver: drops of interfaces and queues (ip -s link, \
                    tc -s qdisc), links that are full, policers, a lossy wireless hop.",
    },
    Rule {
        cause: Cause::DiskOrPageFault,
        label: "disk_or_page_fault",
        title: "it waited for storage or memory",
        shape: "the thread was in uninterruptible sleep",
        next_step: "Keep file reads and logging off the sending thread; look at memory pressure \
                    (PSI, swap) and the storage's latency.",
    },
    Rule {
        cause: Cause::Stopped,
        label: "stopped",
        title: "the process was stopped",
        shape: "the thread was stopped by a signal, traced or frozen",
        next_step: "Find who stops it: a debugger, SIGSTOP, a checkpoint, the freezer of its \
                    container.",
    },
    Rule {
        cause: Cause::LateUpstreamText,
        label: "late_upstream_text",
        title: "the text to speak came late",
        shape: "the worker waited for input, and the stream's text arrived after the frame was due",
        next_step: "Look upstream: the language model or the orchestrator sends text slower than it \
                    is spoken.",
    },
    Rule {
        cause: Cause::ModelLoad,
        label: "model_load",
        title: "a model was being loaded",
        shape: "a LoadModel call of the same process was under way, and the worker was busy",
        next_step: "Load models before traffic, or in a process of their own; raise the resident \
                    cap so that models are not evicted and loaded again.",
    },
    Rule {
        cause: Cause::Pause,
        label: "pause",
        title: "a PAUSE held the stream",
        shape: "a PAUSE was in force for most of the lateness",
        next_step: "Nothing, if the pause was meant; else look at who sends Control(PAUSE).",
    },
    Rule {
        cause: Cause::GpuError,
        label: "gpu_error",
        title: "the GPU had an error",
        shape: "the worker was busy or in its driver while the GPU reported an error (XID)",
        next_step: "Look the XID up in NVIDIA's list, and at the kernel's log: some are the \
                    application's, others ask for a reset or a new GPU.",
    },
    Rule {
        cause: Cause::GpuThrottle,
        label: "gpu_throttle",
        title: "the GPU ran below its clock",
        shape: "the worker was busy or in its driver while NVML gave a reason for slower clocks",
        next_step: "Look at the GPU's temperature, power limit and cooling; the reason is in \
                    voxprobe_gpu_* at that time.",
    },
    Rule {
        cause: Cause::GpuNeighbour,
        label: "gpu_neighbour",
        title: "another process used the GPU",
        shape: "the worker was busy or in its driver while processes not watched used the GPU",
        next_step: "Move the neighbour to another GPU, or partition this one (MIG, MPS limits).",
    },
    Rule {
        cause: Cause::Unexplained,
        label: "unexplained",
        title: "no one cause stands out",
        shape: "no cause has half of the lateness, or two have about as much",
        next_step: "Read the evidence of the frame: the shares say where its time went.",
    },
    Rule {
        cause: Cause::Unknown,
        label: "unknown",
        title: "the evidence is missing",
        shape: "scheduling was not followed, or records of it were lost",
        next_step: "Run `voxprobe check`, and set diagnosis.enabled or run `voxprobe diagnose`.",
    },
];

impl Cause {
    /// Its rule.
    pub fn rule(self) -> &'static Rule {
        let [first, ..] = &RULES;
        RULES
            .iter()
            .find(|rule| rule.cause == self)
            .unwrap_or(first)
    }

    /// As written in labels and JSON.
    pub fn label(self) -> &'static str {
        self.rule().label
    }

    /// Whether it says why: neither unexplained nor unknown.
    pub fn is_named(self) -> bool {
        !matches!(self, Self::Unexplained | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_one_rule_at_its_place() {
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.cause as usize, index, "{}", rule.label);
            assert_eq!(rule.cause.label(), rule.label);
            assert!(rule.title.len() <= 48, "{}: one line", rule.label);
        }
        assert_eq!(Cause::Unknown as usize + 1, RULES.len());
        assert_eq!(Cause::Unknown.label(), crate::metrics::UNKNOWN);
    }
}
