//! Hooks as a whole: calls in, metrics and speech out.

use prometheus::core::Collector as _;

use super::*;
use crate::metrics::{Family, Histogram};
use crate::record::{Debounce, Returns, Sustained};

const MS: u64 = 1_000_000;
const ORCHESTRATOR: Role = Role::Orchestrator;

fn vad() -> Hook {
    let results = |results| Sustained {
        time_ns: 0,
        results,
    };
    Hook {
        id: HookId(3),
        name: "vad".to_owned(),
        role: None,
        kind: HookKind::Edge,
        returns: Returns::I32,
        positive: vec![1],
        timeouts: Vec::new(),
        sees_resets: true,
        debounce: Debounce {
            positive: results(2),
            negative: results(3),
            max_gap_ns: 0,
        },
        meaning: HookMeaning::Vad,
    }
}

fn asr() -> Hook {
    Hook {
        id: HookId(4),
        name: "asr".to_owned(),
        kind: HookKind::Latency,
        positive: Vec::new(),
        timeouts: vec![-110],
        meaning: HookMeaning::Asr {
            model: "openai/whisper-small".to_owned(),
        },
        ..vad()
    }
}

fn call(tgid: u32, instance: u64, at_ms: u64, event: HookEvent) -> HookCall {
    HookCall {
        hook: HookId(3),
        tgid: Tgid(tgid),
        tid: tgid,
        enter: KtimeNs(at_ms * MS - MS / 100),
        exit: KtimeNs(at_ms * MS),
        instance,
        event,
    }
}

fn model(hooks: &[Hook]) -> (HookModel, Metrics) {
    let metrics = Metrics::default();
    let mut model = HookModel::new(&metrics);
    for hook in hooks {
        model.handle_hook(hook);
    }
    (model, metrics)
}

/// Feeds results 20 ms apart to an instance; gives what speech they settle, with their times.
fn feed(model: &mut HookModel, instance: u64, results: &[i32], from_ms: u64) -> Vec<(Speech, u64)> {
    results
        .iter()
        .zip((from_ms..).step_by(20))
        .filter_map(|(result, at)| {
            let event = HookEvent::Returned(u64::from(*result as u32));
            let speech = model.handle_call(&call(1, instance, at, event), ORCHESTRATOR)?;
            Some((speech, at))
        })
        .collect()
}

fn sum_and_count(family: &Family<Histogram>) -> (f64, u64) {
    let families = family.collect();
    let metrics = families.first().map(|family| family.get_metric().to_vec());
    metrics
        .unwrap_or_default()
        .first()
        .map_or((0.0, 0), |metric| {
            let histogram = metric.get_histogram();
            (histogram.get_sample_sum(), histogram.get_sample_count())
        })
}

#[test]
fn speech_starts_and_ends_once_the_results_have_lasted() {
    let (mut model, metrics) = model(&[vad()]);
    model.handle_call(&call(1, 7, 1, HookEvent::Reset), ORCHESTRATOR);
    let seen = feed(&mut model, 7, &[0, 1, 0, 1, 1, 1, 0, 0, 1, 0, 0, 0], 100);
    assert_eq!(seen, [(Speech::Started, 180), (Speech::Ended, 320)]);
    let events = &metrics.hooks.vad_events;
    assert_eq!(events.with(&["speech_start"]).get(), 1);
    assert_eq!(events.with(&["speech_end"]).get(), 1);
    let (sum, count) = sum_and_count(&metrics.hooks.vad_detection_latency);
    assert_eq!(count, 1);
    assert!((sum - 20.0).abs() < 1e-9, "{sum}");
    assert_eq!(metrics.hooks.calls.with(&["vad"]).get(), 12);
    assert_eq!(metrics.hooks.edges.with(&["vad", "rising"]).get(), 1);
}

#[test]
fn instances_of_one_process_are_told_apart() {
    let (mut model, metrics) = model(&[vad()]);
    for instance in [7, 8] {
        model.handle_call(&call(1, instance, 1, HookEvent::Reset), ORCHESTRATOR);
    }
    let mut seen = 0;
    for at in (100..200).step_by(20) {
        for (instance, result) in [(7, 1), (8, 0)] {
            seen += feed(&mut model, instance, &[result], at).len();
        }
    }
    assert_eq!(seen, 1);
    assert_eq!(metrics.hooks.vad_events.with(&["speech_start"]).get(), 1);
}

#[test]
fn instance_that_was_not_seen_to_start_settles_first() {
    let (mut model, _metrics) = model(&[vad()]);
    assert_eq!(feed(&mut model, 7, &[1, 1, 1], 100), []);
    let seen = feed(&mut model, 7, &[0, 0, 0, 1, 1], 200);
    assert_eq!(seen, [(Speech::Ended, 240), (Speech::Started, 280)]);
}

#[test]
fn memory_used_again_for_another_instance_starts_anew() {
    let (mut model, metrics) = model(&[vad()]);
    model.handle_call(&call(1, 7, 1, HookEvent::Reset), ORCHESTRATOR);
    assert_eq!(feed(&mut model, 7, &[1, 1, 1], 100).len(), 1);
    model.handle_call(&call(1, 7, 200, HookEvent::Reset), ORCHESTRATOR);
    assert_eq!(feed(&mut model, 7, &[1, 1, 1], 220).len(), 1);
    assert_eq!(metrics.hooks.vad_events.with(&["speech_start"]).get(), 2);
    assert_eq!(metrics.hooks.vad_events.with(&["speech_end"]).get(), 0);
}

