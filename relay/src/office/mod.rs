//! The API server: accounts, keys, tokens, channels, invites, and the mailbox between who joins and who owns.
//!
//! - [`guard`](self): who may call at all: no browser, not too often, with a key or a token that is good now.
//! - [`Office`]: what the handlers share. Each decision is one task of the store's writer; a handler checks, asks and answers.
//! - [`Operator`]: what the owner of the machine may do, at a socket that only this user can open, or on a store at rest.
//! - [`start`]: listeners in, a running server out.
//!
//! What this room is not: it never sees a plaintext, and of an invite that a member made it never sees the secret.

mod accounts;
mod admin;
mod bells;
mod body;
mod channels;
mod crowd;
mod error;
mod finish;
mod guard;
mod invites;
mod joins;
mod keys;
pub mod openapi;
mod operator;
mod pace;
mod query;
mod routes;
mod secrets;
mod serve;
mod settings;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use toq_api::relay::RelayCode;
use toq_kit::Clock;
use toq_protocol::time::Timestamp;
use toq_store::StoreError;
use toq_store::relay::RelayStore;
use toq_store::relay::accounts::{AccountId, Accounts};

use crate::home::Home;
use crate::revoked::Revoked;
use crate::token::{Check, Mint};

use bells::Bells;
use error::ApiError;
use pace::Pace;

pub use operator::{Operator, OperatorError, Start, at_rest, is_bare};
pub use pace::Rate;
pub(crate) use pace::source;
pub use secrets::{SOCKET, bind_socket};
pub use serve::{Running, start};
pub use settings::{Opening, Rates, Settings};

/// How many large bodies may be in memory at once.
const LARGE: usize = 16;

/// How long a large body waits for its turn.
const LARGE_PATIENCE: Duration = Duration::from_secs(10);

/// What all handlers share.
#[derive(Debug)]
pub struct Office {
    store: RelayStore,
    accounts: Accounts,
    mint: Mint,
    check: Check,
    revoked: Revoked,
    clock: Clock,
    settings: Settings,
    paces: Mutex<Paces>,
    bells: Bells,
    large: Arc<Semaphore>,
    /// The data plane beside us, where there is one.
    plane: Option<Arc<Home>>,
}

/// How often each may ask for what.
#[derive(Debug)]
struct Paces {
    requests: Pace<AccountId>,
    sources: Pace<IpAddr>,
    openings: Pace<IpAddr>,
    strangers: Pace<IpAddr>,
    guesses: Pace<IpAddr>,
    guesses_of: Pace<AccountId>,
}

impl Office {
    /// An office over an open store.
    #[must_use]
    pub fn new(store: RelayStore, mint: Mint, revoked: Revoked, settings: Settings, clock: Clock) -> Self {
        let rates = settings.rates;
        let paces = Paces {
            requests: Pace::new(rates.account),
            sources: Pace::new(rates.source),
            openings: Pace::new(rates.openings),
            strangers: Pace::new(rates.strangers),
            guesses: Pace::new(rates.guesses),
            guesses_of: Pace::new(rates.guesses),
        };
        Self {
            accounts: store.accounts().clone(),
            store,
            check: mint.check(),
            mint,
            revoked,
            clock,
            settings,
            paces: Mutex::new(paces),
            bells: Bells::default(),
            large: Arc::new(Semaphore::new(LARGE)),
            plane: None,
        }
    }

    /// Lets the operator ask about the data plane.
    #[must_use]
    pub fn beside(mut self, plane: Arc<Home>) -> Self {
        self.plane = Some(plane);
        self
    }

    /// Removes what has ended; to be called every minute or so.
    ///
    /// # Errors
    /// [`StoreError`] where the disk fails.
    pub async fn trim(&self) -> Result<(), StoreError> {
        self.revoked.trim(self.now());
        while self.accounts.trim(self.now()).await?.is_more {}
        Ok(())
    }

    /// Closes the database, where this was its last user.
    pub fn close(self) {
        drop(self.accounts);
        self.store.close();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_nanos(self.clock.wall_nanos())
    }

    /// Asks whether somebody may ask.
    fn pace(&self, ask: impl FnOnce(&mut Paces, Duration) -> Result<(), Duration>) -> Result<(), Duration> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&mut paces, self.clock.monotonic())
    }

    async fn room_for_large(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let room = tokio::time::timeout(LARGE_PATIENCE, self.large.clone().acquire_owned()).await;
        room.ok().and_then(Result::ok).ok_or_else(|| ApiError::new(RelayCode::Unavailable, "too many large requests at once"))
    }
}
