//! Tells which version this is, and whether the running daemon is the same one.

use serde_json::json;
use toq_api::StatusResponse;

use super::desk::Desk;
use super::failure::Failure;
use super::{sanitize, state};

/// Where releases are.
const RELEASES: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/releases");

/// Tells which version this is and whether the daemon runs it; replaces nothing and asks nothing of the network
#[derive(Debug, clap::Args)]
pub struct Upgrade {}

impl Upgrade {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let version = env!("CARGO_PKG_VERSION");
        let running = running(desk).await;
        let is_same = running.as_deref().map(|running| running == version);
        let compared = match (&running, is_same) {
            (None, _) => "Compared with nothing: no daemon runs in this workspace".to_owned(),
            (Some(_), Some(true)) => "Compared with the daemon that runs here: it is the same version".to_owned(),
            (Some(other), _) => format!(
                "Compared with the daemon that runs here: it is {}. Run `toq down` and `toq up` to have this one",
                sanitize::name(other)
            ),
        };
        desk.output.answer(
            || {
                json!({"current_version": version, "daemon_version": running, "compared_with": running.as_ref().map(|_| "daemon"),
                    "is_same": is_same, "network_asked": false, "releases": RELEASES})
            },
            || format!("toq {version}\n{compared}\nThe network was not asked for newer ones; releases are at {RELEASES}"),
        )
    }
}

/// Returns the version of the daemon of this workspace, if there is a workspace and a daemon that answers.
async fn running(desk: &Desk) -> Option<String> {
    let state = state::live(&desk.dir().ok()?).ok()??;
    let status: StatusResponse = desk.client_at(state.port).ok()?.get(&["v1", "status"], &[]).await.ok()?;
    Some(status.version)
}
