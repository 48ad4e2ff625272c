//! Lists the agents that have connected to this one.

use serde_json::json;
use toq_api::PeersResponse;

use super::desk::Desk;
use super::failure::Failure;
use super::sanitize;

/// Lists the agents that have connected to this one
#[derive(Debug, clap::Args)]
pub struct Peers {}

impl Peers {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let answer: PeersResponse = desk.client()?.get(&["v1", "peers"], &[]).await?;
        desk.output.answer(|| json!(answer), || table(&answer))
    }
}

/// Keys are shown whole, because they are what one approves and blocks.
fn table(answer: &PeersResponse) -> String {
    if answer.peers.is_empty() {
        return "No known peers".to_owned();
    }
    let addresses: Vec<String> = answer.peers.iter().map(|peer| sanitize::name(&peer.address)).collect();
    let width = addresses.iter().map(|address| address.chars().count()).max().unwrap_or(0).max(12);
    let mut text = format!("{:<53} {:<width$} {:<9} LAST SEEN", "PUBLIC KEY", "ADDRESS", "STATUS");
    for (peer, address) in answer.peers.iter().zip(addresses) {
        let (key, seen) = (sanitize::name(&peer.public_key), sanitize::name(&peer.last_seen));
        text.push_str(&format!("\n{key:<53} {address:<width$} {:<9} {seen}", peer.status.as_str()));
    }
    text
}
