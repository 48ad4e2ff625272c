//! What the log says about peers: who was here, who asks, who is let in and who is shut out. It is the same whether a
//! daemon runs or not.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use toq_api::{
    Approval, ApprovalKind, ApprovalsResponse, Interception, Peer, PeerStatus, PeersResponse, PermissionsResponse, Rule, RuleKind,
};
use toq_protocol::address::Address;
use toq_protocol::key::PeerKey;
use toq_protocol::lookalike::Known;
use toq_protocol::policy::{Ruling, Subject};
use toq_protocol::time::Timestamp;
use toq_store::record::{AlarmRow, ApprovalRow, Proof};
use toq_store::{Reader, StoreError};

use crate::refusal::{Explained, explain};

/// For how long a refused session is shown to who looks for trouble.
const LATELY: Duration = Duration::from_secs(7 * 24 * 3600);

/// The peers that were here, of which some are.
///
/// # Errors
/// [`StoreError`] where the disk or a row is damaged; the same for every list.
pub fn peers(reader: &Reader, connected: &HashSet<PeerKey>) -> Result<PeersResponse, StoreError> {
    let peers = reader.peers()?.into_iter().map(|(key, row)| Peer {
        public_key: key.to_string(),
        address: row.address,
        status: if connected.contains(&key) { PeerStatus::Connected } else { PeerStatus::Seen },
        last_seen: Timestamp::from_nanos(row.last_seen).to_string(),
        verified: row.proof.is_some(),
        verified_by: Proof::read(row.proof).as_str().to_owned(),
        bound: row.binds == Some(true),
        words: key.words(),
        fingerprint: key.fingerprint(),
    });
    Ok(PeersResponse { peers: peers.collect() })
}

/// The rules, each key with what is known of its agent.
pub fn permissions(reader: &Reader) -> Result<PermissionsResponse, StoreError> {
    // What the agent itself said last is newer than where it was met.
    let mut known: HashMap<PeerKey, (String, Option<Proof>)> =
        reader.pins()?.into_iter().map(|pin| (pin.peer(), (pin.address, pin.proof))).collect();
    known.extend(reader.peers()?.into_iter().map(|(key, row)| (key, (row.address, row.proof))));
    let mut response = PermissionsResponse::default();
    for (subject, ruling) in reader.rules()? {
        let value = subject.to_string();
        let shown = match &subject {
            Subject::Key(key) => {
                let holder = known.get(key);
                Rule {
                    address: holder.map(|(address, _)| address.clone()),
                    verified_by: holder.map(|(_, proof)| Proof::read(*proof).as_str().to_owned()),
                    words: Some(key.words()),
                    ..Rule::new(RuleKind::Key, value)
                }
            }
            Subject::Address(pattern) => {
                Rule { warning: pattern.fault().map(|fault| fault.to_string()), ..Rule::new(RuleKind::Address, value) }
            }
        };
        match ruling {
            Ruling::Approve => response.approved.push(shown),
            Ruling::Block => response.blocked.push(shown),
        }
    }
    Ok(response)
}

/// Who waits for a decision, the oldest question first.
pub fn approvals(reader: &Reader) -> Result<ApprovalsResponse, StoreError> {
    let mut open = reader.approvals()?;
    open.sort_by_key(|(_, row)| row.first_asked());
    let known: Vec<Address> = reader.peers()?.into_iter().filter_map(|(_, row)| Address::parse(&row.address).ok()).collect();
    let known = Known::new(&known);
    Ok(ApprovalsResponse { approvals: open.into_iter().map(|(key, row)| shown(&key, row, &known)).collect() })
}

/// Sessions that were refused lately because somebody may be in between, the latest first.
pub fn interceptions(reader: &Reader, now: Timestamp) -> Result<Vec<Interception>, StoreError> {
    let oldest = now.minus(LATELY).as_nanos();
    let shown = |(key, reason, row): (PeerKey, String, AlarmRow)| {
        let Explained { message, hint } = explain(&reason);
        Interception {
            public_key: key.to_string(),
            address: row.address,
            reason,
            message,
            hint: hint.map(str::to_owned),
            count: row.count,
            first_seen: Timestamp::from_nanos(row.first).to_string(),
            last_seen: Timestamp::from_nanos(row.last).to_string(),
            known: row.is_known,
        }
    };
    Ok(reader.alarms()?.into_iter().filter(|(_, _, row)| row.last >= oldest).map(shown).collect())
}

fn shown(key: &PeerKey, row: ApprovalRow, known: &Known) -> Approval {
    let previous = row.previous();
    let claimed = Address::parse(&row.address);
    Approval {
        id: key.to_string(),
        public_key: key.to_string(),
        requested_at: Timestamp::from_nanos(row.requested_at).to_string(),
        kind: if previous.is_some() { ApprovalKind::KeyChanged } else { ApprovalKind::Unknown },
        proof: Proof::read(row.proof).as_str().to_owned(),
        requests: row.requests,
        words: key.words(),
        fingerprint: key.fingerprint(),
        previous_key: previous.map(|key| key.to_string()),
        previous_words: previous.map(|key| key.words()),
        previous_fingerprint: previous.map(|key| key.fingerprint()),
        warning: claimed.as_ref().ok().and_then(|address| known.doubt(address)).map(|doubt| doubt.to_string()),
        address: claimed.map_or(row.address, |address| address.wire()),
    }
}
