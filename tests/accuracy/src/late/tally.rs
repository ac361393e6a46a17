//! How many calls were called by their right name, and how soon.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use probe_core::profile::Profile;
use voicelab::truth::{Event, Line};

use super::moment::Moment;
use super::said::{self, Said};
use super::system::{Account, System};

/// From this long after the attachment on, calls should be named at once, in nanoseconds.
const LATER_NS: u64 = 2_000_000_000;

/// Calls that begin so shortly before the end of voxprobe may not have reached the worker, in
/// nanoseconds.
const EDGE_NS: u64 = 200_000_000;

/// Share of the later calls that must be named where the client is grpc-core.
const GRPC_CORE_SHARE: f64 = 0.99;

/// Counts of one load, or of one method.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Calls that began at least two seconds after the attachment.
    pub(super) later: u64,
    /// Those of them that were called by their right name, and never by a wrong one.
    pub(super) named: u64,
    /// Calls, whenever they began, that were called by a wrong name at any time.
    pub(super) wrong: u64,
    /// From each attachment to the first right name, in nanoseconds; of those that had one.
    pub(super) first_ns: Vec<u64>,
    /// Attachments.
    pub(super) moments: u64,
    /// Series that counted more than there was.
    pub(super) exceeded: Vec<String>,
    /// Records that voxprobe says were lost.
    pub(super) lost: u64,
}

/// Counts of one system.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By streams at once.
    pub(super) loads: BTreeMap<u32, Counts>,
    /// By method.
    pub(super) methods: BTreeMap<String, Counts>,
}

/// What a call of the client was, by its stream.
struct Truth {
    method: String,
    begun_ns: u64,
}

impl Counts {
    /// Named ones among the later calls.
    pub(super) fn share(&self) -> f64 {
        self.named as f64 / self.later.max(1) as f64
    }

    fn add(&mut self, other: &Self) {
        self.later += other.later;
        self.named += other.named;
        self.wrong += other.wrong;
        self.first_ns.extend(&other.first_ns);
        self.moments += other.moments;
        self.exceeded.extend(other.exceeded.iter().cloned());
        self.lost += other.lost;
    }
}

impl Tally {
    /// All loads together.
    pub(super) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.loads.values() {
            total.add(counts);
        }
        total
    }

    /// Whether the figures are as they must be.
    pub(super) fn holds(&self, system: &System, with_losses: bool) -> bool {
        let total = self.total();
        let most = if system.is_grpc_core {
            total.share() >= GRPC_CORE_SHARE
        } else {
            total.named == total.later
        };
        // Calls whose records are lost have no name: only what is said has to be right.
        total.wrong == 0 && total.exceeded.is_empty() && (most || with_losses)
    }

    /// Adds one attachment; gives its own counts.
    pub(super) fn add(
        &mut self,
        streams: u32,
        moment: &Moment,
        account: &Account,
    ) -> Result<Counts> {
        let said = said::calls(&moment.capture)?;
        let truth = calls(&account.client);
        let opened_ns = said.first().context("no call was seen")?.opened_ns;
        let connections: BTreeSet<_> = said.iter().map(|call| call.connection).collect();
        anyhow::ensure!(connections.len() == 1, "one connection: {connections:?}");
        let said: BTreeMap<u32, Said> = said.into_iter().map(|call| (call.stream, call)).collect();
        let mut methods: BTreeMap<String, Counts> = BTreeMap::new();
        for (stream, truth) in &truth {
            let counts = methods.entry(truth.method.clone()).or_default();
            counts.observe(truth, said.get(stream), (opened_ns, moment.ended_ns));
        }
        let mut seen = Counts {
            moments: 1,
            exceeded: exceeded(moment, account),
            lost: lost(moment),
            ..Counts::default()
        };
        for (method, counts) in &mut methods {
            // The first of its calls.
            counts.first_ns = counts.first_ns.iter().min().copied().into_iter().collect();
            counts.moments = u64::from(counts.later > 0 || !counts.first_ns.is_empty());
            seen.later += counts.later;
            seen.named += counts.named;
            seen.wrong += counts.wrong;
            seen.first_ns.extend(&counts.first_ns);
            self.methods.entry(method.clone()).or_default().add(counts);
        }
        seen.first_ns = seen.first_ns.iter().min().copied().into_iter().collect();
        // What was said of streams that nobody opened.
        let invented =
            |(stream, said): &(&u32, &Said)| !truth.contains_key(stream) && !said.names.is_empty();
        seen.wrong += said.iter().filter(invented).count() as u64;
        self.loads.entry(streams).or_default().add(&seen);
        Ok(seen)
    }
}

