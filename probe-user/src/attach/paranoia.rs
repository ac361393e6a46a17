//! `kernel.perf_event_paranoid`, where it is at a level that Linux does not have.
//!
//! Linux has levels up to 2, which `CAP_PERFMON` passes. The kernels of Debian and Ubuntu add one above, at 3 or 4,
//! at which `perf_event_open` asks for `CAP_SYS_ADMIN`; it is their default. Source: their patch "security,perf:
//! Allow further restriction of `perf_event_open`".

use std::fs;

const FILE: &str = "/proc/sys/kernel/perf_event_paranoid";

/// Linux' highest level.
const HIGHEST: i32 = 2;

/// The level, where it is above Linux' own.
pub(super) fn level() -> Option<i32> {
    above_linux(&fs::read_to_string(FILE).ok()?)
}

fn above_linux(text: &str) -> Option<i32> {
    let level = text.trim().parse().ok()?;
    (level > HIGHEST).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_levels_that_linux_does_not_have_are_told() {
        assert_eq!(above_linux("3\n"), Some(3));
        assert_eq!(above_linux("4\n"), Some(4));
        for text in ["2\n", "-1\n", "", "x"] {
            assert_eq!(above_linux(text), None, "{text}");
        }
    }
}
