//! Names on random connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use super::traffic::{Mix, Traffic};
use super::wire::Style;
use crate::flow::{Event, Http2Connection, InferenceState, Method, Problem, Sink};
use crate::profile::{MethodRole, Profile};
use crate::record::{ConnectionId, GapReason, Joined, KtimeNs, Side};

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
/// after it or more. Of the writes `lost` nothing is seen.
pub(super) fn watch(
    profile: &Arc<Profile>,
    traffic: &Traffic,
    cut: usize,
    (later, lost): (u64, &[usize]),
    tallies: &mut BTreeMap<&'static str, Tally>,
) -> Names {
    let id = ConnectionId(1);
    let mut connection = Http2Connection::new(id, Side::Client, Joined::Late, Arc::clone(profile));
    let mut names = Names::default();
    let Some(start) = traffic.writes.get(cut).map(|write| write.at) else {
        return names;
    };
    let mut late = Vec::new();
    for (number, write) in traffic.writes.iter().enumerate().skip(cut) {
        if lost.contains(&number) {
            let length = write.bytes.len() as u64;
            let at = KtimeNs(write.at);
            connection.handle_hole(write.from, at, length, GapReason::Lost, &mut names);
            continue;
        }
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
        idle_ms: [300, 1_500, 6_000][rng.usize(..3)],
        control_in: rng.u32(..4),
        models: rng.bool(),
        unlisted: rng.bool(),
        twins: None,
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
        watch(&profile, &traffic, cut, (2_000_000_000, &[]), &mut tallies);
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
        length_ms: 20_000,
        frames: 12,
        idle_ms: 300,
        control_in: 3,
        models: true,
        unlisted: false,
        twins: None,
        metadata: false,
    }
}

#[test]
fn realistic_traffic_of_grpc_core_is_named_but_for_one_call_in_a_hundred() {
    let profile = Arc::new(Profile::builtin());
    let mut tallies = BTreeMap::new();
    for seed in 0..3 {
        let mut rng = Rng::with_seed(seed);
        let mix = realistic(&mut rng);
        let traffic = Traffic::new(&mut rng, mix);
        let cut = rng.usize(..traffic.writes.len() / 2);
        watch(&profile, &traffic, cut, (2_000_000_000, &[]), &mut tallies);
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

#[test]
fn lost_writes_never_make_a_wrong_name() {
    let profile = Arc::new(Profile::builtin());
    let count = if std::env::var_os("VOXPROBE_LONG").is_some() {
        5_000
    } else {
        60
    };
    let mut tallies = BTreeMap::new();
    for seed in 0..count {
        let mut rng = Rng::with_seed(seed);
        let mix = mix(&mut rng, Style::GrpcCore);
        let traffic = Traffic::new(&mut rng, mix);
        let cut = rng.usize(..traffic.writes.len());
        let share = [1, 5, 20][rng.usize(..3)];
        let lost: Vec<_> = (cut..traffic.writes.len())
            .filter(|_| rng.u8(..100) < share)
            .collect();
        watch(&profile, &traffic, cut, (0, &lost), &mut tallies);
        let wrong: Vec<_> = tallies
            .iter()
            .filter(|(_, tally)| tally.wrong > 0)
            .collect();
        assert!(
            wrong.is_empty(),
            "seed {seed}, {mix:?}, from {cut}, {share} %: {wrong:?}"
        );
    }
    let named: u32 = tallies.values().map(|tally| tally.named).sum();
    assert!(named > 100, "{tallies:?}");
}

/// The built-in profile with another method of the same messages.
fn with_twin(method: &str, twin: &str, role: &str) -> Arc<Profile> {
    let start = format!("name = \"{method}\"\n");
    let text = Profile::BUILTIN;
    let rest = text.split_once(&start).expect("a method of the profile").1;
    let lines = rest.lines().skip(1).take_while(|line| !line.is_empty());
    let messages = lines.collect::<Vec<_>>().join("\n");
    let block = format!("[[service.method]]\nname = \"{twin}\"\nrole = \"{role}\"\n{messages}\n\n");
    let head = "[[service.method]]";
    Arc::new(Profile::from_toml(&text.replacen(head, &(block + head), 1)).unwrap())
}

#[test]
fn methods_of_the_same_messages_are_told_by_structure_or_not_at_all() {
    for (method, twin, role) in [
        ("Synthesize", "Preview", "load_model"),
        ("Control", "Steer", "end_session"),
        ("StartSession", "ResumeSession", "unload_model"),
        ("LoadModel", "WarmModel", "control"),
        ("UnloadModel", "ForgetModel", "synthesize"),
    ] {
        let profile = with_twin(method, twin, role);
        let mut tallies = BTreeMap::new();
        let mut revealed = 0;
        for seed in 0..20 {
            let mut rng = Rng::with_seed(seed);
            let mix = Mix {
                twins: Some((method, twin)),
                length_ms: 6_000,
                sessions: 4,
                ..realistic(&mut rng)
            };
            let traffic = Traffic::new(&mut rng, mix);
            let cut = rng.usize(..traffic.writes.len() / 4);
            let names = watch(&profile, &traffic, cut, (0, &[]), &mut tallies);
            let states = names.states.iter();
            revealed += states
                .filter(|state| **state == InferenceState::Revealed)
                .count();
        }
        let wrong: u32 = tallies.values().map(|tally| tally.wrong).sum();
        assert_eq!(wrong, 0, "{method}: {tallies:?}");
        let unnamed = tallies[method].calls - tallies[method].named;
        assert!(unnamed > 0, "{method}: {tallies:?}");
        println!("{method}: {revealed} revealed, {:?}", tallies[method]);
    }
}
