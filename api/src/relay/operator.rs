//! What the operator of a relay may ask of it, at a socket that only the operator's user can open.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Account, AdmittedAccount, ChannelView, InviteCreated, InviteView, KeyCreated, KeyView, Plan};

/// Something to be done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Errand {
    /// Makes a key.
    CreateKey {
        /// The account, by id or e-mail address. Absent: the operator's own, which is opened if need be.
        account: Option<String>,
        /// What the key is for.
        name: Option<String>,
    },
    /// Lists the keys that work.
    Keys {
        /// The account, by id or e-mail address; everybody's where absent.
        account: Option<String>,
    },
    /// Revokes a key.
    RevokeKey {
        /// The key's id.
        id: String,
    },
    /// Opens an account, with its first key.
    CreateAccount {
        /// Its owner's e-mail address.
        email: String,
        /// What to call it.
        name: Option<String>,
        /// How much it may use.
        plan: Plan,
    },
    /// Lists the accounts.
    Accounts,
    /// Gives an account another plan.
    SetPlan {
        /// The account, by id or e-mail address.
        account: String,
        /// How much it may use from now on.
        plan: Plan,
    },
    /// Registers a channel, or finds it registered.
    RegisterChannel {
        /// `org/namespace/service`.
        name: String,
        /// The account, by id or e-mail address. Absent: the operator's own, which is opened if need be.
        account: Option<String>,
    },
    /// Lists the registered channels.
    Channels,
    /// Takes a channel out of the registry, and its invites with it. Its log stays.
    ForgetChannel {
        /// `org/namespace/service`.
        name: String,
    },
    /// Lists the other accounts that were let into a channel.
    Admitted {
        /// `org/namespace/service`.
        name: String,
    },
    /// Lets an account take part in a channel no more.
    ShutOut {
        /// `org/namespace/service`.
        name: String,
        /// The account, by id or e-mail address.
        account: String,
    },
    /// Makes an invite to a registered channel, as published clients ask for one.
    CreateInvite {
        /// `org/namespace/service`.
        channel: String,
        /// How often it can be used.
        max_uses: Option<u32>,
        /// How long it can be used, in seconds.
        ttl_seconds: Option<u64>,
    },
    /// Lists the invites to a channel that have not ended.
    Invites {
        /// `org/namespace/service`.
        channel: String,
    },
    /// Revokes an invite.
    RevokeInvite {
        /// `org/namespace/service`.
        channel: String,
        /// The invite's id.
        id: String,
    },
    /// Asks how much the relay keeps and does.
    Stats,
}

/// What came of it.
#[derive(Clone, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "answer")]
pub enum ErrandAnswer {
    /// A new key.
    Key(KeyCreated),
    /// Keys, each with its account.
    Keys(Vec<KeyOf>),
    /// A new account, and its first key.
    Account {
        /// The account.
        account: Account,
        /// Its first key, which is shown here and nowhere else.
        api_key: String,
    },
    /// Accounts.
    Accounts(Vec<Account>),
    /// Channels, each with its account.
    Channels(Vec<ChannelOf>),
    /// Accounts that were let into a channel.
    Admitted(Vec<AdmittedAccount>),
    /// A new invite.
    Invite(InviteCreated),
    /// Invites.
    Invites(Vec<InviteView>),
    /// Numbers by name: `channels`, `rows` and `bytes` are what the log keeps; the others count since the relay's start.
    Stats(BTreeMap<String, u64>),
    /// It is done.
    Done,
}

/// A key and whose it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct KeyOf {
    /// The account's id.
    pub account: String,
    /// The key.
    #[serde(flatten)]
    pub key: KeyView,
}

/// A channel and whose it is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ChannelOf {
    /// The account's id.
    pub account: String,
    /// The channel.
    #[serde(flatten)]
    pub channel: ChannelView,
}
