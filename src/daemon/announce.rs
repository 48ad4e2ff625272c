//! What a running daemon leaves for others to find it: its state, its pid, its entry among the agents.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use toq_actors::Home;
use toq_config::registry::Entry;
use toq_vault::{VaultError, read_private, write_private};

use crate::cli::agents;

/// What is announced, and where.
pub struct Announcement {
    /// The workspace's directory.
    pub dir: PathBuf,
    /// The user's home, where the list of agents is.
    pub home: Option<PathBuf>,
    /// The port that local programs call.
    pub api_port: u16,
    /// The port that peers reach.
    pub peer_port: u16,
}

impl Announcement {
    /// Writes everything. From here on commands and SDKs find this daemon.
    pub fn publish(&self, home: &Home) -> io::Result<()> {
        let pid = std::process::id();
        let started_at = started_at();
        let state = json!({
            "active_connections": 0,
            "address": home.local().address.written(),
            "agent_name": home.config.agent_name.as_str(),
            "connection_mode": home.config.connection_mode.as_str(),
            "messages_in": 0,
            "messages_out": 0,
            "pid": pid,
            "port": self.api_port,
            "peer_port": self.peer_port,
            "started_at": started_at,
            "status": "running",
        });
        keep_port(&self.dir, self.peer_port)?;
        write(&self.dir.join("toq.pid"), pid.to_string().as_bytes())?;
        write(&self.dir.join("state.json"), format!("{state:#}\n").as_bytes())?;
        if let Some(user) = &self.home {
            let entry = Entry {
                name: home.config.agent_name.to_string(),
                port: self.api_port,
                peer_port: self.peer_port,
                pid,
                config_dir: self.dir.clone(),
                started_at,
            };
            if let Err(error) = agents::register(user, &entry) {
                tracing::warn!(%error, "the agent cannot be added to the list of running agents");
            }
        }
        Ok(())
    }

    /// Takes everything back.
    pub fn withdraw(&self, home: &Home) {
        for name in ["state.json", "toq.pid"] {
            if let Err(error) = fs::remove_file(self.dir.join(name)) {
                tracing::warn!(name, %error, "a state file cannot be removed");
            }
        }
        if let Some(user) = &self.home
            && let Err(error) = agents::unregister(user, home.config.agent_name.as_str(), std::process::id())
        {
            tracing::warn!(%error, "the agent cannot be taken off the list of running agents");
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the composition root may look at the clock")]
fn started_at() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    write_private(path, content).map_err(io::Error::other)
}

/// The port of the last run, so that an automatic port stays what peers know.
pub fn last_port(dir: &Path) -> Option<u16> {
    fs::read_to_string(dir.join("last_port")).ok()?.trim().parse().ok()
}

/// Keeps a port for the next run.
pub fn keep_port(dir: &Path, port: u16) -> io::Result<()> {
    write(&dir.join("last_port"), port.to_string().as_bytes())
}

/// Lets only the owner read a file.
pub fn protect(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// The API's bearer token, made where there is none.
pub fn token(dir: &Path) -> Result<String, VaultError> {
    let path = dir.join("keys").join("api.token");
    if let Some(token) = read_private(&path)? {
        return Ok(String::from_utf8_lossy(&token).trim().to_owned());
    }
    let token: String = toq_vault::random::<32>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(&path, token.as_bytes())?;
    Ok(token)
}
