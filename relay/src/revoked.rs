//! What was taken away a moment ago: keys, and channels from those who used them.
//!
//! Whoever comes is judged by the rows of the database. Those who are in already, with a connection or a call that waits, were judged
//! earlier: they are told by this list, which the API server and the data plane of one process share, to look again.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use toq_protocol::time::Timestamp;
use toq_store::StoreError;
use toq_store::relay::accounts::{Accounts, Id};
use uuid::Uuid;

/// The list. Clones share it.
#[derive(Clone, Debug)]
pub struct Revoked {
    keys: Arc<RwLock<HashMap<Uuid, Timestamp>>>,
    news: Arc<Mutex<News>>,
    /// How often a channel was added.
    turns: Arc<AtomicU64>,
    changes: Arc<watch::Sender<u64>>,
}

/// What was taken away since it was asked last.
#[derive(Debug, Default)]
pub struct News {
    /// Keys.
    pub keys: BTreeSet<Uuid>,
    /// Channels that are to be looked at again.
    pub channels: BTreeSet<String>,
}

impl Default for Revoked {
    fn default() -> Self {
        Self { keys: Arc::default(), news: Arc::default(), turns: Arc::default(), changes: Arc::new(watch::Sender::new(0)) }
    }
}

impl Revoked {
    /// What was revoked before this process began.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub fn load(accounts: &Accounts) -> Result<Self, StoreError> {
        let revoked = Self::default();
        for (key, until) in accounts.revocations()? {
            revoked.add(key, until);
        }
        Ok(revoked)
    }

    /// Notes that another account has a channel now, or that somebody may no longer take part in it, and tells those who watch.
    pub fn add_channel(&self, channel: String) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.news.lock().unwrap_or_else(PoisonError::into_inner).channels.insert(channel);
        self.changes.send_modify(|count| *count += 1);
    }

    /// What was added since this was asked last. There is one who asks.
    #[must_use]
    pub fn take_news(&self) -> News {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another number than before where a channel was added since: who remembers whom it let in asks again then.
    #[must_use]
    pub fn turn(&self) -> u64 {
        self.turns.load(Ordering::SeqCst)
    }

    /// Adds a key that is remembered until `until`, and tells those who watch.
    pub fn add(&self, key: Id, until: Timestamp) {
        let key = Uuid::from_bytes(key);
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key, until);
        self.news.lock().unwrap_or_else(PoisonError::into_inner).keys.insert(key);
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether the key that a token names (its claim `key`) was revoked. A token that names none was not made here.
    #[must_use]
    pub fn holds(&self, key: Option<&str>) -> bool {
        let Some(key) = key.and_then(|key| Uuid::parse_str(key).ok()) else { return false };
        self.keys.read().unwrap_or_else(PoisonError::into_inner).contains_key(&key)
    }

    /// Forgets the keys whose time is over.
    pub fn trim(&self, now: Timestamp) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).retain(|_, until| *until > now);
    }

    /// Changes with every addition, for those who hold something open that was opened with a token.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_key_is_held_until_its_tokens_have_ended() {
        let (revoked, end) = (Revoked::default(), Timestamp::EPOCH.plus(Duration::from_secs(60)));
        let mut changes = revoked.changes();
        let key = Uuid::from_bytes([7; 16]).to_string();
        assert!(!revoked.holds(Some(&key)));

        revoked.add([7; 16], end);
        revoked.trim(Timestamp::EPOCH);

        assert!(changes.has_changed().expect("it lives"));
        changes.mark_unchanged();
        assert!(revoked.holds(Some(&key)) && revoked.clone().holds(Some(&key)));
        assert!(!revoked.holds(None) && !revoked.holds(Some("no uuid")));
        revoked.trim(end);
        assert!(!revoked.holds(Some(&key)));
    }
}
