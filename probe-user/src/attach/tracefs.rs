//! Where the kernel describes its tracepoints.

use std::path::Path;

use super::AttachError;

/// Where tracefs is mounted by convention, and where kernels before 4.1 and many hosts have it.
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Whether a tracepoint exists.
pub(super) fn has(category: &str, name: &str) -> bool {
    PLACES.iter().any(|place| {
        Path::new(place)
            .join("events")
            .join(category)
            .join(name)
            .is_dir()
    })
}

/// Makes sure that tracefs can be read; mounts it where no one has.
pub(super) fn ensure() -> Result<(), AttachError> {
    if PLACES
        .iter()
        .any(|place| Path::new(place).join("events").is_dir())
    {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(AttachError::not_permitted());
    }
    rustix::mount::mount(
        "tracefs",
        PLACES[0],
        "tracefs",
        rustix::mount::MountFlags::empty(),
        None::<&std::ffi::CStr>,
    )
    .map_err(|error| AttachError::no_tracefs(PLACES[0], error))?;
    tracing::info!(
        place = PLACES[0],
        "mounted tracefs, which this host had not"
    );
    Ok(())
}

/// Where a program reads: category and name of a tracepoint, field, offset in bytes.
pub(super) type Field = (&'static str, &'static str, &'static str, u32);

/// Makes sure that this kernel's tracepoints, which it may change, have the fields where the programs
/// read them.
pub(super) fn check(layout: &[Field]) -> Result<(), AttachError> {
    for &(category, name, field, expected) in layout {
        let format = PLACES.iter().find_map(|place| {
            let path = Path::new(place)
                .join("events")
                .join(category)
                .join(name)
                .join("format");
            std::fs::read_to_string(path).ok()
        });
        let format = format.ok_or_else(|| AttachError::no_tracepoint(category, name))?;
        let found = offset_of(&format, field);
        if found != Some(expected) {
            return Err(AttachError::other_layout(category, name, field));
        }
    }
    Ok(())
}

/// Offset of a field in a tracepoint's `format` file.
fn offset_of(format: &str, field: &str) -> Option<u32> {
    format.lines().find_map(|line| {
        let (declaration, rest) = line.trim().strip_prefix("field:")?.split_once(';')?;
        let name = declaration.split_whitespace().last()?;
        if name != field {
            return None;
        }
        rest.trim()
            .strip_prefix("offset:")?
            .split(';')
            .next()?
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_read_from_the_format() {
        let format = "name: task_newtask\nID: 1\nformat:\n\tfield:int common_pid;\toffset:4;\tsize:4;\
                      \tsigned:1;\n\n\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:char \
                      comm[16];\toffset:12;\tsize:16;\tsigned:0;\n\tfield:u64 clone_flags;\toffset:32;\
                      \tsize:8;\tsigned:0;\n";
        assert_eq!(offset_of(format, "pid"), Some(8));
        assert_eq!(offset_of(format, "clone_flags"), Some(32));
        assert_eq!(offset_of(format, "flags"), None);
    }
}
