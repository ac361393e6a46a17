//! permessage-deflate between the Python servers and their clients, on and off.

use probe_tests::compression;
use probe_tests::orchestra::Front;
use probe_tests::skip::unprivileged;

#[test]
fn python_orchestrators_count_the_same_with_deflate_and_without() {
    if unprivileged() {
        return;
    }
    for front in Front::PYTHON {
        compression::assert_exact_from_the_start(front);
    }
}

#[test]
fn python_orchestrators_joined_late_count_what_comes_after() {
    if unprivileged() {
        return;
    }
    for front in Front::PYTHON {
        compression::assert_exact_when_joined_late(front);
    }
}
