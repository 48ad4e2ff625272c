//! API keys of a relay's accounts.

use serde_json::json;
use toq_api::relay::{Errand, ErrandAnswer};

use super::super::desk::Desk;
use super::super::failure::Failure;
use super::super::sanitize;
use super::Data;
use super::errand::{strange, table};

/// Makes, lists and revokes API keys
#[derive(Debug, clap::Args)]
pub struct Key {
    #[command(subcommand)]
    action: Action,
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Makes a key and shows it, this once
    Create {
        /// Whose: an account's id or e-mail address [default: the operator's own account, which has no limits]
        #[arg(long)]
        account: Option<String>,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Lists the keys that work
    List {
        /// Whose: an account's id or e-mail address [default: everybody's]
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        data: Data,
    },
    /// Revokes a key; it and its tokens are refused at once
    Revoke {
        /// The key's id
        id: String,
        #[command(flatten)]
        data: Data,
    },
}

impl Key {
    pub async fn run(self, desk: &Desk) -> Result<(), Failure> {
        match self.action {
            Action::Create { account, name, data } => {
                let ErrandAnswer::Key(key) = data.run(desk, Errand::CreateKey { account, name }).await? else { return Err(strange()) };
                desk.output.note("This key is shown once. Whoever has it can use the relay in its account's name.");
                desk.output.answer(|| json!(key), || key.key.clone())
            }
            Action::List { account, data } => {
                let ErrandAnswer::Keys(keys) = data.run(desk, Errand::Keys { account }).await? else { return Err(strange()) };
                let rows = || {
                    let row = |of: &toq_api::relay::KeyOf| {
                        let key = &of.key;
                        let used = key.last_used_at.clone().unwrap_or_else(|| "never".to_owned());
                        vec![
                            key.id.clone(),
                            format!("{}…", sanitize::name(&key.key_prefix)),
                            of.account.clone(),
                            used,
                            sanitize::name(&key.name),
                        ]
                    };
                    table(&["ID", "KEY", "ACCOUNT", "LAST USED", "NAME"], keys.iter().map(row).collect())
                };
                desk.output.answer(|| json!({ "keys": keys }), || if keys.is_empty() { "No keys".to_owned() } else { rows() })
            }
            Action::Revoke { id, data } => {
                data.run(desk, Errand::RevokeKey { id: id.clone() }).await?;
                desk.output.answer(|| json!({ "revoked": id }), || format!("Revoked {}", sanitize::name(&id)))
            }
        }
    }
}
