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
        let Ok(key) = Uuid::parse_str(key) else { return Ok(false) };
        self.accounts.works(account, *key.as_bytes())
    }

    /// Keys that were revoked.
    #[must_use]
    pub const fn revoked(&self) -> &Revoked {
        &self.revoked
    }
}
