//! The host tests on other kernels, in virtual machines without acceleration: what has to be the same
//! everywhere runs on each kernel with each way to see syscalls.
//!
//! Everything that is fetched stays in `target/vm`. Nothing is timed here: an emulated machine is 6 to
//! 30 times slower than this one.

mod image;
mod kernel;
mod machine;
mod matrix;
mod repository;
pub(super) mod systemd;
mod table;

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use self::kernel::Kernel;
use self::machine::Machine;
pub(super) use self::matrix::Depth;
use self::matrix::{CELLS, Cell};
use self::table::{Outcome, Table};
use super::environment::Environment;
use super::summary::Row;
use crate::workspace::Workspace;
use crate::{setup, step};

/// Runs every cell of the matrix, as many at a time as there are CPUs: a machine uses one.
pub(super) fn run(workspace: &Workspace, environment: &Environment, depth: Depth) -> Result<Row> {
    let started = Instant::now();
    let folder = workspace.target("vm");
    let mut table = Table::default();
    match setup::machines(workspace) {
        Ok(programs) => {
            let image = image::build(workspace, environment, &programs.busybox)?;
            let machine = Machine {
                qemu: programs.qemu,
                image,
                folder,
            };
            for (cell, outcome) in run_all(workspace, &machine, depth)? {
                table.add(cell, outcome);
            }
        }
        Err(error) => {
            for cell in &CELLS {
                table.add(cell, Outcome::Skipped(format!("{error:#}")));
            }
        }
    }
    println!("\n{table}");
    step::report("vm", "done", started.elapsed());
    Ok(table.row(started.elapsed()))
}

/// Cells with what became of them, in the matrix' order.
fn run_all(
    workspace: &Workspace,
    machine: &Machine,
    depth: Depth,
) -> Result<Vec<(&'static Cell, Outcome)>> {
    let mut kernels = Vec::new();
    for series in matrix::series() {
        let kernel = Kernel::get(workspace, series);
        kernels.push((series, kernel.map_err(|error| format!("{error:#}"))));
    }
    let waiting = Mutex::new(CELLS.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some((index, cell)) = next(&waiting) {
                    let kernel = kernels.iter().find(|(series, _)| *series == cell.kernel);
                    let outcome = match kernel {
                        Some((_, Ok(kernel))) => cell.run(depth, machine, kernel),
                        Some((_, Err(reason))) => Ok(Outcome::Skipped(reason.clone())),
                        None => continue,
                    };
                    if let Ok(mut done) = done.lock() {
                        done.push((index, cell, outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(index, ..)| *index);
    done.into_iter()
        .map(|(_, cell, outcome)| Ok((cell, outcome.with_context(|| cell.to_string())?)))
        .collect()
}

/// The next cell that nobody runs yet.
fn next<T>(waiting: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    waiting.lock().ok()?.next()
}

/// Where a cell's machine leaves what it said.
fn folder_of(machine: &Machine, name: &str) -> PathBuf {
    machine.folder.join("runs").join(name)
}
