//! Names on random connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::traffic::{Mix, Traffic};
use super::wire::Style;
use crate::flow::{Event, Http2Connection, InferenceState, Method, Problem, Sink};
use crate::profile::{MethodRole, Profile};
use crate::record::{ConnectionId, Joined, KtimeNs, Side};

/// Keeps what the calls are said to be.
#[derive(Default)]
pub(super) struct Names {
    /// By stream: every name it was given.
    pub(super) given: BTreeMap<u32, Vec<MethodRole>>,
    pub(super) states: Vec<InferenceState>,
}

impl Sink for Names {
    fn event(&mut self, event: Event<'_>) {
        let (call, role) = match event {
            Event::CallStarted {
                call,
                method: Method::Known(role),
                ..
            } => (call, role),
            Event::MethodInferred { call, method, .. } => (call, method),
            _ => return,
        };
        self.given.entry(call.stream).or_default().push(role);
    }

    fn keep(&mut self, _: usize, _: usize) {}

    fn inferred(&mut self, state: InferenceState) {
        self.states.push(state);
    }

    fn problem(&mut self, _: Problem) {}
}

/// How many calls of a method there were, and how many were named.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) calls: u32,
    pub(super) named: u32,
    pub(super) wrong: u32,
}

/// Watches a connection from a cut on; tallies by method the calls that start `later` nanoseconds
/// after it or more.
pub(super) fn watch(
    profile: &Arc<Profile>,
    traffic: &Traffic,
    cut: usize,
    later: u64,
    tallies: &mut BTreeMap<&'static str, Tally>,
) -> Names {
    let id = ConnectionId(1);
    let mut connection = Http2Connection::new(id, Side::Client, Joined::Late, Arc::clone(profile));
    let mut names = Names::default();
    let Some(start) = traffic.writes.get(cut).map(|write| write.at) else {
        return names;
    };
    let mut late = Vec::new();
    for write in traffic.writes.iter().skip(cut) {
        connection.handle_bytes(write.from, KtimeNs(write.at), &write.bytes, &mut names);
        if let Some(stream) = write.opens.filter(|_| write.at >= start + later) {
            late.push(stream);
        }
    }
    let end = traffic.writes.last().map_or(0, |write| write.at);
    connection.handle_closed(KtimeNs(end), &mut names);
    for (stream, method) in &traffic.methods {
        let given = names
            .given
            .get(stream)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let path = format!("/tts.TTSService/{method}");
        let truth = profile.method(&path).map(|method| method.role);
        let tally = tallies.entry(method).or_default();
        if given.iter().any(|role| Some(*role) != truth) {
            tally.wrong += 1;
        }
        if late.contains(stream) {
            tally.calls += 1;
            tally.named += u32::from(!given.is_empty());
        }
    }
    names
}

fn mix(rng: &mut Rng, style: Style) -> Mix {
    Mix {
        style,
        sessions: if rng.u8(..20) == 0 { 50 } else { rng.u32(1..6) },
        length_ms: rng.u64(3_000..12_000),
        frames: 8,
        control_in: rng.u32(..4),
        models: rng.bool(),
        unlisted: rng.bool(),
        metadata: rng.u8(..4) == 0,
    }
}

#[test]
fn random_connection_joined_late_is_never_given_a_wrong_name() {
    let profile = Arc::new(Profile::builtin());
    let count = if std::env::var_os("VOXPROBE_LONG").is_some() {
        20_000
    } else {
        150
    };
    let mut tallies = BTreeMap::new();
    for seed in 0..count {
        let mut rng = Rng::with_seed(seed);
        let style = if seed % 8 == 0 {
            Style::Tonic
        } else {
            Style::GrpcCore
        };
        let mix = mix(&mut rng, style);
        let traffic = Traffic::new(&mut rng, mix);
        let cut = rng.usize(..traffic.writes.len());
        watch(&profile, &traffic, cut, 2_000_000_000, &mut tallies);
        let wrong: Vec<_> = tallies
            .iter()
            .filter(|(_, tally)| tally.wrong > 0)
            .collect();
        assert!(
            wrong.is_empty(),
            "seed {seed}, {mix:?}, from {cut}: {wrong:?}"
        );
    }
    for (method, tally) in &tallies {
        println!("{method:16} {tally:?}");
    }
}

/// What an orchestrator with a number of speakers says to its worker.
fn realistic(rng: &mut Rng) -> Mix {
    Mix {
        style: Style::GrpcCore,
        sessions: rng.u32(1..=50),
        length_ms: 30_000,
        frames: 12,
        control_in: 3,
        models: true,
        unlisted: false,
        metadata: false,
    }
}

#[test]
fn realistic_traffic_of_grpc_core_is_named_but_for_one_call_in_a_hundred() {
    let profile = Arc::new(Profile::builtin());
    let mut tallies = BTreeMap::new();
    for seed in 0..6 {
        let mut rng = Rng::with_seed(seed);
        let mix = realistic(&mut rng);
        let traffic = Traffic::new(&mut rng, mix);
        let cut = rng.usize(..traffic.writes.len() / 2);
        watch(&profile, &traffic, cut, 2_000_000_000, &mut tallies);
    }
    for (method, tally) in &tallies {
        println!("{method:16} {tally:?}");
    }
    let calls: u32 = tallies.values().map(|tally| tally.calls).sum();
    let named: u32 = tallies.values().map(|tally| tally.named).sum();
    assert!(
        calls > 1_000 && named * 100 >= calls * 99,
        "{named} of {calls}"
    );
}
