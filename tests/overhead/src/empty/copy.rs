//! A program that does nothing but copy what one process writes into a ring: what any probe that looks at
//! bytes has to do.

use anyhow::{Context as _, Result};
use aya::maps::{MapData, RingBuf};
use aya::programs::TracePoint;
use aya::{Ebpf, EbpfLoader};

use super::elf::File;
use super::program;
use crate::wire::WRITE_BYTES;

/// Helpers of the kernel (`include/uapi/linux/bpf.h`, `___BPF_FUNC_MAPPER`).
const GET_CURRENT_PID_TGID: i32 = 14;
const PROBE_READ_USER: i32 = 112;
const RINGBUF_RESERVE: i32 = 131;
const RINGBUF_SUBMIT: i32 = 132;

/// `BPF_MAP_TYPE_RINGBUF`, and bytes of the ring: the writes of one attachment fit, as they do in the probe's.
const RINGBUF: u32 = 27;
const RING_BYTES: u32 = 1 << 24;
/// Nobody waits for the ring: `BPF_RB_NO_WAKEUP`.
const NO_WAKEUP: i32 = 1;

/// Where `syscalls:sys_enter_write` has the address of the bytes.
const BUFFER_OFFSET: i16 = 24;

/// Where the program loads the ring's address, in bytes.
const RING_OFFSET: u64 = 5 * 8;

const NAME: &str = "copy";
const RING: &str = "ring";

/// One instruction (RFC 9669, section 3.1).
fn instruction(opcode: u8, to: u8, from: u8, offset: i16, value: i32) -> [u8; 8] {
    let mut bytes = [opcode, to | from << 4, 0, 0, 0, 0, 0, 0];
    bytes[2..4].copy_from_slice(&offset.to_le_bytes());
    bytes[4..].copy_from_slice(&value.to_le_bytes());
    bytes
}

/// Copies what the process `pid` writes.
fn instructions(pid: u32) -> Vec<u8> {
    let copy = |to, from| instruction(0xBF, to, from, 0, 0);
    let set = |to, value| instruction(0xB7, to, 0, 0, value);
    let call = |helper| instruction(0x85, 0, 0, 0, helper);
    let bytes = WRITE_BYTES as i32;
    [
        copy(6, 1),
        call(GET_CURRENT_PID_TGID),
        // Its upper half is the process.
        instruction(0x77, 0, 0, 0, 32),
        // Another process: to the end.
        instruction(0x55, 0, 0, 15, pid as i32),
        instruction(0x79, 7, 6, BUFFER_OFFSET, 0),
        // The ring: two places, filled in by the relocation.
        instruction(0x18, 1, 0, 0, 0),
        instruction(0, 0, 0, 0, 0),
        set(2, bytes),
        set(3, 0),
        call(RINGBUF_RESERVE),
        // Full: to the end.
        instruction(0x15, 0, 0, 8, 0),
        copy(8, 0),
        copy(1, 8),
        set(2, bytes),
        copy(3, 7),
        call(PROBE_READ_USER),
        copy(1, 8),
        set(2, NO_WAKEUP),
        call(RINGBUF_SUBMIT),
        set(0, 0),
        instruction(0x95, 0, 0, 0, 0),
    ]
    .concat()
}

fn bytes(pid: u32) -> Result<Vec<u8>> {
    let mut file = File::new();
    let program = file.program("tracepoint", NAME, &instructions(pid));
    // Type, bytes of key and value, entries, flags.
    let definition = [RINGBUF, 0, 0, RING_BYTES, 0].map(u32::to_le_bytes);
    let ring = file.map(RING, &definition.concat());
    file.refer(program, RING_OFFSET, ring)?;
    file.bytes()
}

/// The attached program. Dropping it detaches it.
pub(crate) struct Copying {
    /// Holds the link.
    _ebpf: Ebpf,
    ring: RingBuf<MapData>,
}

impl Copying {
    /// Copies what the process `pid` writes from now on; 0 is no process.
    pub(crate) fn attach(pid: u32) -> Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .btf(None)
            .load(&bytes(pid)?)
            .context("read the copying program")?;
        let ring = ebpf.take_map(RING).context("find the ring")?;
        let ring = RingBuf::try_from(ring).context("open the ring")?;
        let copying: &mut TracePoint = program(&mut ebpf, NAME)?;
        copying.load().context("load the copying program")?;
        copying
            .attach("syscalls", "sys_enter_write")
            .context("attach the copying program")?;
        Ok(Self { _ebpf: ebpf, ring })
    }

    /// How many writes it has copied since the last time.
    pub(crate) fn take(&mut self) -> u64 {
        let mut copied = 0;
        while self.ring.next().is_some() {
            copied += 1;
        }
        copied
    }
}
