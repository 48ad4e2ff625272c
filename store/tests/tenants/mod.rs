//! Tenants of a relay, and what they ask for.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::time::Duration;
use toq_protocol::time::Timestamp;
use toq_store::relay::RelayStore;
use toq_store::relay::accounts::{
    AccountId, ChannelSpec, Claimed, InviteSpec, JoinSpec, Keeping, KeySpec, NewAccount, Opened, PlanTier, Registered, Tenant,
};

pub const CHANNEL: &str = "acme/team/general";
pub const NOW: Timestamp = Timestamp::from_nanos(1_800_000_000_000_000_000);

pub fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

pub fn key(n: u8) -> KeySpec {
    KeySpec { id: [n; 16], hash: [n; 32], prefix: "sk_live_0000".to_owned(), name: "default".to_owned() }
}

pub async fn tenant(store: &RelayStore, n: u8) -> Tenant {
    let id = [n; 16];
    let new = NewAccount { id, email: format!("{n}@example.org"), name: String::new(), plan: PlanTier::Free, most: 100 };
    assert_eq!(store.accounts().open(new, key(n), NOW).await.expect("stored"), Opened::Opened);
    store.accounts().of(AccountId(id))
}

/// A channel of whoever registers it; nobody has published to it.
pub fn channel(name: String, id: [u8; 16], unbound_joins: Option<bool>) -> ChannelSpec {
    ChannelSpec { name, id, unbound_joins, most: 10, publisher: Some("nobody in the log".to_owned()) }
}

pub fn keeping() -> Keeping {
    Keeping { until: later(60), most: 1 << 20 }
}

pub fn invite(n: u8, max_uses: u32) -> InviteSpec {
    InviteSpec { id: [n; 16], channel: CHANNEL.to_owned(), verifier: [n; 32], max_uses, expires_at: later(3600), most: 10 }
}

/// A join with invite `n` and key package `package`.
pub fn join(n: u8, package: u8) -> JoinSpec {
    JoinSpec {
        id: [package; 16],
        channel: CHANNEL.to_owned(),
        invite: [n; 16],
        verifier: [n; 32],
        identity: "bob".to_owned(),
        package: vec![package; 300],
        package_hash: [package; 32],
        binding: None,
        expires_at: later(600),
        most: 200,
    }
}

/// An account that owns the channel, and an invite to it that can be used so often.
pub async fn owner(store: &RelayStore, max_uses: u32) -> Tenant {
    let owner = tenant(store, 1).await;
    assert!(matches!(owner.claim(channel(CHANNEL.to_owned(), [9; 16], None), NOW).await, Ok(Claimed::Yours(_))));
    assert!(matches!(owner.invite(invite(1, max_uses), NOW).await, Ok(Registered::Usable(_))));
    owner
}

pub async fn uses(owner: &Tenant) -> u32 {
    owner.invites(CHANNEL, NOW).expect("read").first().map_or(0, |invite| invite.row.uses)
}
