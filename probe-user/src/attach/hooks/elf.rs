//! Where in a library a function begins.
//!
//! The file is the watched process's own and may hold anything: it is read, not mapped (a file that
//! shrinks would kill the agent), and no more of it than its tables.

use std::{fs::File, path::Path};

use object::{
    LittleEndian, ReadCache,
    elf::{FileHeader64, PF_X, PN_XNUM, PT_LOAD, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, Sym64},
    read::{
        SectionIndex,
        elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, SectionTable, Sym as _},
    },
};

use super::{HookFault, Location};

/// Both supported architectures are 64 bits wide and little endian.
type Header = FileHeader64<LittleEndian>;
type Sections<'a> = SectionTable<'a, Header, &'a ReadCache<File>>;
type Section = <Header as object::read::elf::FileHeader>::SectionHeader;

const ENDIAN: LittleEndian = LittleEndian;

/// Bytes of one table of symbols or of their names. The largest inference libraries have a million
/// symbols of 24 bytes, with names of some dozens.
const MAX_TABLE_BYTES: u64 = 256 * 1024 * 1024;

/// Offset in the file of the function's first instruction, as uprobes want it.
///
/// A function is looked for among the exported symbols, which even a stripped library has, then among
/// all. A static function of a stripped library has no name left: it can only be given by offset.
pub(super) fn offset(path: &Path, location: &Location) -> Result<u64, HookFault> {
    let file = File::open(path).map_err(|_| HookFault::Unreadable)?;
    let cache = ReadCache::new(file);
    let header = Header::parse(&cache).map_err(|_| HookFault::NotElf)?;
    let code = code_segments(header, &cache).ok_or(HookFault::NotElf)?;
    match location {
        Location::Offset(offset) => code
            .iter()
            .any(|segment| within(*offset, segment.offset, segment.file_size))
            .then_some(*offset)
            .ok_or(HookFault::NotCode),
        Location::Symbol(name) => {
            let address = [SHT_DYNSYM, SHT_SYMTAB]
                .into_iter()
                .find_map(|kind| symbol(header, &cache, kind, name.as_bytes()))
                .ok_or(HookFault::NoSymbol)?;
            code.iter()
                .find(|segment| within(address, segment.address, segment.file_size))
                .and_then(|segment| segment.offset.checked_add(address - segment.address))
                .ok_or(HookFault::NotCode)
        }
    }
}

/// Part of a file that is loaded to run.
struct Code {
    address: u64,
    offset: u64,
    file_size: u64,
}

fn within(value: u64, from: u64, size: u64) -> bool {
    value >= from && value - from < size
}

fn code_segments(header: &Header, cache: &ReadCache<File>) -> Option<Vec<Code>> {
    // A count that does not fit its field is in another place, and as large as one likes.
    if header.e_phnum(ENDIAN) == PN_XNUM {
        return None;
    }
    let segments = header.program_headers(ENDIAN, cache).ok()?;
    Some(
        segments
            .iter()
            .filter(|it| it.p_type(ENDIAN) == PT_LOAD && it.p_flags(ENDIAN) & PF_X != 0)
            .map(|segment| Code {
                address: segment.p_vaddr(ENDIAN),
                offset: segment.p_offset(ENDIAN),
                file_size: segment.p_filesz(ENDIAN),
            })
            .collect(),
    )
}

/// Address of the first defined symbol of a name in the table of a kind.
fn symbol(header: &Header, cache: &ReadCache<File>, kind: u32, name: &[u8]) -> Option<u64> {
    // As above: a count of 0 stands for one in another place.
    if header.e_shnum(ENDIAN) == 0 {
        return None;
    }
    let sections: Sections<'_> = header.sections(ENDIAN, cache).ok()?;
    let table = sections.iter().find(|it| it.sh_type(ENDIAN) == kind)?;
    let names = sections
        .section(SectionIndex(usize::try_from(table.sh_link(ENDIAN)).ok()?))
        .ok()?;
    let bounded = |section: &Section| section.sh_size(ENDIAN) <= MAX_TABLE_BYTES;
    if !bounded(table) || !bounded(names) {
        return None;
    }
    let names = names.data(ENDIAN, cache).ok()?;
    let symbols: &[Sym64<LittleEndian>] = table.data_as_array(ENDIAN, cache).ok()?;
    let is_named = |symbol: &&Sym64<LittleEndian>| {
        names
            .get(symbol.st_name(ENDIAN) as usize..)
            .and_then(|from| from.strip_prefix(name))
            .is_some_and(|after| after.first() == Some(&0))
    };
    symbols
        .iter()
        .filter(|symbol| symbol.st_shndx(ENDIAN) != SHN_UNDEF)
        .find(is_named)
        .map(|symbol| symbol.st_value(ENDIAN))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn named(name: &str) -> Location {
        Location::Symbol(name.to_owned())
    }

    /// The C library of this process.
    fn libc() -> std::path::PathBuf {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps
            .lines()
            .filter_map(|line| line.split_whitespace().last())
            .find(|path| path.contains("libc.so") || path.contains("libc-"))
            .unwrap();
        path.into()
    }

    #[test]
    fn exported_function_begins_with_an_instruction_of_a_function() {
        let at = offset(&libc(), &named("getpid")).unwrap() as usize;
        let code = &fs::read(libc()).unwrap()[at..];
        // `endbr64` or `mov $39, %eax`; `bti c` or `mov x8, #172`: numbers of getpid.
        let starts: [&[u8]; 4] = [
            &[0xf3, 0x0f, 0x1e, 0xfa],
            &[0xb8, 39, 0, 0, 0],
            &[0x5f, 0x24, 0x03, 0xd5],
            &[0x88, 0x15, 0x80, 0xd2],
        ];
        assert!(
            starts.iter().any(|start| code.starts_with(start)),
            "{:x?}",
            &code[..8]
        );
    }

    #[test]
    fn symbol_that_is_not_there_and_offset_without_code_are_told() {
        let path = libc();
        assert_eq!(
            offset(&path, &named("no_such_function")),
            Err(HookFault::NoSymbol)
        );
        assert_eq!(
            offset(&path, &Location::Offset(0)),
            Err(HookFault::NotCode),
            "the file's header is no code"
        );
        let found = offset(&path, &named("getpid")).unwrap();
        assert_eq!(offset(&path, &Location::Offset(found)), Ok(found));
    }

    #[test]
    fn hostile_files_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("library.so");
        assert_eq!(offset(&path, &named("a")), Err(HookFault::Unreadable));
        let good = fs::read(libc()).unwrap();
        for length in [0, 1, 16, 63, 64, 200, 4096] {
            fs::write(&path, &good[..length]).unwrap();
            assert!(offset(&path, &named("getpid")).is_err(), "{length} bytes");
        }
        // Each byte of the header in turn at its largest: an answer or an error, no more memory
        // than the tables may have.
        for index in 4..64 {
            let mut bad = good[..8192].to_vec();
            bad[index] = 0xff;
            fs::write(&path, &bad).unwrap();
            assert!(offset(&path, &named("getpid")).is_err(), "byte {index}");
        }
    }
}
