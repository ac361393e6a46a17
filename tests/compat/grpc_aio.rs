//! The worker on grpc.aio: one event loop.

use std::sync::LazyLock;

use probe_tests::peer::Kind;
use probe_tests::skip::unprivileged;
use probe_tests::story::Story;

use crate::exactness;

/// Told once, looked at by each test.
static STORY: LazyLock<Option<Story>> = LazyLock::new(|| Story::tell(Kind::GrpcAio));

fn story() -> Option<&'static Story> {
    if unprivileged() {
        return None;
    }
    let story = STORY.as_ref();
    if story.is_none() {
        probe_tests::skip::skip("no Python with grpcio");
    }
    story
}

#[test]
fn grpc_aio_worker_is_counted_exactly() {
    if let Some(story) = story() {
        exactness::assert_exact_counts(story);
    }
}

#[test]
fn grpc_aio_worker_keeps_its_audio() {
    if let Some(story) = story() {
        exactness::assert_audio_stays(story);
    }
}

#[test]
fn grpc_aio_worker_jitter_agrees_with_its_own_stamps() {
    if let Some(story) = story() {
        exactness::assert_jitter_agrees(story);
    }
}

#[test]
fn grpc_aio_worker_replays_to_the_same_metrics() {
    if let Some(story) = story() {
        exactness::assert_replay_agrees(story);
    }
}

#[test]
fn grpc_aio_worker_leaves_no_audio_and_no_text_in_the_capture() {
    if let Some(story) = story() {
        exactness::assert_no_content_in_capture(story);
    }
}
