//! Lists the agents that have connected to this one.

use serde_json::json;
use toq_api::{Peer, PeersResponse};

use super::desk::Desk;
use super::failure::Failure;
use super::gate::Gate;
use super::sanitize;

/// Lists the agents that have connected to this one
#[derive(Debug, clap::Args)]
pub struct Peers {}

impl Peers {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        let answer = Gate::open(desk).await?.peers().await?;
        desk.output.answer(|| json!(answer), || table(&answer))
    }
}

/// Keys are shown whole, because they are what one approves and blocks. An address is followed by how it is known to be the
/// agent's own, and a session by whether somebody could be in between unnoticed.
fn table(answer: &PeersResponse) -> String {
    if answer.peers.is_empty() {
        return "No known peers".to_owned();
    }
    let addresses: Vec<String> = answer.peers.iter().map(|peer| sanitize::name(&peer.address)).collect();
    let width = addresses.iter().map(|address| address.chars().count()).max().unwrap_or(0).max(12);
    let mut text = format!("{:<53} {:<width$} {:<9} {:<23} {:<30} WORDS", "PUBLIC KEY", "ADDRESS", "STATUS", "VERIFIED", "LAST SEEN");
    for (peer, address) in answer.peers.iter().zip(addresses) {
        let (key, seen, words) = (sanitize::name(&peer.public_key), sanitize::name(&peer.last_seen), sanitize::name(&peer.words));
        let proof = proof(peer);
        text.push_str(&format!("\n{key:<53} {address:<width$} {:<9} {proof:<23} {seen:<30} {words}", peer.status.as_str()));
    }
    text
}

/// Returns how a peer's address is known to be its own, and whether its sessions are bound to their TLS channel.
pub fn proof(peer: &Peer) -> String {
    let by = if peer.verified { sanitize::name(&peer.verified_by) } else { "no".to_owned() };
    if peer.bound { format!("{by}, bound") } else { format!("{by}, transport only") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_shown_with_what_is_known_of_it() {
        let peer = |more: serde_json::Value| -> Peer {
            let mut peer = json!({"public_key": "ed25519:A", "address": "toq://h/bob", "status": "seen", "last_seen": "T"});
            peer.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            serde_json::from_value(peer).expect("a peer")
        };

        assert_eq!(proof(&peer(json!({}))), "no, transport only");
        assert_eq!(proof(&peer(json!({"verified": false, "verified_by": "claimed"}))), "no, transport only");
        assert_eq!(proof(&peer(json!({"verified": true, "verified_by": "dns"}))), "dns, transport only");
        assert_eq!(proof(&peer(json!({"verified": true, "verified_by": "pinned", "bound": true}))), "pinned, bound");
        let shown = table(&PeersResponse { peers: vec![peer(json!({"words": "one two three"}))] });
        assert!(shown.ends_with("one two three"), "{shown}");
    }
}
