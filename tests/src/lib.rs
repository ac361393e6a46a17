//! Shared parts of the tests against real peers.
