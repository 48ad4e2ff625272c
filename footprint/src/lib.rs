//! What a process that has started gives back to its host.
//!
//! A daemon runs most of its program once: settings are read, routes laid, tables opened. The system maps the sixteen pages around
//! each page of code that is touched (`fault_around_bytes`, 64 KiB), so what runs once stays resident for as long as the process
//! lives: 12 of 20 MiB, of which an idle daemon runs a third of one. [`give_back_code`] unmaps it. What is called again comes
//! back from the page cache by a minor fault, a microsecond for 64 KiB, and no byte is read from the disk for it.

#[cfg(target_os = "linux")]
mod code;
#[cfg(target_os = "linux")]
mod smaps;

/// Unmaps the code of this program; what runs next is mapped again page by page.
///
/// To be called once, when the process serves. Returns the bytes that were resident and are not any more: 0 where the system
/// is not Linux, or where the code was written to (by a debugger or a probe) and is left alone.
///
/// # Errors
///
/// When `/proc` cannot be read (a sandbox may hide it). Nothing has changed then, and nothing else depends on it.
#[cfg(target_os = "linux")]
pub fn give_back_code() -> std::io::Result<u64> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let maps = std::fs::read_to_string("/proc/self/smaps")?;
    Ok(smaps::code_of(&maps, &program.to_string_lossy()).iter().map(code::unmap).sum())
}

/// Unmaps nothing: this system is not asked for it.
///
/// # Errors
///
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn give_back_code() -> std::io::Result<u64> {
    Ok(0)
}
