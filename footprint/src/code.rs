//! The one call of the project that no safe interface has.

use rustix::mm::{Advice, madvise};

use crate::smaps::Code;

/// Unmaps `code`; returns how many bytes were resident, 0 when the system refuses.
#[allow(unsafe_code)]
pub(crate) fn unmap(code: &Code) -> u64 {
    let start = std::ptr::without_provenance_mut(code.start);
    // SAFETY: `madvise(2)`: MADV_DONTNEED on a private mapping of a file drops the process's own changes and reads the file's bytes
    // at the next touch. `Code` is a mapping of the running program that cannot be written (`r-xp`) and holds no changed page
    // (`Anonymous: 0`), and the system refuses to change the file of a running program (ETXTBSY), so every byte is the same after the call as
    // before it, for every thread. Code is never unmapped while the process lives, so the range is still what was read.
    match unsafe { madvise(start, code.bytes, Advice::LinuxDontNeed) } {
        Ok(()) => code.resident,
        Err(_) => 0,
    }
}
