//! Stories with anything missing, in any order: no span says what nobody saw.

use std::collections::BTreeSet;

use proptest::option::of;
use proptest::prelude::*;

use super::*;

fn time() -> impl Strategy<Value = KtimeNs> {
    (0_u64..1000).prop_map(ms)
}

fn moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        Just(Moment::NotYet),
        Just(Moment::Unknown),
        time().prop_map(Moment::At)
    ]
}

fn context() -> impl Strategy<Value = Option<TraceContext>> {
    prop_oneof![Just(None), Just(Some(CLIENT)), Just(Some(CALLER))]
}

prop_compose! {
    fn any_call()(
        text in of(time()), first_frame in of(time()), frames in of(0_u64..9),
        end in of(time()), trace in context(), peer in any::<bool>(),
    ) -> CallStory {
        CallStory {
            text, first_frame, frames, trace,
            end: end.map(|at| (at, None)),
            peer: peer.then(|| call_id(2)),
            ..call()
        }
    }
}

prop_compose! {
    fn any_utterance()(
        asked in of(time()), audio in of((time(), time())), doubt in any::<bool>(),
        trace in context(), calls in prop::collection::vec(any_call(), 0..2),
    ) -> UtteranceStory {
        UtteranceStory {
            asked, trace, calls,
            doubt: doubt.then_some(SkipReason::Lost),
            audio: audio.map(|(first, last)| SentAudio { first, last, ..utterance().audio.unwrap() }),
            ..utterance()
        }
    }
}

prop_compose! {
    fn any_synthesis()(
        text in moment(), first_frame in moment(), last_frame in of(time()),
        frames in of(0_u64..9), ended in time(), unknown in any::<bool>(), trace in context(),
    ) -> SynthesisStory {
        SynthesisStory {
            text, first_frame, last_frame, frames, ended, trace,
            end: unknown.then_some(CallEnd::Unknown),
            ..synthesis()
        }
    }
}

/// Times that a span may begin or end at.
fn times(utterance: &UtteranceStory, synthesis: &SynthesisStory) -> BTreeSet<KtimeNs> {
    let audio = utterance.audio.iter();
    let calls = utterance.calls.iter();
    let mut times: Vec<Option<KtimeNs>> = vec![
        utterance.asked,
        synthesis.text.at(),
        synthesis.first_frame.at(),
        synthesis.last_frame,
        Some(synthesis.ended),
    ];
    times.extend(audio.flat_map(|audio| [Some(audio.first), Some(audio.last)]));
    times.extend(calls.flat_map(|it| [it.text, it.first_frame, it.end.map(|(at, _)| at)]));
    times.into_iter().flatten().collect()
}

proptest! {
    #[test]
    fn spans_have_times_that_were_seen_and_parents_that_are_there(
        utterance in any_utterance(), synthesis in any_synthesis(), synthesis_first: bool,
    ) {
        let seen = times(&utterance, &synthesis);
        let doubtful = utterance.doubt.is_some();
        let mut stories = vec![Story::Utterance(utterance), Story::Synthesis(synthesis)];
        if synthesis_first {
            stories.reverse();
        }
        let traces = || {
            let mut world = World::new(1.0);
            for story in stories.clone() {
                world.tell(story);
            }
            world.traces()
        };
        let told = traces();
        prop_assert_eq!(&told, &traces(), "the same stories, the same spans");
        let spans: Vec<&Span> = told.iter().flat_map(|trace| &trace.spans).collect();
        let ids: BTreeSet<SpanId> = spans.iter().map(|span| span.id).collect();
        prop_assert_eq!(ids.len(), spans.len(), "no identifier twice");
        for span in &spans {
            prop_assert!(span.start <= span.end, "{:?}", span);
            prop_assert!(seen.contains(&span.start) && seen.contains(&span.end), "{:?}", span);
            let root = span.name == "synthesize_request";
            prop_assert!(!(doubtful && root), "{:?}", span);
            if let Parent::Span(parent) = span.parent {
                let parent = spans.iter().find(|other| other.id == parent);
                prop_assert!(parent.is_some_and(|parent| parent.trace == span.trace), "{:?}", span);
            }
        }
    }
}