#[test]
fn result_that_is_an_error_says_nothing_about_speech() {
    let (mut model, metrics) = model(&[vad()]);
    model.handle_call(&call(1, 7, 1, HookEvent::Reset), ORCHESTRATOR);
    let seen = feed(&mut model, 7, &[1, -1, 1], 100);
    assert_eq!(seen, [(Speech::Started, 140)]);
    assert_eq!(metrics.hooks.errors.with(&["vad"]).get(), 1);
}

#[test]
fn process_of_another_part_is_left_out() {
    let hook = Hook {
        role: Some(ORCHESTRATOR),
        ..vad()
    };
    let (mut model, metrics) = model(&[hook]);
    let entered = call(1, 7, 1, HookEvent::Entered);
    model.handle_call(&entered, Role::Worker);
    assert_eq!(metrics.hooks.calls.with(&["vad"]).get(), 0);
    model.handle_call(&entered, ORCHESTRATOR);
    assert_eq!(metrics.hooks.calls.with(&["vad"]).get(), 1);
}

#[test]
fn recognition_is_counted_and_timed_with_its_errors() {
    let (mut model, metrics) = model(&[vad(), asr()]);
    for (value, took_ms) in [(0_i32, 40_u64), (5, 80), (-1, 20), (-110, 60)] {
        let asked = HookCall {
            hook: HookId(4),
            enter: KtimeNs(1000 * MS),
            exit: KtimeNs((1000 + took_ms) * MS),
            ..call(1, 7, 1000, HookEvent::Returned(u64::from(value as u32)))
        };
        assert_eq!(model.handle_call(&asked, ORCHESTRATOR), None);
    }
    let requests = metrics.hooks.asr_requests.with(&["openai/whisper-small"]);
    assert_eq!(requests.get(), 4);
    let (sum, count) = sum_and_count(&metrics.hooks.asr_latency);
    assert_eq!(count, 4);
    assert!((sum - 200.0).abs() < 1e-9, "{sum}");
    assert_eq!(metrics.hooks.asr_errors.with(&["timeout"]).get(), 1);
    assert_eq!(metrics.hooks.asr_errors.with(&["model_error"]).get(), 1);
    assert_eq!(metrics.hooks.errors.with(&["asr"]).get(), 2);
    assert_eq!(metrics.hooks.errors.with(&["vad"]).get(), 0);
}

#[test]
fn instances_stay_bounded_and_leave_with_their_process() {
    let (mut model, metrics) = model(&[vad()]);
    let most = MAX_INSTANCES as u64;
    for instance in 0..most + 10 {
        let reset = call(1, instance, 1 + instance, HookEvent::Reset);
        model.handle_call(&reset, ORCHESTRATOR);
    }
    assert_eq!(model.instances(), MAX_INSTANCES);
    let given_up = metrics.probe.state_refused.with(&["hook_instance"]);
    assert_eq!(given_up.get(), 10);
    // The oldest went: the newest still knows that it began in silence.
    assert_eq!(feed(&mut model, most + 9, &[1, 1], 90_000).len(), 1);
    assert_eq!(feed(&mut model, 0, &[1, 1], 90_000).len(), 0);
    model.handle_process_ended(Tgid(2));
    assert_eq!(model.instances(), MAX_INSTANCES);
    model.handle_process_ended(Tgid(1));
    assert_eq!(model.instances(), 0);
}

#[test]
fn hooks_stay_bounded() {
    let (mut model, metrics) = model(&[]);
    for id in 0..MAX_HOOKS as u32 + 5 {
        model.handle_hook(&Hook {
            id: HookId(id),
            ..vad()
        });
    }
    assert_eq!(metrics.probe.state_refused.with(&["hook"]).get(), 5);
}

#[test]
fn call_of_an_unknown_hook_or_with_wild_times_is_harmless() {
    let (mut model, _metrics) = model(&[vad()]);
    let stray = HookCall {
        hook: HookId(99),
        ..call(1, 7, 1, HookEvent::Returned(1))
    };
    assert_eq!(model.handle_call(&stray, ORCHESTRATOR), None);
    for (enter, exit) in [(u64::MAX, 0), (0, u64::MAX), (5, 5)] {
        let wild = HookCall {
            enter: KtimeNs(enter),
            exit: KtimeNs(exit),
            ..call(1, u64::MAX, 1, HookEvent::Returned(u64::MAX))
        };
        model.handle_call(&wild, ORCHESTRATOR);
    }
}

#[test]
fn hook_in_the_place_of_another_starts_without_its_instances() {
    let (mut model, _) = model(&[vad()]);
    model.handle_call(&call(1, 7, 1, HookEvent::Reset), ORCHESTRATOR);
    assert_eq!(model.instances(), 1);
    model.handle_hook(&Hook {
        name: "other".to_owned(),
        ..vad()
    });
    assert_eq!(model.instances(), 0);
    // What it says of the same address is not judged by what the other one saw.
    assert_eq!(feed(&mut model, 7, &[1, 1], 100), []);
}
