//! What is told once it is over: every time in it is one that was seen.

use super::*;
use crate::model::story::{SentAudio, SessionChange, Story, UtteranceStory};
use crate::record::{SpanId, TraceContext, TraceId};

const CONTEXT: TraceContext = TraceContext {
    trace: TraceId([1; 16]),
    parent: SpanId([2; 8]),
    sampled: true,
};

/// A watched worker, and one client whose session has model `m`.
fn world() -> World {
    let mut world = World::with_worker();
    world.model.keep_stories();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    world
}

impl World {
    fn utterances(&mut self) -> Vec<UtteranceStory> {
        let told = self.model.take_stories().into_iter();
        told.filter_map(|story| match story {
            Story::Utterance(story) => Some(story),
            _ => None,
        })
        .collect()
    }
}

#[test]
fn utterance_tells_from_its_message_to_its_last_audio_with_its_call() {
    let mut world = world();
    world.client(1, 0.0, ClientWhat::Traced(CONTEXT));
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.call(call(1), 101.0, What::StreamTraced(CONTEXT));
    for i in 1..=3 {
        world.relay(1, 1, 120.0 + 20.0 * i as f64, i);
    }
    world.call(call(1), 181.0, What::Frame(end_marker()));
    world.done(1, 182.0, OK);
    let told = world.utterances();
    let [story] = told.as_slice() else {
        panic!("{told:#?}");
    };
    assert_eq!((story.id.connection, story.id.number), (ws(1), 1));
    assert_eq!((&story.session, &story.model), (&id("ws-1"), &id("m")));
    assert_eq!((story.asked, story.doubt), (Some(ms(100.0)), None));
    assert_eq!(story.trace, Some(CONTEXT));
    let audio = SentAudio {
        first: ms(140.5),
        last: ms(180.5),
        frames: 3,
        source: Some(call(1)),
    };
    assert_eq!(story.audio, Some(audio));
    assert_eq!(story.first_audio_ms(), Some(40.5));
    let [call] = story.calls.as_slice() else {
        panic!("{:#?}", story.calls);
    };
    let peer = call.peer.expect("both ends are watched");
    assert_eq!(
        (peer.connection, peer.stream),
        (ConnectionId(WORKER_END), 1)
    );
    assert_eq!(call.worker, id("tts@0"));
    assert_eq!(call.text, Some(ms(101.0)));
    assert_eq!(call.first_frame, Some(ms(140.0)));
    assert_eq!((call.frames, call.text_bytes), (Some(3), Some(5)));
    assert_eq!(call.end, Some((ms(181.0), None)), "the final frame ends it");
    assert_eq!(call.trace, Some(CONTEXT));
}

#[test]
fn what_may_have_gone_unseen_is_not_told() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.call(call(1), 110.0, What::FramesLost);
    world.relay(1, 1, 140.0, 5);
    world.done(1, 190.0, OK);
    world.tick(5000.0);
    let told = world.utterances();
    assert_eq!(told[0].calls[0].first_frame, None);
    assert_eq!(told[0].calls[0].frames, None);
    assert_eq!(told[0].calls[0].end, Some((ms(190.0), Some(OK))));
    // Of the client's messages: the one that began it, then audio in its middle.
    world.client(
        1,
        6000.0,
        ClientWhat::MessagesLost {
            origin: Origin::Client,
        },
    );
    world.text(1, 6001.0, true);
    world.speak(3, 6002.0, "ws-1");
    world.relay(3, 1, 6020.0, 1);
    world.done(3, 6030.0, OK);
    world.text(1, 6100.0, true);
    world.speak(5, 6101.0, "ws-1");
    world.relay(5, 1, 6120.0, 1);
    world.client(
        1,
        6125.0,
        ClientWhat::MessagesLost {
            origin: Origin::Server,
        },
    );
    world.relay(5, 1, 6140.0, 2);
    world.done(5, 6150.0, OK);
    world.tick(10_000.0);
    let doubts: Vec<_> = world.utterances().iter().map(|it| it.doubt).collect();
    assert_eq!(doubts, [Some(SkipReason::Lost), Some(SkipReason::Lost)]);
}

#[test]
fn text_that_was_not_read_makes_the_beginning_doubtful() {
    let mut world = world();
    let unread = MessageKind::Unknown;
    world.message(1, 90.0, Origin::Client, unread, ClientFields::default());
    world.speak(1, 101.0, "ws-1");
    world.relay(1, 1, 140.0, 1);
    world.done(1, 150.0, OK);
    world.tick(5000.0);
    let told = world.utterances();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].asked, None);
    assert_eq!(told[0].doubt, Some(SkipReason::Unreadable));
}

