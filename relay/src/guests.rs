//! Who may take part in which channel, and until when: what the data plane asks of the API server's rows.

use std::sync::Arc;

use toq_channels::ChannelName;
use toq_store::StoreError;
use toq_store::relay::accounts::{AccountId, Accounts};
use uuid::Uuid;

use crate::revoked::Revoked;

/// The rows, where the data plane asks for tokens.
#[derive(Clone, Debug)]
pub struct Guests {
    accounts: Accounts,
    revoked: Revoked,
}

impl Guests {
    /// Over the accounts of the same database.
    #[must_use]
    pub const fn new(accounts: Accounts, revoked: Revoked) -> Self {
        Self { accounts, revoked }
    }

    /// Whether an account may take part in a channel. One that is not here (a token signed with a shared secret may name any) is let
    /// into channels that nobody has registered.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn admit(&self, channel: &ChannelName, account: &Arc<str>) -> Result<bool, StoreError> {
        match Uuid::parse_str(account) {
            Ok(id) => self.accounts.admits(channel.as_str(), AccountId(*id.as_bytes())),
            Err(_) => Ok(self.accounts.owner(channel.as_str())?.is_none()),
        }
    }

    /// Whether what a token says of its key is true: it works, and is the account's. Tokens of accounts that are not here name
    /// keys that are not here either.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn vouches(&self, account: &str, key: Option<&str>) -> Result<bool, StoreError> {
        let Some(key) = key else { return Ok(true) };
        let Some(account) = Uuid::parse_str(account).ok().map(|id| AccountId(*id.as_bytes())) else { return Ok(true) };
        if self.accounts.account(account)?.is_none() {
            return Ok(true);
        }
        // One whose revocation is on its way to the disk works there for another moment, and a stream would outlive that.
        if self.revoked.holds(Some(key)) {
            return Ok(false);
        }
        let Ok(key) = Uuid::parse_str(key) else { return Ok(false) };
        self.accounts.works(account, *key.as_bytes())
    }

    /// Keys that were revoked.
    #[must_use]
    pub const fn revoked(&self) -> &Revoked {
        &self.revoked
    }
}

#[cfg(test)]
mod tests {
    use toq_protocol::time::Timestamp;
    use toq_store::relay::RelayStore;
    use toq_store::relay::accounts::{KeySpec, NewAccount, PlanTier};

    use super::*;

    #[tokio::test]
    async fn a_key_whose_revocation_is_being_written_vouches_for_nobody() {
        let (store, now) = (RelayStore::in_memory().await.expect("memory"), Timestamp::EPOCH);
        let new = NewAccount { id: [1; 16], email: "ann@example.org".to_owned(), name: String::new(), plan: PlanTier::Free, most: 9 };
        let key = KeySpec { id: [2; 16], hash: [2; 32], prefix: "sk_live_xxxx".to_owned(), name: String::new() };
        store.accounts().open(new, key, now).await.expect("opened");
        let guests = Guests::new(store.accounts().clone(), Revoked::default());
        let (account, key) = (Uuid::from_bytes([1; 16]).to_string(), Uuid::from_bytes([2; 16]).to_string());
        assert!(guests.vouches(&account, Some(&key)).expect("read"));

        guests.revoked().add([2; 16], now);

        assert!(!guests.vouches(&account, Some(&key)).expect("read"));
    }
}
