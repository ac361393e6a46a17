//! permessage-deflate between an orchestrator and its clients, on and off, in two libraries.

use probe_tests::compression;
use probe_tests::orchestra::Front;
use probe_tests::skip::unprivileged;

#[test]
fn voicelab_orchestrator_counts_the_same_with_deflate_and_without() {
    if !unprivileged() {
        compression::assert_exact_from_the_start(Front::Voicelab);
    }
}

#[test]
fn voicelab_orchestrator_joined_late_counts_what_comes_after() {
    if !unprivileged() {
        compression::assert_exact_when_joined_late(Front::Voicelab);
    }
}
