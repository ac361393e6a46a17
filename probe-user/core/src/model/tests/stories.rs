//! What a worker tells once it is over.

use super::*;
use crate::interpret::Id;
use crate::model::{Moment, SessionChange, Story, SynthesisStory};
use crate::record::{SpanId, TraceContext, TraceId};

impl World {
    fn syntheses(&mut self) -> Vec<SynthesisStory> {
        let told = self.model.take_stories().into_iter();
        told.filter_map(|story| match story {
            Story::Synthesis(story) => Some(story),
            _ => None,
        })
        .collect()
    }
}

fn world() -> World {
    let mut world = World::new();
    world.model.keep_stories();
    world.start_session("s", "m", 0.0);
    world
}

#[test]
fn synthesis_tells_its_times_once_with_its_final_frame() {
    let context = TraceContext {
        trace: TraceId([1; 16]),
        parent: SpanId([2; 8]),
        sampled: false,
    };
    let mut world = world();
    world.open(stream(1), MethodRole::Synthesize, 9.0);
    world.feed(&flow::Event::Traced {
        call: stream(1),
        at: ms(9.0),
        context,
    });
    let mut fields = vec![text(FieldRole::SessionId, "s")];
    fields.push((FieldRole::Text, Value::Length(12)));
    world.say(stream(1), Origin::Client, 10.0, &message(fields));
    world.frames(stream(1), 60.0, 1, 30);
    world.final_marker(stream(1), 700.0);
    world.end(stream(1), 701.0, OK);
    let told = world.syntheses();
    let [story] = told.as_slice() else {
        panic!("{told:#?}");
    };
    assert_eq!(story.worker.as_str(), "w");
    assert_eq!(story.model.as_ref().map(Id::as_str), Some("m"));
    assert_eq!(story.trace, Some(context));
    assert_eq!(story.text, Moment::At(ms(10.0)));
    assert_eq!(story.text_bytes, Some(12));
    assert_eq!(story.first_frame, Moment::At(ms(60.0)));
    assert_eq!(story.last_frame, Some(ms(60.0 + 29.0 * 20.0)));
    assert_eq!(story.frames, Some(30));
    assert_eq!((story.ended, story.end), (ms(700.0), None));
    assert_eq!((story.jitter.intervals, story.jitter.above), (29, 0));
}

#[test]
fn lost_messages_leave_moments_unknown() {
    let mut world = world();
    world.open(stream(1), MethodRole::Synthesize, 9.0);
    world.lose(stream(1), Origin::Client, 9.5);
    world.speak(stream(3), "s", 10.0);
    world.lose(stream(3), Origin::Server, 20.0);
    world.frame(stream(3), 40.0, 3);
    for call in [1, 3] {
        world.end(stream(call), 90.0, OK);
    }
    let told = world.syntheses();
    assert_eq!((told[0].text, told[0].text_bytes), (Moment::Unknown, None));
    assert_eq!(told[1].text, Moment::At(ms(10.0)));
    assert_eq!(
        (told[1].first_frame, told[1].frames),
        (Moment::Unknown, None)
    );
}

#[test]
fn sessions_of_a_worker_are_told_where_somebody_asked() {
    let mut world = world();
    world.end_session("s", 50.0);
    let told = world.model.take_stories();
    let changes: Vec<_> = told
        .iter()
        .filter_map(|story| match story {
            Story::Session(story) => Some(story.change),
            _ => None,
        })
        .collect();
    assert_eq!(
        changes,
        [SessionChange::Started, SessionChange::Ended(None)]
    );
    let mut world = World::new();
    world.start_session("s", "m", 0.0);
    assert_eq!(world.model.take_stories(), []);
}
