//! Words in maps that several CPUs write.

/// Set by the agent before the programs are loaded: 0 where the kernel adds without telling what was there
/// (before Linux 5.12, `BPF_FETCH`). The agent then makes each `atomic_fetch_add` a plain atomic addition.
#[unsafe(no_mangle)]
static HAS_FETCH: u32 = 1;

/// Adds to a counter and gives what it was, in one step; `None` where the kernel cannot tell and another
/// CPU added at the same moment.
///
/// # Safety
/// The counter is a map's value, which lives as long as the program runs.
#[inline(always)]
pub unsafe fn fetch_add(counter: *mut u64, value: u64) -> Option<u64> {
    // SAFETY: a constant of the program; volatile, because it is not the one compiled here.
    if unsafe { (&raw const HAS_FETCH).read_volatile() } != 0 {
        // SAFETY: see the caller.
        return Some(unsafe { add(counter, value) });
    }
    // SAFETY: see the caller.
    let (before, after) = unsafe {
        let before = counter.read_volatile();
        add(counter, value);
        (before, counter.read_volatile())
    };
    // Nothing is ever taken away: what it grew by is this addition alone, or more.
    (after == before.wrapping_add(value)).then_some(before)
}

/// # Safety
/// See [`fetch_add`].
#[inline(always)]
unsafe fn add(counter: *mut u64, value: u64) -> u64 {
    let mut before = value;
    // SAFETY: see the caller.
    unsafe {
        core::arch::asm!(
            "{0} = atomic_fetch_add((u64 *)({1} + 0), {0})",
            inout(reg) before,
            in(reg) counter,
            options(nostack),
        );
    }
    before
}

/// Writes a word if it is what is expected; what it was. For programs of Linux 5.12 and newer.
///
/// # Safety
/// The word is a map's value, which lives as long as the program runs.
#[inline(always)]
pub unsafe fn compare_exchange(word: *mut u64, expected: u64, value: u64) -> u64 {
    let mut before = expected;
    // SAFETY: see the caller.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({0} + 0, r0, {1})",
            in(reg) word,
            in(reg) value,
            inout("r0") before,
            options(nostack),
        );
    }
    before
}

/// Writes a word, after everything that was read before. For programs of Linux 5.12 and newer.
///
/// # Safety
/// The word is a map's value, which lives as long as the program runs.
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) {
    // SAFETY: see the caller.
    unsafe {
        core::arch::asm!(
            "{0} = xchg_64({1} + 0, {0})",
            inout(reg) value => _,
            in(reg) word,
            options(nostack),
        );
    }
}
