//! Object files of eBPF programs that are written here by hand.

use anyhow::{Context as _, Result};
use object::write::{Object, SectionId, Symbol, SymbolId, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, RelocationFlags, SectionKind, SymbolFlags, SymbolKind,
    SymbolScope,
};

/// A relocation to a map (`R_BPF_64_64`).
const TO_MAP: u32 = 1;

/// A file with programs and maps.
pub(super) struct File(Object<'static>);

impl File {
    pub(super) fn new() -> Self {
        Self(Object::new(
            BinaryFormat::Elf,
            Architecture::Bpf,
            Endianness::Little,
        ))
    }

    /// Adds a program; its section's name tells its type.
    pub(super) fn program(&mut self, section: &str, name: &str, code: &[u8]) -> SectionId {
        self.add((section, SectionKind::Text), (name, SymbolKind::Text), code)
            .0
    }

    /// Adds a map, as `struct bpf_map_def` has it.
    pub(super) fn map(&mut self, name: &str, definition: &[u8]) -> SymbolId {
        let section = ("maps", SectionKind::Data);
        self.add(section, (name, SymbolKind::Data), definition).1
    }

    /// Has the instruction at `offset` of a program load the address of a map.
    pub(super) fn refer(&mut self, program: SectionId, offset: u64, map: SymbolId) -> Result<()> {
        let relocation = object::write::Relocation {
            offset,
            symbol: map,
            addend: 0,
            flags: RelocationFlags::Elf { r_type: TO_MAP },
        };
        self.0
            .add_relocation(program, relocation)
            .context("refer to a map")
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        self.0.write().context("make an object file")
    }

    fn add(
        &mut self,
        (section, section_kind): (&str, SectionKind),
        (name, kind): (&str, SymbolKind),
        bytes: &[u8],
    ) -> (SectionId, SymbolId) {
        let section = self.0.add_section(Vec::new(), section.into(), section_kind);
        let value = self.0.append_section_data(section, bytes, 8);
        let symbol = self.0.add_symbol(Symbol {
            name: name.into(),
            value,
            size: bytes.len() as u64,
            kind,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        (section, symbol)
    }
}
