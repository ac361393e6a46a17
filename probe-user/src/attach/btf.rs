//! The kernel's type information (BTF): where fields are, what enumerators are worth, how many parameters
//! functions have.
//!
//! Source: Documentation/bpf/btf.rst. aya reads it too, and keeps what it reads to itself.

use std::path::Path;

/// The types of the running kernel.
pub(super) struct Types {
    bytes: Vec<u8>,
    /// Where each type begins; its id is one more than its index.
    starts: Vec<usize>,
    strings: std::ops::Range<usize>,
}

const MAGIC: u16 = 0xeb9f;

/// Bytes of a type without what follows it.
const TYPE_BYTES: usize = 12;

/// Kinds of types.
mod kind {
    pub(super) const INT: u32 = 1;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const FUNC: u32 = 12;
    pub(super) const FUNC_PROTO: u32 = 13;
    pub(super) const VAR: u32 = 14;
    pub(super) const DATASEC: u32 = 15;
    pub(super) const DECL_TAG: u32 = 17;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// How deep anonymous members and typedefs are followed.
const MAX_DEPTH: u32 = 16;

/// One type.
#[derive(Clone, Copy)]
struct Type {
    at: usize,
    name: u32,
    kind: u32,
    /// Members, enumerators or parameters.
    count: usize,
    /// Whether members' offsets have their widths beside them.
    has_widths: bool,
    /// Size, or the id of another type.
    other: u32,
}

impl Types {
    /// Those of the running kernel; `None` where it tells none.
    pub(super) fn of_kernel() -> Option<Self> {
        Self::parse(std::fs::read(Path::new("/sys/kernel/btf/vmlinux")).ok()?)
    }

    fn parse(bytes: Vec<u8>) -> Option<Self> {
        if u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?) != MAGIC {
            return None;
        }
        let field = |at: usize| number(&bytes, at).map(|value| value as usize);
        let header = field(4)?;
        let (first, length) = (header + field(8)?, field(12)?);
        let strings = header + field(16)?;
        let strings = strings..strings + field(20)?;
        let mut types = Self {
            bytes,
            starts: Vec::new(),
            strings,
        };
        let mut at = first;
        while at < first + length {
            let one = types.at(at)?;
            types.starts.push(at);
            at += TYPE_BYTES + one.following()?;
        }
        Some(types)
    }

    /// Bytes from the beginning of a structure to a member, however many structures and unions without a
    /// name are between; `path` may go on into a member's own type (`__sk_common.skc_family`).
    pub(super) fn offset(&self, structure: &str, path: &str) -> Option<u32> {
        let mut found = self.named(kind::STRUCT, structure)?;
        let mut bits = 0;
        for name in path.split('.') {
            let (offset, of) = self.member(found, name, 0)?;
            bits += offset;
            found = self.resolved(of)?;
        }
        Some(bits / 8)
    }

    /// What an enumerator is worth.
    pub(super) fn enumerator(&self, enumeration: &str, name: &str) -> Option<u32> {
        let one = self.named(kind::ENUM, enumeration)?;
        (0..one.count).find_map(|index| {
            let at = one.at + TYPE_BYTES + index * 8;
            (self.string(self.number(at)?)? == name).then(|| self.number(at + 4))?
        })
    }

    /// How many parameters a function has.
    pub(super) fn parameters(&self, function: &str) -> Option<usize> {
        let prototype = self.type_of(self.named(kind::FUNC, function)?.other)?;
        (prototype.kind == kind::FUNC_PROTO).then_some(prototype.count)
    }

    /// Offset in bits and type of a member.
    fn member(&self, of: Type, name: &str, depth: u32) -> Option<(u32, u32)> {
        if !matches!(of.kind, kind::STRUCT | kind::UNION) || depth > MAX_DEPTH {
            return None;
        }
        (0..of.count).find_map(|index| {
            let at = of.at + TYPE_BYTES + index * 12;
            let (member, id) = (self.string(self.number(at)?)?, self.number(at + 4)?);
            let offset = self.number(at + 8)?;
            let offset = if of.has_widths {
                offset & 0xff_ffff
            } else {
                offset
            };
            if member == name {
                return Some((offset, id));
            }
            if !member.is_empty() {
                return None;
            }
            let (inner, of) = self.member(self.resolved(id)?, name, depth + 1)?;
            Some((offset + inner, of))
        })
    }

    /// A type without its typedefs and qualifiers.
    fn resolved(&self, id: u32) -> Option<Type> {
        let mut one = self.type_of(id)?;
        for _ in 0..MAX_DEPTH {
            match one.kind {
                kind::TYPEDEF..=kind::RESTRICT | kind::TYPE_TAG => one = self.type_of(one.other)?,
                _ => return Some(one),
            }
        }
        None
    }

