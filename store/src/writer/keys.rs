//! How things are named in the tables.

use toq_protocol::key::PeerKey;
use toq_protocol::message::MessageId;
use toq_protocol::policy::{Ruling, Subject};

/// The name in [`crate::tables::META`] of the place up to which handlers are shown nothing of a peer.
pub(crate) fn unremembered(peer: &PeerKey) -> String {
    format!("unremembered:{peer}")
}

pub(crate) fn seen_key(sender: &PeerKey, id: &MessageId) -> [u8; 48] {
    let mut key = [0; 48];
    key[..16].copy_from_slice(id.as_bytes());
    key[16..].copy_from_slice(sender.as_bytes());
    key
}

pub(crate) const fn ruling_key(ruling: Ruling) -> &'static str {
    match ruling {
        Ruling::Approve => "approve",
        Ruling::Block => "block",
    }
}

pub(crate) fn subject_key(subject: &Subject) -> (&'static str, String) {
    match subject {
        Subject::Key(key) => ("key", key.to_string()),
        Subject::Address(pattern) => ("address", pattern.as_str().to_owned()),
    }
}
