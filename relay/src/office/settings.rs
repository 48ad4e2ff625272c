//! What an operator may set about the API server.

use std::time::Duration;

use super::pace::Rate;

/// Who may open an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Opening {
    /// Whoever reaches the server.
    Open,
    /// Programs of this machine that come through no proxy.
    #[default]
    Local,
    /// Nobody; the operator makes keys with `toq relay key create`.
    Closed,
}

impl Opening {
    /// Reads `open`, `local` or `closed`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "open" => Some(Self::Open),
            "local" => Some(Self::Local),
            "closed" => Some(Self::Closed),
            _ => None,
        }
    }
}

/// How often somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// One account.
    pub account: Rate,
    /// One address, or one IPv6 network.
    pub source: Rate,
    /// Accounts opened from one address.
    pub openings: Rate,
    /// Requests from one address with a credential that is not good.
    pub strangers: Rate,
    /// Joins with an invite that does not exist, from one address and by one account.
    pub guesses: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            account: Rate::per_second(100, 1000),
            source: Rate::per_second(500, 5000),
            openings: Rate::per_minute(10, 100),
            strangers: Rate::per_minute(10, 30),
            guesses: Rate::per_minute(10, 10),
        }
    }
}

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who may open an account.
    pub accounts: Opening,
    /// Messages in a month for each plan, as the data plane counts them; those of a plan that is not here have no limit.
    pub messages_per_month: Vec<(String, u64)>,
    /// How long a token is good.
    pub token_lifetime: Duration,
    /// How long a request to join waits for an answer.
    pub request_lifetime: Duration,
    /// How long an answer waits to be fetched.
    pub welcome_lifetime: Duration,
    /// How often somebody may ask.
    pub rates: Rates,
    /// How many accounts there may be.
    pub most_accounts: u64,
    /// How many keys of an account may work at once.
    pub most_keys: usize,
    /// How many channels an account may register.
    pub most_channels: usize,
    /// How many invites to one channel there may be at once.
    pub most_invites: usize,
    /// How many requests to join one channel may wait at once.
    pub most_requests: usize,
    /// How many bytes of answers of one account may wait to be fetched, each with a kibibyte for its rows.
    pub most_answer_bytes: u64,
    /// How many connections may be open; one address has a fifth of those that it finds free.
    pub most_connections: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            accounts: Opening::default(),
            messages_per_month: Vec::new(),
            token_lifetime: Duration::from_secs(3600),
            request_lifetime: Duration::from_secs(3600),
            welcome_lifetime: Duration::from_secs(24 * 3600),
            rates: Rates::default(),
            most_accounts: 10_000,
            most_keys: 100,
            most_channels: 10_000,
            most_invites: 1000,
            most_requests: 1000,
            most_answer_bytes: 64 << 20,
            most_connections: 4096,
        }
    }
}
