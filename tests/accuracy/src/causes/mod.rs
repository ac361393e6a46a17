//! Injects each fault into a worker that speaks, and compares what `voxprobe diagnose` names.
//!
//! One watch is a worker, its client and a diagnosis, with a fault injected several times at different
//! strengths. Around each injection the cause that has most of the lateness is what was named.

mod cgroup;
mod disk;
mod fault;
mod matrix;
mod network;
mod timers;
mod watch;

use std::path::Path;

use anyhow::{Result, ensure};
use probe_tests::lab::Lab;
use probe_tests::peer::Kind;

use self::fault::Fault;
use self::matrix::Matrix;
use self::watch::{Setting, Watch};

/// How long each injection of a watch lasts, milliseconds.
const STRENGTHS_MS: [u64; 5] = [160, 240, 320, 450, 600];

/// Streams of a watch.
const STREAMS: [u32; 2] = [1, 16];

/// The share of runs that has to be right: of all, and of each row's.
const OVERALL: f64 = 0.95;
const EACH: f64 = 0.80;

/// Unexplained share of the late frames' intervals, at the median, percent.
const UNEXPLAINED_PERCENT: u64 = 10;

/// Injects the faults of these names, all where none is named; whether what was named is as it should.
/// What was diagnosed is left in folders of `keep`.
pub(crate) fn run(names: &[String], keep: Option<&Path>) -> Result<bool> {
    if probe_tests::skip::unprivileged() {
        return Ok(true);
    }
    let wanted = |fault: &&Fault| names.is_empty() || names.iter().any(|name| name == fault.name);
    let faults: Vec<_> = Fault::ALL.iter().filter(wanted).collect();
    let all: Vec<_> = Fault::ALL.iter().map(|fault| fault.name).collect();
    ensure!(
        !faults.is_empty(),
        "no such fault: there are {}",
        all.join(", ")
    );
    let mut matrix = Matrix::default();
    for fault in faults {
        for worker in [Kind::Tonic, Kind::GrpcSync] {
            for streams in STREAMS {
                let setting = Setting { worker, streams };
                let lab = keep.map_or_else(Lab::new, |folder| {
                    Lab::kept(&folder.join(format!(
                        "{}-{}-{streams}",
                        fault.name,
                        matrix::name(worker)
                    )))
                });
                let Some(watch) = Watch::start(lab, fault, setting) else {
                    matrix.skip(fault);
                    continue;
                };
                let found = watch.inject(&STRENGTHS_MS);
                let named: Vec<_> = found.named.iter().map(String::as_str).collect();
                println!(
                    "{:<16} {}, {streams} streams: {}",
                    fault.name,
                    matrix::name(worker),
                    named.join(" ")
                );
                matrix.add(fault, worker, &found);
            }
        }
    }
    for line in matrix.lines() {
        println!("{line}");
    }
    Ok(matrix.holds(OVERALL, EACH, UNEXPLAINED_PERCENT))
}
