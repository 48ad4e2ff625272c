//! Accounts and what they have used.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How much an account may use. What that is in numbers the operator of a relay says.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// The smallest.
    #[default]
    Free,
    /// For who builds something.
    Dev,
    /// For several.
    Team,
    /// For many.
    Pro,
    /// Without a limit.
    Enterprise,
}

impl Plan {
    /// Every plan, from the smallest.
    pub const ALL: [Self; 5] = [Self::Free, Self::Dev, Self::Team, Self::Pro, Self::Enterprise];

    /// The word that stands for it in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Dev => "dev",
            Self::Team => "team",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// Reads such a word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text)
    }
}

/// Who asks for an account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct NewAccount {
    /// Its owner's e-mail address. One account has it, whatever the case of its letters.
    pub email: String,
    /// What to call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// An account.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Account {
    /// A UUID.
    pub id: String,
    /// Its owner's e-mail address.
    pub email: String,
    /// What it is called; empty where nobody said.
    pub name: String,
    /// How much it may use.
    pub plan_tier: Plan,
}

/// A new account.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct AccountCreated {
    /// The account.
    pub account: Account,
    /// Its first key, which is shown here and nowhere else.
    pub api_key: String,
}

/// What an account has used in one calendar month of UTC.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct Usage {
    /// Whose.
    pub account_id: String,
    /// The first day of the month, like `2026-11-01`.
    pub period: String,
    /// How often a key was exchanged for a token.
    pub token_exchanges: u64,
    /// How many messages the relay has taken.
    pub messages_relayed: u64,
    /// How much the account may use.
    pub plan_tier: Plan,
    /// The same in numbers.
    pub limits: UsageLimits,
}

/// What an account may use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct UsageLimits {
    /// Messages in a month; `null` where there is no limit.
    pub messages_per_month: Option<u64>,
}
