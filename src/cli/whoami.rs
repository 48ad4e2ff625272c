//! Shows who this agent is.

use serde_json::json;
use toq_api::StatusResponse;
use toq_protocol::address::DEFAULT_PORT;
use toq_protocol::key::PeerKey;

use super::desk::Desk;
use super::domain::Wanted;
use super::failure::Failure;
use super::{identity, sanitize, state};
use crate::daemon::announce::last_port;

/// Shows who this agent is
#[derive(Debug, clap::Args)]
pub struct Whoami {}

impl Whoami {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let loaded = desk.loaded(&[])?;
        let config = &loaded.config;
        let running = state::live(&loaded.dir)?;
        // Where any port will do, the one of the last run is taken again.
        let usual = match config.port {
            0 => last_port(&loaded.dir).unwrap_or(0),
            port => port,
        };
        let port = running.as_ref().map_or(usual, |state| state.peer_port);
        // The daemon knows best: the configuration may have changed since it started.
        let status: Option<StatusResponse> = match &running {
            Some(state) => desk.client_at(state.port)?.get(&["v1", "status"], &[]).await.ok(),
            None => None,
        };
        let (address, mode) = match &status {
            Some(status) => (status.address.clone(), status.connection_mode.clone()),
            None => {
                // No port is known before the first start if any will do, and 9009 is the one that is not written.
                let port = if port == 0 { DEFAULT_PORT } else { port };
                (config.address(port).to_string(), config.connection_mode.as_str().to_owned())
            }
        };
        let key = match &status {
            Some(status) => Some(status.public_key.clone()),
            None => identity::public_key(&loaded.dir)?,
        };
        // What two owners compare by telephone.
        let print = key.as_deref().and_then(|key| PeerKey::parse(key).ok()).map(|key| (key.words(), key.fingerprint()));
        let name = config.agent_name.as_str();
        let record = key.as_deref().and_then(|key| Wanted::of(config, key, port));
        desk.output.answer(
            || {
                json!({"agent_name": name, "address": address, "public_key": key, "connection_mode": mode,
                    "words": print.as_ref().map(|(words, _)| words), "fingerprint": print.as_ref().map(|(_, digits)| digits),
                    "port": port, "dns_name": record.as_ref().map(|record| &record.name), "dns_record": record.as_ref().map(|record| &record.text)})
            },
            || {
                let key = key.as_deref().map_or("(made by the first `toq up`)".to_owned(), sanitize::name);
                let (address, mode) = (sanitize::name(&address), sanitize::name(&mode));
                let port = if port == 0 { "(chosen by the first `toq up`, and kept)".to_owned() } else { port.to_string() };
                let record = record.as_ref().map_or(String::new(), |record| {
                    format!("\nDNS record:      {} TXT \"{}\"", record.name, record.text)
                });
                let print = print.as_ref().map_or(String::new(), |(words, digits)| {
                    format!("\nwords:           {words}\ndigits:          {digits}")
                });
                format!(
                    "agent:           {name}\naddress:         {address}\npublic key:      {key}{print}\n\
                     connection mode: {mode}\nport:            {port}{record}"
                )
            },
        )
    }
}
