//! Programs that do nothing, at the places where another process has its own: what the hooks themselves
//! cost, whatever runs there.

mod copy;
mod elf;

use std::thread;

use anyhow::{Context as _, Result};
use aya::programs::trace_point::TracePointLink;
use aya::programs::{BtfTracePoint, RawTracePoint, TracePoint};
use aya::{Btf, Ebpf, EbpfLoader};

pub(crate) use self::copy::Copying;
use self::elf::File;
use crate::hooks::Hook;

/// `r0 = 0; exit` (RFC 9669, sections 4.1 and 4.3): opcode, registers, offset, immediate.
const NOTHING: [u8; 16] = [0xB7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// Names of the programs, which are the same but for their types.
const TRACEPOINT: &str = "empty";
const RAW: &str = "empty_raw";
const TYPED: &str = "empty_typed";

/// Sections, whose names tell a program's type, with the programs in them.
const PROGRAMS: [(&str, &str); 3] = [
    ("tracepoint", TRACEPOINT),
    ("raw_tracepoint", RAW),
    ("tp_btf", TYPED),
];

/// Attached programs. Dropping it detaches them.
#[derive(Default)]
pub(crate) struct Empty {
    tracepoints: Vec<TracePointLink>,
    /// Holds the links of every other kind.
    programs: Vec<Ebpf>,
}

impl Empty {
    /// Attaches one at each hook.
    pub(crate) fn attach(hooks: &[Hook]) -> Result<Self> {
        let mut empty = Self::default();
        let mut shared = load()?;
        let tracepoint: &mut TracePoint = program(&mut shared, TRACEPOINT)?;
        tracepoint.load().context("load an empty program")?;
        let types = Btf::from_sys_fs().context("read the kernel's types")?;
        for hook in hooks {
            let failed = || format!("attach an empty program at {hook:?}");
            match hook {
                Hook::Tracepoint { category, name } => {
                    let id = tracepoint.attach(category, name).with_context(failed)?;
                    empty.tracepoints.push(tracepoint.take_link(id)?);
                }
                Hook::Raw(name) => {
                    let mut own = load()?;
                    let raw: &mut RawTracePoint = program(&mut own, RAW)?;
                    raw.load().with_context(failed)?;
                    raw.attach(name).with_context(failed)?;
                    empty.programs.push(own);
                }
                Hook::Typed(name) => {
                    let mut own = load()?;
                    let typed: &mut BtfTracePoint = program(&mut own, TYPED)?;
                    typed.load(name, &types).with_context(failed)?;
                    typed.attach().with_context(failed)?;
                    empty.programs.push(own);
                }
            }
        }
        empty.programs.push(shared);
        Ok(empty)
    }
}

impl Drop for Empty {
    /// Side by side: each waits for the kernel's grace periods.
    fn drop(&mut self) {
        thread::scope(|scope| {
            for link in self.tracepoints.drain(..) {
                scope.spawn(move || drop(link));
            }
        });
    }
}

fn load() -> Result<Ebpf> {
    let mut file = File::new();
    for (section, name) in PROGRAMS {
        file.program(section, name, &NOTHING);
    }
    EbpfLoader::new()
        .btf(None)
        .load(&file.bytes()?)
        .context("read the empty programs")
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = aya::programs::ProgramError>,
{
    let program = ebpf.program_mut(name);
    let program = program.with_context(|| format!("find the empty program {name}"))?;
    Ok(program.try_into()?)
}