impl Counts {
    fn observe(&mut self, truth: &Truth, said: Option<&Said>, (opened_ns, ended_ns): (u64, u64)) {
        let right = |name: &said::Name| name.method.as_deref() == Some(&truth.method);
        let mut given = said.iter().flat_map(|said| &said.names);
        let wrong = given
            .clone()
            .any(|name| name.method.is_some() && !right(name))
            || said.is_some_and(|said| said.other);
        self.wrong += u64::from(wrong);
        let first = given.find(|name| right(name));
        if let Some(first) = first {
            self.first_ns.push(first.at_ns.saturating_sub(opened_ns));
        }
        let later = truth.begun_ns >= opened_ns + LATER_NS && truth.begun_ns + EDGE_NS <= ended_ns;
        if later {
            let stands = said.and_then(|said| said.names.last()).is_some_and(right);
            self.later += 1;
            self.named += u64::from(stands && !wrong);
        }
    }
}

/// The calls of a client by their streams, methods by their roles' names.
fn calls(lines: &[Line]) -> BTreeMap<u32, Truth> {
    let profile = Profile::builtin();
    let role = |method: &str| {
        let method = profile.method(&format!("/tts.TTSService/{method}"));
        method.map_or_else(String::new, |method| method.role.as_str().to_owned())
    };
    let begun = lines.iter().filter_map(|line| match &line.event {
        Event::CallStart { method, .. } => Some(Truth {
            method: role(method),
            begun_ns: line.t_ns,
        }),
        _ => None,
    });
    (1..).step_by(2).zip(begun).collect()
}

/// Counters that are more than what the worker did in the time, or what went on then.
fn exceeded(moment: &Moment, account: &Account) -> Vec<String> {
    let within = |line: &&Line| (moment.began_ns..=moment.read_ns).contains(&line.t_ns);
    let lines = || account.worker.iter().filter(within);
    let count = |which: fn(&Event) -> bool| lines().filter(|line| which(&line.event)).count();
    let frames = count(|event| matches!(event, Event::Frame { bytes, .. } if *bytes > 0));
    let commands = count(|event| matches!(event, Event::ControlReceived { .. }));
    // Streams that were open at the attachment are counted too.
    let ended_before: usize = account
        .worker
        .iter()
        .filter(|line| line.t_ns < moment.began_ns)
        .filter(|line| matches!(line.event, Event::StreamEnd { .. }))
        .count();
    let begun: usize = account
        .worker
        .iter()
        .filter(|line| line.t_ns <= moment.read_ns)
        .filter(
            |line| matches!(&line.event, Event::Request { method, .. } if method == "Synthesize"),
        )
        .count();
    let most = [
        ("worker_audio_frames_emitted_total", frames),
        ("worker_control_commands_total", commands),
        (
            "worker_synthesis_requests_total",
            begun.saturating_sub(ended_before),
        ),
    ];
    most.into_iter()
        .filter_map(|(name, most)| {
            let counted = moment.metrics.sum(name, &[]);
            (counted > most as f64).then(|| format!("{name}: {counted} of {most}"))
        })
        .collect()
}

fn lost(moment: &Moment) -> u64 {
    let losses = moment
        .last
        .by_label("voxprobe_kernel_losses_total", "reason");
    losses.values().sum()
}
