//! Kernels that add without telling what was there.

use std::borrow::Cow;

use object::{Object as _, ObjectSection as _, SectionFlags, elf};

use super::kernel;

/// From here on the kernel has `BPF_FETCH`.
const FETCH: kernel::Version = (5, 12);

/// Bytes of an instruction.
const INSTRUCTION_BYTES: usize = 8;

/// `lock *(u64 *)(dst + off) += src`. Source: Documentation/bpf/standardization/instruction-set.rst.
const ATOMIC_DOUBLE_WORD: u8 = 0xdb;

/// What its immediate is where it fetches too: `BPF_ADD | BPF_FETCH`.
const ADD_AND_FETCH: [u8; 4] = [1, 0, 0, 0];

/// Whether the running kernel adds and tells what was there.
pub(super) fn is_there() -> bool {
    kernel::running() >= FETCH
}

/// The object for a kernel without: it refuses the instruction wherever it stands, so that each becomes a
/// plain addition. The programs know (`HAS_FETCH`).
pub(super) fn without(object: &[u8]) -> Cow<'_, [u8]> {
    let Ok(file) = object::File::parse(object) else {
        return Cow::Borrowed(object);
    };
    let mut changed = object.to_vec();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else {
            continue;
        };
        let Some((start, length)) = section.file_range() else {
            continue;
        };
        if sh_flags & u64::from(elf::SHF_EXECINSTR) == 0 {
            continue;
        }
        let (start, length) = (start as usize, length as usize);
        let Some(code) = changed.get_mut(start..start + length) else {
            continue;
        };
        for instruction in code.chunks_exact_mut(INSTRUCTION_BYTES) {
            if instruction[0] == ATOMIC_DOUBLE_WORD && instruction[4..] == ADD_AND_FETCH {
                instruction[4..].fill(0);
            }
        }
    }
    Cow::Owned(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_changes() {
        let object = super::super::OBJECT;
        if object.is_empty() {
            println!("skipped: built without the eBPF object (cargo xtask build)");
            return;
        }
        let changed = without(object);
        let places: Vec<_> = (0..object.len())
            .filter(|at| object[*at] != changed[*at])
            .collect();
        assert!(!places.is_empty(), "the programs fetch somewhere");
        for at in places {
            assert_eq!((object[at], changed[at]), (1, 0));
            assert_eq!(object[at - 4], ATOMIC_DOUBLE_WORD);
        }
    }

    #[test]
    fn what_is_no_object_stays() {
        assert_eq!(without(b"nonsense"), b"nonsense".as_slice());
    }
}