#[test]
fn call_that_may_be_of_several_sessions_is_told_as_nobodys() {
    let mut world = World::with_worker();
    world.model.keep_stories();
    world.connect(1, 0.0, "a");
    world.connect(2, 0.0, "b");
    world.text(1, 10.0, true);
    world.text(2, 10.0, true);
    world.speak(1, 11.0, "other");
    world.frame(1, 20.0, 1);
    world.done(1, 30.0, OK);
    world.tick(5000.0);
    let told = world.model.take_stories();
    let lone: Vec<_> = told
        .iter()
        .filter_map(|story| match story {
            Story::Call { call, reason, .. } => Some((call.call, call.text, *reason)),
            _ => None,
        })
        .collect();
    assert_eq!(lone, [(call(1), Some(ms(11.0)), SkipReason::Ambiguous)]);
}

#[test]
fn client_that_leaves_ends_the_story_without_the_end_of_its_call() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.relay(1, 1, 120.0, 1);
    world.end(1, 130.0, ConnectionEnd::Reset);
    let told = world.utterances();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].calls[0].end, None);
    world.done(1, 131.0, CANCELLED);
    world.tick(5000.0);
    assert_eq!(world.utterances(), []);
}

#[test]
fn interruption_tells_what_it_took_and_which_utterance_it_was() {
    let mut world = world();
    world.text(1, 100.0, true);
    world.speak(1, 101.0, "ws-1");
    world.call(call(1), 101.0, What::StreamTraced(CONTEXT));
    world.relay(1, 1, 120.0, 1);
    world.command(1, 130.0, Command::Stop);
    world.control((131.0, 133.0), "ws-1", Command::Stop);
    world.at_worker(1, 132.0, What::StreamEnded(OK));
    world.done(1, 134.0, OK);
    world.tick(5000.0);
    let told = world.model.take_stories();
    let interruption = told.iter().find_map(|story| match story {
        Story::Interruption(story) => Some(story.clone()),
        _ => None,
    });
    let interruption = interruption.expect("it is told");
    assert_eq!(interruption.trigger, "control");
    assert_eq!(interruption.latency_ms, 3.0);
    assert_eq!(interruption.trace, Some(CONTEXT));
    let utterance = told.iter().find_map(|story| match story {
        Story::Utterance(story) => Some(story.clone()),
        _ => None,
    });
    let utterance = utterance.expect("it is told");
    assert_eq!(interruption.utterance, Some(utterance.id));
    assert_eq!(utterance.barge_in_ms, Some(3.0));
}

#[test]
fn session_is_told_once_it_is_counted_and_when_it_ends() {
    let mut world = World::new();
    world.model.keep_stories();
    world.connect(1, 0.0, "ws-1");
    world.tick(100.0);
    assert_eq!(world.model.take_stories(), [], "its model is not known");
    world.ask(150.0, "ws-1", "m");
    world.tick(200.0);
    world.tick(300.0);
    world.close(1, 400.0, Origin::Client, Some(1000));
    world.end(1, 401.0, ConnectionEnd::PeerClosed);
    let told: Vec<_> = world
        .model
        .take_stories()
        .into_iter()
        .map(|story| match story {
            Story::Session(it) => (it.session, it.model, it.transport, it.change),
            other => panic!("{other:?}"),
        })
        .collect();
    let of = |change| (id("ws-1"), id("m"), Some("websocket"), change);
    let ended = SessionChange::Ended(Some("normal"));
    assert_eq!(told, [of(SessionChange::Started), of(ended)]);
}

#[test]
fn livekit_agent_tells_what_its_calls_took() {
    let mut world = World::new();
    world.model.keep_stories();
    world.ask(1.0, "room", "m");
    world.speak(1, 10.0, "room");
    world.frame(1, 60.0, 1);
    world.call(call(1), 80.0, What::Frame(last_frame(2)));
    world.done(1, 81.0, OK);
    let told = world.utterances();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].asked, told[0].audio), (None, None));
    assert_eq!(told[0].first_audio_ms(), Some(50.0));
    assert_eq!(told[0].calls[0].end, Some((ms(80.0), None)));
}

#[test]
fn nothing_is_kept_that_nobody_asked_for() {
    let mut world = World::with_worker();
    world.connect(1, 0.0, "ws-1");
    world.ask(1.0, "ws-1", "m");
    for n in 0..100 {
        let at = 100.0 + 100.0 * f64::from(n);
        world.text(1, at, true);
        world.speak(2 * n + 1, at + 1.0, "ws-1");
        world.relay(2 * n + 1, 1, at + 10.0, 1);
        world.done(2 * n + 1, at + 20.0, OK);
        let session = world.model.sessions.values().next().unwrap();
        assert_eq!(session.utterances.open_calls(), [], "{n}");
    }
    assert_eq!(world.model.take_stories(), []);
}
