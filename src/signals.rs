//! The signals that end a daemon or a relay.
//!
//! A terminal that closes sends SIGHUP, which ends them as orderly as SIGTERM does. Who started them under `nohup` meant that they
//! go on; that is seen in what the process ignores from its beginning.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The bit of SIGHUP among the ignored signals in `/proc/self/status`.
const HANGUP: u64 = 1;

/// Waits for the first signal that asks for the end.
///
/// # Errors
/// The system's, where signals cannot be listened for.
pub async fn ended() -> io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hangup = if ignores_hangup(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
        None
    } else {
        Some(signal(SignalKind::hangup())?)
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
        () = hung_up(hangup) => {}
    }
    Ok(())
}

/// A second signal ends the process at once; what was acknowledged is on disk. A terminal may hang up more than once, so that does not
/// count.
pub async fn at_once() {
    let (Ok(mut term), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else { return };
    tokio::select! {
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    std::process::exit(0);
}

async fn hung_up(signal: Option<Signal>) {
    match signal {
        Some(mut signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Reads the mask of ignored signals. Where it cannot be read, nothing is ignored.
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & HANGUP != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_under_nohup_is_told_from_others() {
        assert!(ignores_hangup("Name:\ttoq\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n"));
        assert!(!ignores_hangup("Name:\ttoq\nSigIgn:\t0000000000001000\n"));
        assert!(!ignores_hangup(""));
    }
}
