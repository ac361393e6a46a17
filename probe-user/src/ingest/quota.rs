//! What CPU quotas took from watched processes: `cpu.stat` of their control groups, version 1 and 2.
//!
//! Read with each tick while scheduling is followed. A record is made only when the kernel counted
//! throttling since the last reading, so that a host without quotas has none.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use probe_core::record::{CpuQuota, KtimeNs, Process, Record, Tgid};

/// Where control groups are mounted by convention: the unified hierarchy, its place beside version 1,
/// and version 1's CPU controller under both of its names.
const VERSION_2: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const VERSION_1: [&str; 3] = [
    "/sys/fs/cgroup/cpu,cpuacct",
    "/sys/fs/cgroup/cpu",
    "/sys/fs/cgroup/cpuacct,cpu",
];

/// The control groups of watched processes, each with its last reading.
#[derive(Debug, Default)]
pub(super) struct Quotas(BTreeMap<Tgid, Option<Quota>>);

/// One control group's quota.
#[derive(Debug)]
struct Quota {
    stat: PathBuf,
    last: Reading,
    at: KtimeNs,
}

/// What `cpu.stat` says. Zero where it has no quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reading {
    periods: u64,
    throttled_ns: u64,
}

impl Quotas {
    /// Reads the quota of each process; tells those that took something.
    pub(super) fn read(
        &mut self,
        processes: &BTreeMap<Tgid, Process>,
        now: KtimeNs,
        out: &mut impl FnMut(Record<'_>),
    ) {
        self.0.retain(|tgid, _| processes.contains_key(tgid));
        for tgid in processes.keys() {
            // A process that moves to another group later is followed in the first one: container
            // runtimes move it before its program starts.
            let quota = self.0.entry(*tgid).or_insert_with(|| find(*tgid, now));
            if let Some(quota) = quota
                && let Some(reading) = read(&quota.stat)
            {
                if reading != quota.last {
                    out(Record::CpuQuota(CpuQuota {
                        tgid: *tgid,
                        at: now,
                        before: quota.at,
                        periods: reading.periods.saturating_sub(quota.last.periods),
                        throttled_ns: reading.throttled_ns.saturating_sub(quota.last.throttled_ns),
                    }));
                }
                quota.last = reading;
                quota.at = now;
            }
        }
    }
}

/// The nearest group of a process that counts throttling.
fn find(tgid: Tgid, now: KtimeNs) -> Option<Quota> {
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", tgid.0)).ok()?;
    candidates(&text)
        .into_iter()
        .find_map(|stat| read(&stat).map(|last| (stat, last)))
        .map(|(stat, last)| Quota {
            stat,
            last,
            at: now,
        })
}

/// Places of `cpu.stat` for the lines of `/proc/PID/cgroup`: version 1's CPU controller first, since
/// a version 2 group beside it has no CPU controller.
fn candidates(text: &str) -> Vec<PathBuf> {
    let mut places = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|one| one == "cpu") {
            let roots = VERSION_1.iter();
            places.splice(0..0, roots.map(|root| stat_of(root, path)));
        } else if controllers.is_empty() {
            places.extend(VERSION_2.iter().map(|root| stat_of(root, path)));
        }
    }
    places
}

fn stat_of(root: &str, group: &str) -> PathBuf {
    Path::new(root).join(group).join("cpu.stat")
}

/// `nr_throttled` with `throttled_usec` (version 2) or `throttled_time` in nanoseconds (version 1).
/// `None` where the group does not count it.
/// Source: Documentation/admin-guide/cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
fn read(stat: &Path) -> Option<Reading> {
    parse(&std::fs::read_to_string(stat).ok()?)
}

fn parse(text: &str) -> Option<Reading> {
    let mut reading = None::<Reading>;
    for line in text.lines() {
        let Some((name, value)) = line.split_once(' ') else {
            continue;
        };
        let Ok(value) = value.trim().parse::<u64>() else {
            continue;
        };
        match name {
            "nr_throttled" => reading.get_or_insert_default().periods = value,
            "throttled_usec" => {
                reading.get_or_insert_default().throttled_ns = value.saturating_mul(1000);
            }
            "throttled_time" => reading.get_or_insert_default().throttled_ns = value,
            _ => {}
        }
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_read_from_both_versions() {
        let v2 = "usage_usec 9\nnr_periods 4\nnr_throttled 3\nthrottled_usec 70\n";
        let v1 = "nr_periods 4\nnr_throttled 3\nthrottled_time 70000\n";
        let expected = Some(Reading {
            periods: 3,
            throttled_ns: 70_000,
        });
        assert_eq!((parse(v2), parse(v1)), (expected, expected));
        assert_eq!(
            parse("usage_usec 9\nuser_usec 4\n"),
            None,
            "no CPU controller"
        );
        assert_eq!(parse("nr_throttled many\n"), None);
    }

    #[test]
    fn cpu_controller_of_version_1_is_looked_at_before_version_2() {
        let places = candidates("0::/a\n4:memory:/b\n3:cpu,cpuacct:/c/d\n");
        let first = places.first().unwrap();
        assert_eq!(first, Path::new("/sys/fs/cgroup/cpu,cpuacct/c/d/cpu.stat"));
        let last = places.last().unwrap();
        assert_eq!(last, Path::new("/sys/fs/cgroup/unified/a/cpu.stat"));
        assert_eq!(candidates("nonsense\n::\n").len(), 2);
    }
}
