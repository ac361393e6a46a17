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
