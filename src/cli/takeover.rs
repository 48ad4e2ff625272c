//! Makes a workspace of the published daemon ours before anything else opens its log, and says what came of it.

use toq_config::Loaded;
use toq_kit::Clock;
use toq_protocol::time::Timestamp;

use super::desk::Desk;
use super::failure::{CONFIGURATION, ERROR, Failure, chain};
use super::sanitize;
use crate::takeover::{Report, TakeoverFailure, pending};

/// Takes over what waits for it; the first time that a workspace is opened, and never again.
pub fn run(desk: &Desk, loaded: &Loaded) -> Result<(), Failure> {
    let now = Timestamp::from_nanos(Clock::system().wall_nanos());
    let Some(report) = pending(loaded, now).map_err(failed)? else { return Ok(()) };
    desk.output.note(&format!("Taken over from the published daemon, whose files stay as they are\n  {}", report.counts()));
    let Report { left_out, more_left_out, .. } = report;
    for complaint in left_out {
        desk.output.note(&format!("  left out: {}", sanitize::text(&complaint)));
    }
    if more_left_out > 0 {
        desk.output.note(&format!("  left out: {more_left_out} more"));
    }
    Ok(())
}

fn failed(error: TakeoverFailure) -> Failure {
    let code = if matches!(error, TakeoverFailure::Config(_)) { CONFIGURATION } else { ERROR };
    let hint = "This workspace is being taken over from the published daemon: mend this and run the command again, nothing is lost";
    Failure::error(sanitize::text(&chain(&error))).code(code).hint(hint)
}