    /// The first type of a kind with this name.
    fn named(&self, kind: u32, name: &str) -> Option<Type> {
        let types = self.starts.iter().filter_map(|at| self.at(*at));
        let mut of_kind = types.filter(|one| one.kind == kind);
        of_kind.find(|one| self.is(one.name, name))
    }

    /// Whether a string is this one.
    fn is(&self, at: u32, name: &str) -> bool {
        let all = self.bytes.get(self.strings.clone());
        let rest = all.and_then(|all| all.get(at as usize..));
        let rest = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }

    fn type_of(&self, id: u32) -> Option<Type> {
        let index = (id as usize).checked_sub(1)?;
        self.at(*self.starts.get(index)?)
    }

    fn at(&self, at: usize) -> Option<Type> {
        let information = self.number(at + 4)?;
        Some(Type {
            at,
            name: self.number(at)?,
            kind: (information >> 24) & 0x1f,
            count: (information & 0xffff) as usize,
            has_widths: information >> 31 != 0,
            other: self.number(at + 8)?,
        })
    }

    fn string(&self, at: u32) -> Option<&str> {
        let all = self.bytes.get(self.strings.clone())?;
        let rest = all.get(at as usize..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        std::str::from_utf8(&rest[..end]).ok()
    }

    fn number(&self, at: usize) -> Option<u32> {
        number(&self.bytes, at)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Type {
    /// Bytes that follow it; `None` of a kind that nobody knows, after which nothing can be read.
    fn following(self) -> Option<usize> {
        Some(match self.kind {
            kind::INT | kind::VAR | kind::DECL_TAG => 4,
            kind::ARRAY => 12,
            kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => self.count * 12,
            kind::ENUM | kind::FUNC_PROTO => self.count * 8,
            0..=kind::ENUM64 => 0,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of types: a `struct outer { int first; union { int a; struct inner { int b; } in; }; }`, an
    /// enumeration and a function of two parameters.
    fn example() -> Vec<u8> {
        let mut strings = vec![0];
        let mut types = Vec::new();
        let mut name = |text: &str| {
            let at = strings.len() as u32;
            strings.extend(text.bytes());
            strings.push(0);
            at
        };
        let mut put =
            |words: &[u32]| types.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        put(&[name("int"), kind::INT << 24, 4, 0x100_0020]);
        put(&[name("inner"), kind::STRUCT << 24 | 1, 4, name("b"), 1, 0]);
        put(&[
            0,
            kind::UNION << 24 | 2,
            4,
            name("a"),
            1,
            0,
            name("in"),
            2,
            0,
        ]);
        put(&[
            name("outer"),
            kind::STRUCT << 24 | 2,
            8,
            name("first"),
            1,
            0,
            0,
            3,
            32,
        ]);
        put(&[
            name("way"),
            kind::ENUM << 24 | 2,
            4,
            name("IN"),
            3,
            name("OUT"),
            7,
        ]);
        put(&[0, kind::FUNC_PROTO << 24 | 2, 1, 0, 1, 0, 1]);
        put(&[name("work"), kind::FUNC << 24, 6]);
        let mut bytes = Vec::from(MAGIC.to_le_bytes());
        bytes.extend([1, 0]);
        let lengths = [
            24,
            0,
            types.len() as u32,
            types.len() as u32,
            strings.len() as u32,
        ];
        bytes.extend(lengths.iter().flat_map(|word| word.to_le_bytes()));
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn members_are_found_through_what_has_no_name() {
        let types = Types::parse(example()).expect("types");
        assert_eq!(types.offset("outer", "first"), Some(0));
        assert_eq!(types.offset("outer", "a"), Some(4));
        assert_eq!(types.offset("outer", "in.b"), Some(4));
        assert_eq!(
            types.offset("outer", "b"),
            None,
            "it belongs to a member with a name"
        );
        assert_eq!(types.offset("other", "a"), None);
        assert_eq!(types.enumerator("way", "OUT"), Some(7));
        assert_eq!(types.enumerator("way", "IO"), None);
        assert_eq!(types.parameters("work"), Some(2));
    }

    #[test]
    fn damaged_types_are_none_or_tell_less() {
        let whole = example();
        for length in 0..whole.len() {
            if let Some(types) = Types::parse(whole[..length].to_vec()) {
                let _any = types.offset("outer", "a");
            }
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            if let Some(types) = Types::parse(damaged) {
                let _any = (types.offset("outer", "in.b"), types.parameters("work"));
            }
        }
    }

    #[test]
    fn running_kernel_tells_what_tcp_sockets_are_made_of() {
        let Some(types) = Types::of_kernel() else {
            println!("skipped: this kernel has no type information");
            return;
        };
        assert!(types.offset("sock", "sk_socket").is_some_and(|at| at > 0));
        assert_eq!(types.offset("sock", "__sk_common.skc_daddr"), Some(0));
        assert_eq!(types.parameters("tcp_sendmsg"), Some(3));
    }
}
