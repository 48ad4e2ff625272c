//! Sets up this user's own agent, in the home directory.

use std::net::UdpSocket;

use serde_json::json;
use toq_config::{ConfigError, WorkspaceConfig};

use super::desk::Desk;
use super::failure::{ERROR, Failure};
use super::identity;

/// The port of an agent that is set up for a user: the one that addresses leave out.
const PORT: u16 = 9009;

/// Sets up this user's own agent, in ~/.toq
#[derive(Debug, clap::Args)]
pub struct Setup {
    /// Asks nothing and takes what the options say
    #[arg(long)]
    non_interactive: bool,
    /// The agent's name: lower-case letters, digits and inner hyphens
    #[arg(long, default_value = "agent")]
    agent_name: String,
    /// The host in the agent's address [default: this machine's address]
    #[arg(long)]
    host: Option<String>,
    /// Who may connect: open, allowlist or approval
    #[arg(long, default_value = "approval")]
    connection_mode: String,
    /// How messages reach local programs: http
    #[arg(long, default_value = "http")]
    adapter: String,
}

impl Setup {
    pub fn run(self, desk: &Desk) -> Result<(), Failure> {
        if !self.non_interactive {
            return Err(Failure::told("The guided setup arrives with a later release")
                .hint("Run `toq init` to create a workspace here, or `toq setup --non-interactive` for one in ~/.toq"));
        }
        let dir = match desk.explicit() {
            Some(dir) => desk.world.cwd.join(dir),
            None => desk.home()?.join(".toq"),
        };
        if dir.join(toq_config::FILE).is_file() {
            return desk.output.answer(|| json!({"setup": "existing"}), || "Setup already complete".to_owned());
        }
        // Checked before the first file is written, so that a wrong option leaves no half of a setup behind.
        toq_config::typed("connection_mode", &self.connection_mode).map_err(usual)?;
        toq_config::typed("adapter", &self.adapter).map_err(usual)?;
        let host = self.host.clone().unwrap_or_else(own_address);
        toq_config::init(&dir, &self.agent_name, &host, Some(PORT)).map_err(usual)?;
        toq_config::set(&dir, "connection_mode", &self.connection_mode).map_err(usual)?;
        toq_config::set(&dir, "adapter", &self.adapter).map_err(usual)?;

        desk.output.note("Generating identity keypair and TLS certificate...");
        let key = identity::make(&dir)?;
        let loaded = WorkspaceConfig::load(&dir, std::iter::empty(), &[])?;
        let address = loaded.config.address(PORT).to_string();
        desk.output.answer(
            || json!({"setup": "complete", "address": address, "public_key": key, "config_dir": dir}),
            || format!("Setup complete: {address}\nPublic key: {key}\nRun `toq up` to start the agent"),
        )
    }
}

fn usual(error: ConfigError) -> Failure {
    Failure::from(error).code(ERROR)
}

/// Returns the address by which this machine would speak to others. Connecting a datagram socket sends nothing.
fn own_address() -> String {
    let address = || {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        socket.connect("192.0.2.1:9").ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_loopback() && !ip.is_unspecified()).then(|| ip.to_string())
    };
    address().unwrap_or_else(|| "localhost".to_owned())
}
