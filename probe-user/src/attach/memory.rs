//! Memory that only attaching takes.

/// Gives the system back what the allocator holds free: the kernel's types, read for attaching, are tens of
/// megabytes that nobody needs again.
#[cfg(target_env = "gnu")]
pub(super) fn give_back() {
    unsafe extern "C" {
        /// `malloc_trim(3)`: leaves `pad` bytes free at the top.
        fn malloc_trim(pad: usize) -> core::ffi::c_int;
    }
    // SAFETY: may be called at any time, from any thread.
    let _any = unsafe { malloc_trim(0) };
}

/// Other allocators keep what they keep.
#[cfg(not(target_env = "gnu"))]
pub(super) fn give_back() {}
